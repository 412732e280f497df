//go:build linux

package file

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"lifeboat/storage"
)

var (
	errForeign       = errors.New("neither a regular file nor a directory is in its place")
	errRemoved       = errors.New("the repository's directory has been removed")
	errMoved         = errors.New("the repository's directory is not at its path any more: it was moved, unmounted or mounted over")
	errTaken         = errors.New("the temporary file was removed by another process")
	errBusy          = errors.New("directories on the way vanish as fast as they are made")
	errUnconditional = errors.New("the file system has neither hard links nor a rename that does not replace")
)

// failed wraps an error of an operation with its place and a hint; nil stays nil.
func (b *Bucket) failed(op, key string, err error) error {
	if err == nil {
		return nil
	}
	return &storage.Error{Op: op, Key: key, Location: b.Location(), Err: err, Hint: b.hint(err)}
}

func (b *Bucket) hint(err error) string {
	if errors.Is(err, unix.EACCES) || errors.Is(err, unix.EPERM) {
		return fmt.Sprintf("run as root or as the owner of %s (user id %d), or give that directory and all in it to this user (user id %d)",
			b.path, b.owner.uid, unix.Geteuid())
	}
	return hint(err)
}

func hint(err error) string {
	for _, known := range []struct {
		err  error
		hint string
	}{
		{unix.ENOSPC, "the file system is full: free space on it, or expire old backups"},
		{unix.EDQUOT, "the disk quota is used up: raise it, or expire old backups"},
		{unix.EFBIG, "the file size limit of the process (ulimit -f) or of the file system is reached"},
		{unix.EROFS, "the file system is mounted read-only: see the kernel's log for the reason"},
		{unix.EIO, "the disk reports an input/output error: see the kernel's log"},
		{unix.ESTALE, "the network file system has lost the directory: mount it again and restart"},
		{unix.EXDEV, "the whole repository must lie on one file system"},
		{unix.EMFILE, "raise the limit of open files (ulimit -n)"},
		{unix.EACCES, "run as the directory's owner, or give this user access to it and to every directory above"},
		{errForeign, "symbolic links and special files are not followed: move the file itself there"},
		{errRemoved, "mount or restore the directory and restart"},
		{errMoved, "put the directory back or mount it again; where it is another one now, restart"},
		{errUnconditional, "move the repository to a file system such as ext4, xfs or btrfs, or to NFS"},
	} {
		if errors.Is(err, known.err) {
			return known.hint
		}
	}
	return ""
}
