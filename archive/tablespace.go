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
func findTablespaces(dataDirectory string) ([]tablespace, error) {
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
		found, err := readTablespace(dir, entry.Name())
		if errors.Is(err, fs.ErrNotExist) {
			continue // dropped meanwhile
		}
		if err != nil {
			return nil, unreadable(err)
		}
		list = append(list, found)
	}
	return list, nil
}

func readTablespace(dir, oid string) (tablespace, error) {
	link := filepath.Join(dir, oid)
	location, err := os.Readlink(link)
	if err != nil {
		return tablespace{}, err
	}
	info, err := os.Stat(link)
	return tablespace{oid: oid, link: link, location: location, info: info}, err
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
		return nil
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
