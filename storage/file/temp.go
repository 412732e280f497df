//go:build linux

package file

import (
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

const (
	tempDirectory = ".tmp"
	// tempLife is how long the leavings of another machine's writer stay, of which one cannot know whether it lives.
	tempLife = 24 * time.Hour
	// stageTries bounds the attempts to get a temporary file that no sweeper of another process took for a leaving. On a busy
	// machine sweepers may win many times in a row, so there is a pause before each, of a millisecond more each time: 5 s in all.
	stageTries = 100

	logError = "error"
	logFile  = "file"
)

// temp is something in the making, in the temporary directory. While its maker lives it is locked (flock), which is
// how sweepers of the same machine know. Its name says which machine's boot and which process made it.
type temp struct {
	dir   directory
	name  string
	fd    int
	moved bool // no longer under its temporary name
}

// staging is what kind of thing to make.
type staging func(b *Bucket, dir directory, name string) (fd int, err error)

// stage makes a locked temporary file or directory.
func (b *Bucket) stage(kind staging) (*temp, error) {
	dir, err := b.tempDirectory()
	if err != nil {
		return nil, fmt.Errorf("open temporary directory: %w", err)
	}
	prefix := bootName() + "." + fmt.Sprint(os.Getpid()) + "."
	for try := range stageTries {
		time.Sleep(time.Duration(try) * time.Millisecond)
		t := &temp{dir: dir, name: prefix + rand.Text()}
		t.fd, err = kind(b, dir, t.name)
		switch {
		case errors.Is(err, unix.ENOENT):
			continue // a sweeper took a new directory before it could be opened and locked
		case err != nil:
			return nil, errors.Join(fmt.Errorf("create temporary file: %w", err), dir.close())
		case b.claim(t):
			return t, nil
		}
		unix.Close(t.fd)
		err = errTaken
	}
	return nil, errors.Join(fmt.Errorf("create temporary file: %w", err), dir.close())
}

// claim locks a new temporary file and reports whether it is still there: a sweeper may have come between the two.
// Where the file system has no locks, sweepers go by age.
func (b *Bucket) claim(t *temp) bool {
	if b.sys.lock(t.fd) == unix.EWOULDBLOCK {
		return false
	}
	return t.linked()
}

func (t *temp) linked() bool {
	var st unix.Stat_t
	return unix.Fstat(t.fd, &st) == nil && st.Nlink > 0
}

func stagedFile(b *Bucket, dir directory, name string) (fd int, err error) {
	const flags = unix.O_WRONLY | unix.O_CREAT | unix.O_EXCL | unix.O_NOFOLLOW | unix.O_CLOEXEC
	err = again(func() (err error) {
		fd, err = unix.Openat(dir.fd, name, flags, 0o600)
		return err
	})
	if err != nil {
		return -1, err
	}
	if err := b.adopt(fd, b.modes.file); err != nil {
		return -1, errors.Join(err, unix.Unlinkat(dir.fd, name, 0), unix.Close(fd))
	}
	return fd, nil
}

func stagedDirectory(b *Bucket, dir directory, name string) (fd int, err error) {
	made, err := b.newDirectory(dir, name, b.modes.dir|unsettled)
	return made.fd, err
}

func (b *Bucket) newDirectory(parent directory, name string, mode uint32) (directory, error) {
	if err := unix.Mkdirat(parent.fd, name, 0o700); err != nil {
		return directory{-1}, err
	}
	d, err := parent.open(name)
	if err != nil {
		return d, errors.Join(err, unix.Unlinkat(parent.fd, name, unix.AT_REMOVEDIR))
	}
	if err := b.adopt(d.fd, mode); err != nil {
		return directory{-1}, errors.Join(err, unix.Unlinkat(parent.fd, name, unix.AT_REMOVEDIR), d.close())
	}
	return d, nil
}

// adopt gives something new the owner and the mode that it is to have, whatever the umask.
func (b *Bucket) adopt(fd int, mode uint32) error {
	if b.owner.give {
		if err := unix.Fchown(fd, b.owner.uid, b.owner.gid); err != nil {
			return fmt.Errorf("give to the owner of the repository: %w", err)
		}
	}
	if err := unix.Fchmod(fd, mode); err != nil {
		return fmt.Errorf("set permissions: %w", err)
	}
	return nil
}

// tempDirectory opens the temporary directory, and makes it where there is none.
func (b *Bucket) tempDirectory() (directory, error) {
	d, err := b.root.open(tempDirectory)
	if err != unix.ENOENT {
		return d, err
	}
	d, err = b.newDirectory(b.root, tempDirectory, b.modes.dir)
	if err == unix.EEXIST {
		return b.root.open(tempDirectory)
	}
	return d, err
}

// discard removes the temporary name, if it is still there, and lets go of the file.
func (b *Bucket) discard(t *temp) {
	if !t.moved {
		if err := remove(t.dir, t.name); err != nil && err != unix.ENOENT {
			b.log.Warn("remove temporary file", logFile, t.name, logError, err)
		}
	}
	unix.Close(t.fd)
	_ = t.dir.close() // only walked through
}

func remove(dir directory, name string) error {
	err := unix.Unlinkat(dir.fd, name, 0)
	if err == unix.EISDIR {
		err = unix.Unlinkat(dir.fd, name, unix.AT_REMOVEDIR)
	}
	return err
}

// sweep removes the leavings of dead writers. What cannot be removed is none of the caller's business: it is not
// visible, and the next one tries again.
func (b *Bucket) sweep() {
	dir, err := b.root.open(tempDirectory)
	if err != nil {
		return
	}
	defer dir.close()
	names, err := dir.names()
	if err != nil {
		b.log.Warn("read temporary directory", logError, err)
	}
	for _, name := range names {
		if err := b.sweepOne(dir, name); err != nil && err != unix.ENOENT {
			b.log.Warn("remove leavings of a dead writer", slog.String(logFile, name), logError, err)
		}
	}
}

func (b *Bucket) sweepOne(dir directory, name string) error {
	left, err := openAt(dir.fd, name, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_CLOEXEC)
	if err != nil {
		return err
	}
	defer left.close()
	locked := b.sys.lock(left.fd)
	if locked == unix.EWOULDBLOCK {
		return nil
	}
	if own := locked == nil && strings.HasPrefix(name, bootName()+"."); own || b.expired(left) {
		return remove(dir, name)
	}
	return nil
}

func (b *Bucket) expired(left directory) bool {
	st, err := left.self()
	return err == nil && b.now != nil && b.now().Sub(time.Unix(st.Mtim.Unix())) > tempLife
}

// bootName identifies the running kernel: a lock is proof of life among the processes of one kernel, whatever their
// containers. See random(4), /proc/sys/kernel/random/boot_id.
func bootName() string {
	id, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return "unknown"
	}
	return strings.ReplaceAll(strings.TrimSpace(string(id)), "-", "")
}
