package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"

	"lifeboat/restore"
)

// owner says to whom root gives what it restores to a directory: the owner of the directory, or of the nearest one above
// it that exists; where that is root, as which PostgreSQL does not run, the owner of the repository's directory or of
// production's data directory. It is nil for others than root, who keep what they make.
func (s *scene) owner(directory string) (*restore.Owner, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	owner, err := ownerOf(nearest(directory))
	if other := s.ownedByPostgres(); err == nil && owner.UID == 0 && other != "" {
		owner, err = ownerOf(other)
	}
	if err != nil {
		return nil, fmt.Errorf("find the owner of the target directory: %w", err)
	}
	return owner, nil
}

// ownedByPostgres is a directory that PostgreSQL's user has, or empty where none is known.
func (s *scene) ownedByPostgres() string {
	directories := []string{}
	for _, view := range s.views {
		directories = append(directories, view.Repository.Place().Directory)
	}
	for _, dir := range append(directories, s.config.DataDirectory) {
		if _, err := os.Stat(dir); dir != "" && err == nil {
			return dir
		}
	}
	return ""
}

// nearest is the path, or the first one above it that exists.
func nearest(path string) string {
	for path != filepath.Dir(path) {
		if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
			break
		}
		path = filepath.Dir(path)
	}
	return path
}

func ownerOf(path string) (*restore.Owner, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return nil, errors.New("this file system knows no owners")
	}
	return &restore.Owner{UID: int(stat.Uid), GID: int(stat.Gid)}, nil
}

// giveToServer gives what root has made to the owner of a data directory, since PostgreSQL's own user has to work with
// it. It does nothing for others than root, or where the data directory is not at hand.
func giveToServer(path, dataDirectory string) error {
	if os.Geteuid() != 0 || dataDirectory == "" {
		return nil
	}
	owner, err := ownerOf(dataDirectory)
	if err != nil {
		return nil
	}
	return os.Chown(path, owner.UID, owner.GID)
}
