//go:build linux

package file

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"lifeboat/storage"
)

var errRelative = errors.New("not an absolute path")

// owner is to whom new files and directories are given.
type owner struct {
	uid, gid int
	give     bool // whether this process must and may give them away
}

// modes are the permissions of what is created, following PostgreSQL's rule for data directories: the group may read
// where it may read the root (https://www.postgresql.org/docs/current/app-initdb.html, --allow-group-access).
type modes struct {
	dir, file uint32
}

func ownerFor(root *unix.Stat_t) owner {
	o := owner{uid: int(root.Uid), gid: int(root.Gid)}
	o.give = unix.Geteuid() == 0 && (o.uid != 0 || o.gid != unix.Getegid())
	return o
}

func modesFor(root *unix.Stat_t) modes {
	m := modes{dir: 0o700, file: 0o600}
	if root.Mode&0o040 != 0 {
		m = modes{dir: 0o750, file: 0o640}
	}
	m.dir |= root.Mode & unix.S_ISGID
	return m
}

// Open uses the existing directory root, an absolute path, as a bucket, and removes what dead writers left in it. A
// symbolic link is followed here, at the root, only. A root that does not exist is an error that is fs.ErrNotExist,
// and never ErrNotFound.
func Open(root string, opts Options) (*Bucket, error) {
	b, err := open(root, opts)
	if err != nil {
		return nil, &storage.Error{Op: "open", Location: location(root), Err: err, Hint: openHint(err)}
	}
	b.sweep()
	return b, nil
}

func openHint(err error) string {
	if errors.Is(err, fs.ErrNotExist) {
		return "mount the disk it lies on, or create the repository with lifeboat init"
	}
	return hint(err)
}

func open(root string, opts Options) (*Bucket, error) {
	if !filepath.IsAbs(root) {
		return nil, errRelative
	}
	root = filepath.Clean(root)
	dir, err := openRoot(root)
	if err != nil {
		return nil, err
	}
	st, err := dir.self()
	if err != nil {
		return nil, errors.Join(err, dir.close())
	}
	return newBucket(root, dir, &st, opts), nil
}

// Create makes the directory root (mode 0700) and those above it (0755) where they do not exist, durably, and opens
// it. An existing one is used as it is.
func Create(root string, opts Options) (*Bucket, error) {
	if err := create(root); err != nil {
		return nil, &storage.Error{Op: "create", Location: location(root), Err: err, Hint: hint(err)}
	}
	return Open(root, opts)
}

func create(root string) error {
	if !filepath.IsAbs(root) {
		return errRelative
	}
	root = filepath.Clean(root)
	if err := createParents(filepath.Dir(root)); err != nil {
		return err
	}
	return createDirectory(root, 0o700)
}

func createParents(path string) error {
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := createParents(filepath.Dir(path)); err != nil {
		return err
	}
	return createDirectory(path, 0o755)
}

// createDirectory makes one directory and syncs its parent. One that exists is fine.
func createDirectory(path string, mode fs.FileMode) error {
	if err := os.Mkdir(path, mode); err != nil {
		if errors.Is(err, fs.ErrExist) {
			return nil
		}
		return err
	}
	parent, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	if err := parent.Sync(); err != nil {
		return errors.Join(fmt.Errorf("sync parent directory: %w", err), parent.Close())
	}
	return parent.Close()
}
