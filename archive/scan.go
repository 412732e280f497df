package archive

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path"
	"path/filepath"

	"lifeboat/internal/relfile"
	"lifeboat/storage/catalog"
)

// item is a file or directory that a backup takes.
type item struct {
	catalog.FileMeta // Path is its place in the backup
	directory        bool
	source           string // where it lies on this machine
}

// scanner lists what belongs into a backup of a live data directory, by the rules of PostgreSQL's own base backup
// (basebackup.c: sendDir). Only files, directories and the links of tablespaces belong into it.
type scanner struct {
	root        string // the data directory
	version     string // name of this version's directory in a tablespace, such as PG_15_202209061
	tablespaces []tablespace
	logger      *slog.Logger
}

// walk visits all items: a directory before what is in it, and otherwise in the order of names. What vanishes on the
// way is left out, since the WAL says so too. global/pg_control is left out as well: it is taken apart, and last.
func (s *scanner) walk(ctx context.Context, visit func(item) error) error {
	return s.directory(ctx, s.root, "", visit)
}

// directory visits what is in a directory that is called place in the backup.
func (s *scanner) directory(ctx context.Context, source, place string, visit func(item) error) error {
	entries, err := os.ReadDir(source)
	if errors.Is(err, fs.ErrNotExist) && place != "" {
		return nil
	}
	if err != nil {
		return unreadable(err)
	}
	unlogged := relfile.NewUnloggedSet(names(entries))
	for _, entry := range entries {
		if err := ctx.Err(); err != nil {
			return err
		}
		if unlogged.Skip(entry.Name()) {
			continue
		}
		err := s.entry(ctx, filepath.Join(source, entry.Name()), path.Join(place, entry.Name()), visit)
		if err != nil {
			return err
		}
	}
	return nil
}

func names(entries []fs.DirEntry) []string {
	list := make([]string, len(entries))
	for i, entry := range entries {
		list[i] = entry.Name()
	}
	return list
}

func (s *scanner) entry(ctx context.Context, source, place string, visit func(item) error) error {
	switch relfile.Classify(place) {
	case relfile.Skip:
		return nil
	case relfile.EmptyDirectory:
		return s.emptyDirectory(ctx, source, place, visit)
	}
	if t, ok := s.tablespaceAt(place); ok {
		return s.tablespace(ctx, t, place, visit)
	}
	info, err := os.Lstat(source)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return unreadable(err)
	case info.Mode().IsRegular():
		return visit(newItem(source, place, info))
	case path.Dir(place) == "pg_tblspc" && info.Mode()&fs.ModeSymlink != 0:
		return nil // made after the backup's start, so that the WAL makes it again
	case !info.IsDir():
		s.logger.Warn("left out of the backup: neither file nor directory", "path", place, "mode", info.Mode().String())
		return nil
	case s.isTablespace(info):
		return nil
	}
	if err := visit(newItem(source, place, info)); err != nil {
		return err
	}
	return s.directory(ctx, source, place, visit)
}

func newItem(source, place string, info fs.FileInfo) item {
	it := item{source: source, directory: info.IsDir()}
	it.FileMeta = catalog.FileMeta{Path: place, Mode: info.Mode().Perm(), ModTime: info.ModTime()}
	if !it.directory {
		it.Size = info.Size()
	}
	return it
}

// emptyDirectory visits a directory whose files stay out, and of what is in it the directories of that kind; the
// directory itself may be a link to one, as pg_wal often is.
func (s *scanner) emptyDirectory(ctx context.Context, source, place string, visit func(item) error) error {
	info, err := os.Stat(source)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return unreadable(err)
	}
	if !info.IsDir() {
		return nil
	}
	if err := visit(newItem(source, place, info)); err != nil {
		return err
	}
	return s.directory(ctx, source, place, visit)
}
