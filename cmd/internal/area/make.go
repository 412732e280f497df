package area

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// Taken says whether a process lives in an area of the data directory.
func Taken(dataDirectory string) bool {
	taken := false
	for _, a := range Find(dataDirectory) {
		owned, err := a.owned()
		taken = taken || owned && err == nil
		_ = a.Close() // it was only looked at
	}
	return taken
}

// Make makes the area of a data directory, empty, for this process alone, which ends it with Remove. What processes that
// were killed have left there, and beside it for other data directories, is removed. ErrTaken where there is somebody.
func Make(dataDirectory string) (*Area, error) {
	paths, err := places(dataDirectory)
	if err != nil {
		return nil, fmt.Errorf("make an area to fetch ahead to: %w", err)
	}
	var problems []error
	for _, path := range paths {
		a, err := makeAt(path)
		if err == nil || errors.Is(err, ErrTaken) {
			return a, err
		}
		problems = append(problems, err)
	}
	return nil, fmt.Errorf("make an area to fetch ahead to: %w", errors.Join(problems...))
}

// makeAt tries again for a while where somebody only looks at the area, or has just removed it.
func makeAt(path string) (*Area, error) {
	for range tries {
		a, err := tryAt(path)
		if !errors.Is(err, errMoment) {
			return a, err
		}
		time.Sleep(pause)
	}
	return nil, ErrTaken
}

const (
	tries = 200
	pause = 5 * time.Millisecond
)

func tryAt(path string) (*Area, error) {
	if err := os.Mkdir(path, 0o700); err != nil && !errors.Is(err, os.ErrExist) {
		return nil, err
	}
	a, err := open(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, errMoment // it was removed meanwhile
	}
	if err != nil {
		return nil, err
	}
	err = a.lock()
	if err == nil {
		err = a.empty()
	}
	if err != nil {
		return nil, errors.Join(err, a.Close())
	}
	reap(filepath.Dir(path))
	return a, nil
}

// errMoment says that an area cannot be had at this moment, although nobody lives there.
var errMoment = errors.New("somebody looks at the area, or has just removed it")

// lock makes the area this process's own until it is closed. The lock goes with the process, however that ends.
func (a *Area) lock() error {
	err := syscall.Flock(int(a.dir.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		owned, err := a.owned()
		switch {
		case err != nil:
			return err
		case owned:
			return ErrTaken
		}
		return errMoment
	}
	if err != nil {
		return fmt.Errorf("lock %s: %w", a.path, err)
	}
	// Who had it before may have removed it meanwhile.
	mine, err := a.dir.Stat()
	if err != nil {
		return err
	}
	if there, err := os.Lstat(a.path); err != nil || !os.SameFile(mine, there) {
		return errMoment
	}
	return nil
}

// owned says whether a process lives in the area: who does has its lock alone, and who only looks shares it for a moment.
func (a *Area) owned() (bool, error) {
	err := syscall.Flock(int(a.dir.Fd()), syscall.LOCK_SH|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return true, nil
	}
	if err == nil {
		err = syscall.Flock(int(a.dir.Fd()), syscall.LOCK_UN)
	}
	if err != nil {
		return false, fmt.Errorf("lock %s: %w", a.path, err)
	}
	return false, nil
}

func (a *Area) empty() error {
	names, err := a.dir.Readdirnames(-1)
	if err != nil {
		return fmt.Errorf("empty %s: %w", a.path, err)
	}
	var problems []error
	for _, name := range names {
		problems = append(problems, os.RemoveAll(filepath.Join(a.path, name)))
	}
	return errors.Join(problems...)
}

// Remove removes the area and leaves it. The lock is held until nothing is left that another could find.
func (a *Area) Remove() error {
	return errors.Join(os.RemoveAll(a.path), a.Close())
}

// young is how old an area must at least be to be reaped: one in the making has no lock yet.
const young = time.Minute

// reap removes the areas in a directory whose processes were killed. What is in doubt stays.
func reap(directory string) {
	entries, err := os.ReadDir(directory)
	if err != nil {
		return
	}
	for _, entry := range entries {
		if !strings.HasPrefix(entry.Name(), prefix) {
			continue
		}
		if info, err := entry.Info(); err != nil || time.Since(info.ModTime()) < young {
			continue
		}
		a, err := open(filepath.Join(directory, entry.Name()))
		if err != nil {
			continue
		}
		if a.lock() == nil {
			_ = os.RemoveAll(a.path) // another one may be at it, too
		}
		_ = a.Close() // it was only looked at
	}
}
