package drill

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

const lockSuffix = ".lock"

func lockPath(work, id string) string { return filepath.Join(work, id+lockSuffix) }

// errLocked says that somebody holds a lock.
var errLocked = errors.New("it is locked")

// releaseLock lets go of a lock and closes its file. Closing alone would not do: a process that is just being started shares the open
// file until it has become another program, and would hold the lock for so long.
func releaseLock(lock *os.File) error {
	return errors.Join(syscall.Flock(int(lock.Fd()), syscall.LOCK_UN), lock.Close())
}

// takeLock makes a drill's lock and holds it. Whoever looks for leavings may take the new file for one in the moment
// before it is locked, and remove it: then another is made.
func takeLock(path string) (*os.File, error) {
	for {
		lock, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
		if err != nil {
			return nil, err
		}
		if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
			return nil, errors.Join(fmt.Errorf("lock %s: %w", path, err), lock.Close())
		}
		if isAt(lock, path) {
			return lock, nil
		}
		if err := releaseLock(lock); err != nil {
			return nil, err
		}
	}
}

// takeFreeLock holds the lock of a drill that has died. The error is errLocked where the drill lives, and os.ErrNotExist
// where it has ended in order.
func takeFreeLock(path string) (*os.File, error) {
	lock, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	err = syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	switch {
	case errors.Is(err, syscall.EWOULDBLOCK):
		err = errLocked
	case err == nil && !isAt(lock, path):
		err = os.ErrNotExist
	}
	if err != nil {
		return nil, errors.Join(err, releaseLock(lock))
	}
	return lock, nil
}

// isAt says whether a file is still the one at the path.
func isAt(file *os.File, path string) bool {
	own, err := file.Stat()
	if err != nil {
		return false
	}
	there, err := os.Stat(path)
	return err == nil && os.SameFile(own, there)
}
