// Package area is the place where the hook that fetches WAL for a recovery meets the process that fetches ahead of it: a
// private directory with a socket and with segments, one for each data directory, and outside of it.
//
// It is linked into a program that starts for every WAL file, and so keeps to a few small packages.
package area

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

const (
	prefix     = ".lifeboat-ahead-"
	socketName = "socket"
	handPrefix = "hook-" // of the files that are handed over
)

// ErrTaken says that another process lives in the area, or is just leaving it.
var ErrTaken = errors.New("another process fetches ahead for this data directory")

// errForeign says that what lies at an area's place is none of this user's own, and private.
var errForeign = errors.New("it is not a private directory of this user")

// Area is an open area. The directory is held by its descriptor: that is what was looked at and is trusted, whatever its
// path leads to later. So its path may be longer than that of a socket, too.
type Area struct {
	path string
	dir  *os.File
}

// places are where the area of a data directory may be, the best first: beside it, where a segment needs only to be
// renamed, and where temporary files are if nothing can be made there. They are named by what the file system calls the
// directory, so that two recoveries never share one, and a directory that was moved is not taken for another.
func places(dataDirectory string) ([]string, error) {
	real, err := filepath.EvalSymlinks(dataDirectory)
	if err != nil {
		return nil, err
	}
	var stat syscall.Stat_t
	if err := syscall.Stat(real, &stat); err != nil {
		return nil, err
	}
	name := prefix + strconv.FormatUint(stat.Dev, 36) + "-" + strconv.FormatUint(stat.Ino, 36)
	return []string{filepath.Join(filepath.Dir(real), name), filepath.Join(os.TempDir(), name)}, nil
}

// Find opens the areas that there are of a data directory, which somebody may live in: usually none, or one.
func Find(dataDirectory string) []*Area {
	paths, err := places(dataDirectory)
	if err != nil {
		return nil
	}
	var found []*Area
	for _, path := range paths {
		if a, err := open(path); err == nil {
			found = append(found, a)
		}
	}
	return found
}

// open trusts a directory that belongs to this user and that no other can enter.
func open(path string) (*Area, error) {
	dir, err := os.OpenFile(path, os.O_RDONLY|syscall.O_DIRECTORY|syscall.O_NOFOLLOW, 0)
	if err != nil {
		return nil, err
	}
	a := &Area{path: path, dir: dir}
	if err := a.check(); err != nil {
		return nil, errors.Join(err, a.Close())
	}
	return a, nil
}

func (a *Area) check() error {
	var stat syscall.Stat_t
	if err := syscall.Fstat(int(a.dir.Fd()), &stat); err != nil {
		return err
	}
	if stat.Uid != uint32(os.Geteuid()) || stat.Mode&0o077 != 0 {
		return fmt.Errorf("%s: %w", a.path, errForeign)
	}
	return nil
}

// Close leaves the area as it is. The lock is let go of by itself: a process that is just being forked has the descriptor, too,
// until it executes its program.
func (a *Area) Close() error {
	err := syscall.Flock(int(a.dir.Fd()), syscall.LOCK_UN)
	return errors.Join(err, a.dir.Close())
}

// Path is where the area lies.
func (a *Area) Path() string { return a.path }

// Socket is a path of the area's socket for as long as the area is open, see unix(7) on how long one may be.
func (a *Area) Socket() string {
	return "/proc/self/fd/" + strconv.Itoa(int(a.dir.Fd())) + "/" + socketName
}

// Hand is where a process with this number gets its file, which it then moves to where it is wanted. So nobody but the hook
// itself ever writes to what PostgreSQL reads: an answer that comes late harms nobody.
func (a *Area) Hand(pid int) string {
	return filepath.Join(a.path, handPrefix+strconv.Itoa(pid))
}

// IsHand says whether a path is one that Hand has named.
func (a *Area) IsHand(path string) bool {
	pid, ok := handOf(filepath.Base(path))
	return ok && a.Hand(pid) == path
}

// handOf is the process whose file has this name.
func handOf(name string) (pid int, ok bool) {
	number, found := strings.CutPrefix(name, handPrefix)
	pid, err := strconv.Atoi(number)
	return pid, found && err == nil && pid > 0
}

// Forget removes the files of processes that were killed before they could take them.
func (a *Area) Forget() error {
	entries, err := os.ReadDir(a.path)
	if err != nil {
		return err
	}
	var problems []error
	for _, entry := range entries {
		if pid, ok := handOf(entry.Name()); ok && errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) {
			problems = append(problems, os.Remove(filepath.Join(a.path, entry.Name())))
		}
	}
	return errors.Join(problems...)
}
