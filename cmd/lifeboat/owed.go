package main

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
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

// noteAway remembers which repositories could not be asked, so that the next processes ask them last. A fresh mark is left
// as it is: those that it made ask last may not have been asked at all.
func (o owed) noteAway(names []string) {
	fresh := o.away(names)
	for _, name := range names {
		if !slices.Contains(fresh, name) {
			o.mark(name, awayMark)
		}
	}
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
		o.log.Log(context.Background(), levelOf(name), "what a repository lacks cannot be remembered here; lifeboat sync finds it all the same", "error", err)
	}
}

// levelOf says how much it matters that a mark could not be made: one of a repository that is away only saves time.
func levelOf(name string) slog.Level {
	if name == awayMark {
		return slog.LevelDebug
	}
	return slog.LevelWarn
}

func (o owed) settle(repository, name string) {
	if err := os.Remove(filepath.Join(o.directory, repository, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		o.log.Warn("what a repository has got again cannot be forgotten", "error", err)
	}
}

// first are some of the files that are owed to a repository.
func (o owed) first(repository string, most int) []wal.FileName {
	entries, err := os.ReadDir(filepath.Join(o.directory, repository))
	if err != nil {
		return nil // nothing is owed
	}
	var files []wal.FileName
	for _, entry := range entries {
		if file, err := wal.ParseFileName(entry.Name()); err == nil && len(files) < most {
			files = append(files, file)
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

// pay brings each repository some of the files that it is owed, and says whether one has got all of those: then there may be more for
// it. It is a courtesy: what fails stays owed.
func (a *app) pay(ctx context.Context, s *scene) bool {
	ctx, cancel := context.WithTimeout(ctx, payPatience)
	defer cancel()
	paid := false
	for _, name := range s.copyNames() {
		// One that is still away must not keep what another one is owed behind its own.
		if files := a.owed(s).first(name, owedAtOnce); len(files) > 0 && a.bring(ctx, s, name, files) {
			paid = true
		}
	}
	return paid
}

// bring brings files to all repositories that lack them, and says whether the named one has them now.
func (a *app) bring(ctx context.Context, s *scene, name string, files []wal.FileName) (done bool) {
	report, err := s.cluster.FillWAL(ctx, files...)
	if err != nil {
		a.log.Warn("files that are owed to a repository stay owed", "repository", name, "error", err)
		return false
	}
	for _, c := range report.Copies {
		if c.Err != nil || len(c.Missing) > 0 {
			if c.Copy == name {
				a.log.Warn("files that are owed to a repository stay owed", "repository", name, "error", errors.Join(c.Err, problemsOf(c.Missing)))
			}
			continue
		}
		for _, file := range files {
			a.owed(s).settle(c.Copy, file.String())
		}
		done = done || c.Copy == name
	}
	return done
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
