package main

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"lifeboat/internal/wal"
	"lifeboat/storage/catalog"
)

// owed remembers on this machine which WAL files a repository has not got because it was away. It may be lost without
// harm: lifeboat sync compares the repositories themselves. Each file is an empty one in a directory of the repository's
// name, so that any number of processes can note and settle.
type owed struct {
	directory string
	log       *slog.Logger
	now       func() time.Time
}

func (a *app) owed(s *scene) owed {
	return owed{directory: filepath.Join(s.settings.StateDirectory.Value, s.name+".owed"), log: a.log, now: a.now}
}

const (
	// retryAway is how often a repository that was away is tried again by a push, which others wait for.
	retryAway = time.Minute
	// awayMark is when a push has last found the repository away. It is the name of no WAL file.
	awayMark = "away"
	// owedAtOnce is how many files a push or a backup brings to a repository that is back.
	owedAtOnce = 8
)

// away are the repositories that a push has found away a moment ago.
func (o owed) away(names []string) []string {
	var away []string
	for _, name := range names {
		info, err := os.Stat(filepath.Join(o.directory, name, awayMark))
		if err == nil && o.now().Sub(info.ModTime()).Abs() < retryAway {
			away = append(away, name)
		}
	}
	return away
}

// note remembers what became of a file that is safe in enough repositories.
func (o owed) note(file wal.FileName, copies []catalog.CopyResult) {
	for _, c := range copies {
		if c.Err == nil {
			o.settle(c.Copy, awayMark)
			continue
		}
		if !errors.Is(c.Err, catalog.ErrNotTried) {
			o.log.Warn("a repository has not got the file and will be filled later", "file", file.String(), "repository", c.Copy, "error", c.Err)
			o.mark(c.Copy, awayMark)
		}
		o.mark(c.Copy, file.String())
	}
}

func (o owed) mark(repository, name string) {
	directory := filepath.Join(o.directory, repository)
	err := os.MkdirAll(directory, 0o700)
	if err == nil {
		err = os.WriteFile(filepath.Join(directory, name), nil, 0o600)
	}
	if err == nil && name == awayMark {
		err = os.Chtimes(filepath.Join(directory, name), o.now(), o.now())
	}
	if err != nil {
		o.log.Warn("what a repository lacks cannot be remembered here; lifeboat sync finds it all the same", "error", err)
	}
}

func (o owed) settle(repository, name string) {
	if err := os.Remove(filepath.Join(o.directory, repository, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		o.log.Warn("what a repository has got again cannot be forgotten", "error", err)
	}
}

// first are some of the files that are owed to any of the repositories.
func (o owed) first(repositories []string, most int) []wal.FileName {
	var files []wal.FileName
	seen := map[wal.FileName]bool{}
	for _, repository := range repositories {
		entries, err := os.ReadDir(filepath.Join(o.directory, repository))
		if err != nil {
			continue // nothing is owed
		}
		for _, entry := range entries {
			file, err := wal.ParseFileName(entry.Name())
			if err == nil && !seen[file] && len(files) < most {
				seen[file] = true
				files = append(files, file)
			}
		}
	}
	return files
}

// clear forgets all that is owed to a repository that lacks nothing any more.
func (o owed) clear(repository string) {
	if err := os.RemoveAll(filepath.Join(o.directory, repository)); err != nil {
		o.log.Warn("what a repository has got again cannot be forgotten", "error", err)
	}
}

// payPatience bounds what a push or a backup spends on what is owed.
const payPatience = 30 * time.Second

// pay brings some of the files that are owed to where they belong. It is a courtesy: what fails stays owed.
func (a *app) pay(ctx context.Context, s *scene) {
	o, names := a.owed(s), s.copyNames()
	files := o.first(names, owedAtOnce)
	if len(files) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, payPatience)
	defer cancel()
	report, err := s.cluster.FillWAL(ctx, files...)
	if err != nil {
		a.log.Warn("files that are owed to a repository stay owed", "error", err)
		return
	}
	for _, c := range report.Copies {
		if c.Err != nil || len(c.Missing) > 0 {
			a.log.Warn("files that are owed to a repository stay owed", "repository", c.Copy, "error", errors.Join(c.Err, problemsOf(c.Missing)))
			continue
		}
		for _, file := range files {
			o.settle(c.Copy, file.String())
		}
	}
}

func problemsOf(problems []catalog.Problem) error {
	var errs []error
	for _, p := range problems {
		errs = append(errs, p.Err)
	}
	return errors.Join(errs...)
}

// copyNames are the names of the cluster's repositories, the nearest first; none where there is only one.
func (s *scene) copyNames() []string {
	var names []string
	for _, c := range s.copies {
		names = append(names, c.name())
	}
	return names
}
