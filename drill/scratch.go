package drill

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"lifeboat/restore"
)

// longSocket is the length of a directory's path, in bytes, above which a socket in it could be too long: sun_path in
// unix(7) has 108, of which "/.s.PGSQL.5432" and the final NUL take 15.
const longSocket = 90

// scratch is the private place of one drill: a lock beside a directory, both named by the drill. Whoever holds the lock
// lives; a free lock marks leavings.
type scratch struct {
	id      string
	dir     string
	sockets string // where the server listens; below dir unless that is too long for a socket
	owner   *restore.Owner
	lock    *os.File
}

// newScratch takes the lock first and makes the directories then, so that there is never a directory without a lock.
func newScratch(work, id string, owner *restore.Owner) (*scratch, error) {
	s := &scratch{id: id, dir: filepath.Join(work, id), owner: owner}
	if err := s.make(); err != nil {
		return nil, errors.Join(fmt.Errorf("make the scratch directory: %w", err), s.remove())
	}
	return s, nil
}

func (s *scratch) make() error {
	if err := refuseWork(filepath.Dir(s.dir)); err != nil {
		return err
	}
	if err := s.makeWork(filepath.Dir(s.dir)); err != nil {
		return err
	}
	lock, err := takeLock(lockPath(filepath.Dir(s.dir), s.id))
	if err != nil {
		return err
	}
	s.lock = lock
	s.sockets = s.path("socket")
	if len(s.sockets) > longSocket {
		s.sockets = socketDirectory(s.id)
	}
	for _, dir := range []string{s.dir, s.path("tablespaces"), s.sockets} {
		if err := s.makeOwned(dir); err != nil {
			return err
		}
	}
	return nil
}

// socketDirectory is where the sockets are of drills whose work directory is too deep.
func socketDirectory(id string) string {
	if dir := filepath.Join(os.TempDir(), "lifeboat-"+id); len(dir) <= longSocket {
		return dir
	}
	return filepath.Join("/tmp", "lifeboat-"+id)
}

// makeWork makes the work directory where there is none.
func (s *scratch) makeWork(work string) error {
	if err := os.MkdirAll(filepath.Dir(work), 0o755); err != nil {
		return err
	}
	err := s.makeOwned(work)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	return err
}

func (s *scratch) makeOwned(dir string) error {
	if err := os.Mkdir(dir, 0o700); err != nil || s.owner == nil {
		return err
	}
	return os.Chown(dir, s.owner.UID, s.owner.GID)
}

func (s *scratch) path(name string) string { return filepath.Join(s.dir, name) }

// write makes a private file that the scratch server can read.
func (s *scratch) write(name, text string) (string, error) {
	path := s.path(name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		return "", err
	}
	if s.owner == nil {
		return path, nil
	}
	return path, os.Chown(path, s.owner.UID, s.owner.GID)
}

// remove ends what runs in the directory and takes everything away, the lock last.
func (s *scratch) remove() error {
	if s.lock == nil {
		return nil
	}
	if err := s.clear(); err != nil {
		return errors.Join(err, releaseLock(s.lock))
	}
	return s.release()
}

// clear ends what runs in the directory and removes it. The lock stays: without it a drill whose evidence is still to be stored
// could be forgotten.
func (s *scratch) clear() error {
	if s.lock == nil {
		return nil
	}
	return clearAway(filepath.Dir(s.dir), s.id)
}

// release removes the lock, unless the directory could not be removed: the next look finds both.
func (s *scratch) release() error {
	if s.lock == nil {
		return nil
	}
	var err error
	if _, missing := os.Lstat(s.dir); errors.Is(missing, fs.ErrNotExist) {
		err = removeLock(filepath.Dir(s.dir), s.id)
	}
	if closing := releaseLock(s.lock); err == nil {
		err = closing
	}
	s.lock = nil
	return err
}

// clearAway ends a drill's processes and removes its directories.
func clearAway(work, id string) error {
	dir := filepath.Join(work, id)
	if err := killServers(dir, id); err != nil {
		return err
	}
	freeSharedMemory(filepath.Join(dir, "data"))
	freeSharedMemory(filepath.Join(dir, restoredDump))
	for _, dir := range []string{dir, socketDirectory(id)} {
		if err := removePatiently(dir); err != nil {
			return fmt.Errorf("remove the scratch directory: %w", err)
		}
	}
	return nil
}

func removeLock(work, id string) error {
	if err := os.Remove(lockPath(work, id)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove the scratch directory's lock: %w", err)
	}
	return nil
}

// removePatiently removes a directory in which the last processes of a killed server may still write for a moment.
func removePatiently(dir string) (err error) {
	for range 50 {
		if err = os.RemoveAll(dir); err == nil {
			return nil
		}
		time.Sleep(100 * time.Millisecond)
	}
	return err
}
