//go:build linux

package file

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"lifeboat/storage"
)

// unsettled is a mode bit (the sticky one, which a directory used by one user has no need for) that marks a directory
// whose entry in its parent is not known to be durable. It is there from the moment the directory is visible and goes
// after the parent was synced, so that every process that uses the directory knows whether it has to sync the parent
// itself, also after the process that made it was killed between the two.
const unsettled = unix.S_ISVTX

const dirFlags = unix.O_RDONLY | unix.O_DIRECTORY | unix.O_CLOEXEC

// directory is an open directory. All work below the root is done relative to one, a name at a time and without
// following symbolic links.
type directory struct{ fd int }

func openRoot(path string) (directory, error) { return openAt(unix.AT_FDCWD, path, dirFlags) }

// open opens the directory of that name in d. It gives the bare errno, so that callers can compare.
func (d directory) open(name string) (directory, error) {
	return openAt(d.fd, name, dirFlags|unix.O_NOFOLLOW)
}

func openAt(fd int, name string, flags int) (directory, error) {
	opened := directory{-1}
	err := again(func() (err error) {
		opened.fd, err = unix.Openat(fd, name, flags, 0)
		return err
	})
	return opened, err
}

func (d directory) close() error { return unix.Close(d.fd) }

func (d directory) self() (st unix.Stat_t, err error) {
	err = again(func() error { return unix.Fstat(d.fd, &st) })
	return st, err
}

func (d directory) stat(name string) (st unix.Stat_t, err error) {
	err = again(func() error { return unix.Fstatat(d.fd, name, &st, unix.AT_SYMLINK_NOFOLLOW) })
	return st, err
}

// names lists the directory without changing the position that d itself would be read from.
func (d directory) names() ([]string, error) {
	own, err := d.open(".")
	if err != nil {
		return nil, err
	}
	f := os.NewFile(uintptr(own.fd), "directory")
	names, err := f.Readdirnames(-1)
	return names, errors.Join(err, f.Close())
}

// again repeats a system call that a signal interrupted.
func again(call func() error) error {
	for {
		if err := call(); err != unix.EINTR {
			return err
		}
	}
}

// find opens the directory with that path from the root, for reading.
func (b *Bucket) find(path []string) (directory, error) { return b.descend(path, b.enter) }

// make is find that also makes the directories that do not exist, and sees to it that all of them are durable. The
// error is unix.ENOENT where a directory was removed on the way: then it is to be called again.
func (b *Bucket) make(path []string) (directory, error) { return b.descend(path, b.enterMaking) }

func (b *Bucket) descend(path []string, enter func(directory, string) (directory, error)) (directory, error) {
	at, err := b.root.open(".")
	if err != nil {
		return at, err
	}
	for _, name := range path {
		next, err := enter(at, name)
		_ = at.close() // only walked through
		if err != nil {
			return directory{-1}, err
		}
		at = next
	}
	return at, nil
}

func (b *Bucket) enter(parent directory, name string) (directory, error) {
	d, err := parent.open(name)
	if err == unix.ENOTDIR && isFile(parent, name) {
		err = unix.ENOENT
	}
	switch err {
	case nil:
		return d, nil
	case unix.ENOTDIR, unix.ELOOP:
		return d, errForeign
	default:
		return d, b.absence(err)
	}
}

func (b *Bucket) enterMaking(parent directory, name string) (directory, error) {
	d, err := parent.open(name)
	if err == unix.ENOENT {
		d, err = b.makeIn(parent, name)
	}
	switch {
	case err == unix.ENOTDIR && isFile(parent, name):
		return d, fmt.Errorf("the object %s is in the place of a directory: %w", name, storage.ErrKey)
	case err == unix.ENOTDIR, err == unix.ELOOP:
		return d, errForeign
	case err != nil:
		return d, err
	}
	if err := b.settle(parent, d); err != nil {
		return directory{-1}, errors.Join(err, d.close())
	}
	return d, nil
}

func isFile(parent directory, name string) bool {
	st, err := parent.stat(name)
	return err == nil && st.Mode&unix.S_IFMT == unix.S_IFREG
}

// makeIn makes a directory aside and moves it into place with its owner and mode, so that no other user ever meets it
// without them. Where another process was faster, its directory is used.
func (b *Bucket) makeIn(parent directory, name string) (directory, error) {
	t, err := b.stage(stagedDirectory)
	if err != nil {
		return directory{-1}, err
	}
	defer b.discard(t)
	switch err := b.moveDirectory(t, parent, name); err {
	case nil:
		t.moved = true
	case unix.EEXIST, unix.ENOTEMPTY:
	default:
		return directory{-1}, err
	}
	return parent.open(name)
}

// moveDirectory prefers not to replace an empty directory, which another process may be about to use. Where the file
// system cannot tell, that process finds its directory gone and makes it again.
func (b *Bucket) moveDirectory(t *temp, parent directory, name string) error {
	err := b.sys.renameNew(t.dir.fd, t.name, parent.fd, name)
	if err == unix.EINVAL || err == unix.ENOSYS {
		err = b.sys.rename(t.dir.fd, t.name, parent.fd, name)
	}
	return err
}

// settle makes the entry of d in its parent durable, unless it is known to be.
func (b *Bucket) settle(parent, d directory) error {
	st, err := d.self()
	if err != nil || st.Mode&unsettled == 0 {
		return err
	}
	if err := b.sys.sync(parent.fd); err != nil {
		return fmt.Errorf("sync parent directory: %w", err)
	}
	err = unix.Fchmod(d.fd, b.modes.dir)
	if err == unix.EPERM {
		return nil // another user's: it stays marked, and each process syncs the parent
	}
	return err
}

// prune removes the directories of that path that are empty, from the innermost outwards. A Put that is about to use
// one of them notices and makes it again.
func (b *Bucket) prune(path []string) {
	for n := len(path); n > 0; n-- {
		parent, err := b.find(path[:n-1])
		if err != nil {
			return
		}
		err = unix.Unlinkat(parent.fd, path[n-1], unix.AT_REMOVEDIR)
		_ = parent.close() // only walked through
		if err != nil {
			return
		}
	}
}
