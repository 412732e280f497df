package archive

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"
)

// tablespace is a link in pg_tblspc to a directory outside of the data directory.
type tablespace struct {
	oid      string
	link     string
	location string
	info     fs.FileInfo
}

// place is what the tablespace is called in the backup.
func (t tablespace) place() string { return "pg_tblspc/" + t.oid }

func (s *scanner) tablespaceAt(place string) (tablespace, bool) {
	for _, t := range s.tablespaces {
		if t.place() == place {
			return t, true
		}
	}
	return tablespace{}, false
}

// findTablespaces reads the links in pg_tblspc. A directory there (allow_in_place_tablespaces) is a part of the data
// directory like any other.
func findTablespaces(ctx context.Context, dataDirectory string) ([]tablespace, error) {
	dir := filepath.Join(dataDirectory, "pg_tblspc")
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, unreadable(err)
	}
	var list []tablespace
	for _, entry := range entries {
		if entry.Type() != fs.ModeSymlink || strings.Trim(entry.Name(), "0123456789") != "" {
			continue
		}
		link := filepath.Join(dir, entry.Name())
		found, err := readTablespace(link)
		switch {
		case err == nil:
			list = append(list, found)
		case !errors.Is(err, fs.ErrNotExist):
			return nil, unreadable(err)
		default:
			if err := dropped(ctx, link, found.location); err != nil {
				return nil, err
			}
		}
	}
	return list, nil
}

func readTablespace(link string) (tablespace, error) {
	location, err := os.Readlink(link)
	if err != nil {
		return tablespace{}, err
	}
	info, err := os.Stat(link)
	return tablespace{oid: filepath.Base(link), link: link, location: location, info: info}, err
}

// How often and when it is looked again whether a tablespace without its directory is being dropped.
const (
	dropLooks = 10
	dropPause = 100 * time.Millisecond
)

// dropped is nil where a tablespace whose directory is missing was dropped: then its link goes as well
// (tablespace.c: destroy_tablespace_directories). Otherwise the directory is lost, or its file system not mounted.
func dropped(ctx context.Context, link, directory string) error {
	for range dropLooks {
		if _, err := os.Lstat(link); errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(dropPause):
		}
	}
	return &OperatorError{
		Message: fmt.Sprintf("tablespace %s: its directory %s is missing", filepath.Base(link), directory),
		Hint:    "is its file system mounted? A tablespace that is not needed any more is removed with DROP TABLESPACE",
	}
}

// isTablespace says whether a directory inside the data directory is the location of a tablespace, which is taken by
// its link.
func (s *scanner) isTablespace(info fs.FileInfo) bool {
	for _, t := range s.tablespaces {
		if os.SameFile(t.info, info) {
			return true
		}
	}
	return false
}

// tablespace visits a tablespace by its link: its own directory and this version's in it, and nothing else that lies
// there. One that was made after the backup's start is left to the WAL.
func (s *scanner) tablespace(ctx context.Context, t tablespace, place string, visit func(item) error) error {
	if err := visit(newItem(t.link, place, t.info)); err != nil {
		return err
	}
	version, place := filepath.Join(t.link, s.version), path.Join(place, s.version)
	info, err := os.Stat(version)
	if errors.Is(err, fs.ErrNotExist) {
		return dropped(ctx, t.link, filepath.Join(t.location, s.version))
	}
	if err != nil {
		return unreadable(err)
	}
	if err := visit(newItem(version, place, info)); err != nil {
		return err
	}
	return s.directory(ctx, version, place, visit)
}

// tablespaceVersion is the name of the directory that a version uses in a tablespace (relpath.h:
// TABLESPACE_VERSION_DIRECTORY).
func tablespaceVersion(major int, catalogVersion uint32) string {
	return fmt.Sprintf("PG_%d_%d", major, catalogVersion)
}
