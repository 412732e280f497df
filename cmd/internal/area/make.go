package area

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// Taken says whether a process lives in an area of the data directory.
func Taken(dataDirectory string) bool {
	taken := false
	for _, a := range Find(dataDirectory) {
		taken = taken || errors.Is(a.lock(), ErrTaken)
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

func makeAt(path string) (*Area, error) {
	if err := os.Mkdir(path, 0o700); err != nil && !errors.Is(err, os.ErrExist) {
		return nil, err
	}
	a, err := open(path)
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

// lock makes the area this process's own until it is closed. The lock goes with the process, however that ends.
func (a *Area) lock() error {
	err := syscall.Flock(int(a.dir.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return ErrTaken
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
		return ErrTaken
	}
	return nil
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
