package drill

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"lifeboat/restore"
	"lifeboat/storage/catalog"
)

const (
	lockSuffix = ".lock"
	nonceName  = "LIFEBOAT_DRILL" // in the environment of a scratch server, so that a leftover one can be told
	longSocket = 60               // bytes of a directory from which on a socket in it could be too long (sun_path: 107)
)

// scratch is the private place of one drill: a lock beside a directory, both named by the drill. Whoever holds the lock
// lives; a free lock marks leavings.
type scratch struct {
	id      string
	dir     string
	sockets string // where the server listens; below dir unless that is too long for a socket
	lock    *os.File
}

// newScratch takes the lock first and makes the directory then, so that there is never a directory without a lock.
func newScratch(work, id string, owner *restore.Owner) (*scratch, error) {
	s := &scratch{id: id, dir: filepath.Join(work, id)}
	if err := s.make(owner); err != nil {
		return nil, errors.Join(fmt.Errorf("make the scratch directory: %w", err), s.remove())
	}
	return s, nil
}

func (s *scratch) make(owner *restore.Owner) error {
	if err := os.MkdirAll(filepath.Dir(s.dir), 0o700); err != nil {
		return err
	}
	lock, err := os.OpenFile(s.dir+lockSuffix, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	s.lock = lock
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return err
	}
	s.sockets = filepath.Join(s.dir, "socket")
	if len(s.sockets) > longSocket {
		s.sockets = filepath.Join(os.TempDir(), "lifeboat-"+s.id)
	}
	for _, dir := range []string{s.dir, s.path("tablespaces"), s.sockets} {
		if err := makeOwned(dir, owner); err != nil {
			return err
		}
	}
	return nil
}

func makeOwned(dir string, owner *restore.Owner) error {
	if err := os.Mkdir(dir, 0o700); err != nil || owner == nil {
		return err
	}
	return os.Chown(dir, owner.UID, owner.GID)
}

func (s *scratch) path(name string) string { return filepath.Join(s.dir, name) }

// write makes a private file that the scratch server can read.
func (s *scratch) write(name, text string, owner *restore.Owner) (string, error) {
	path := s.path(name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		return "", err
	}
	if owner == nil {
		return path, nil
	}
	return path, os.Chown(path, owner.UID, owner.GID)
}

// remove takes everything away, the lock last.
func (s *scratch) remove() error {
	if s.lock == nil {
		return nil
	}
	err := removeAll(filepath.Dir(s.dir), s.id)
	if closing := s.lock.Close(); err == nil {
		err = closing
	}
	s.lock = nil
	return err
}

// removeAll removes the directories of a drill, and its lock file only when they are gone.
func removeAll(work, id string) error {
	for _, dir := range []string{filepath.Join(work, id), filepath.Join(os.TempDir(), "lifeboat-"+id)} {
		if err := removePatiently(dir); err != nil {
			return fmt.Errorf("remove the scratch directory: %w", err)
		}
	}
	if err := os.Remove(filepath.Join(work, id+lockSuffix)); err != nil && !errors.Is(err, fs.ErrNotExist) {
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

// Reap removes what dead drills left below the work directory: their servers and their files. It returns the ids of
// those drills. Living ones hold their lock and are left alone.
func Reap(ctx context.Context, work string) ([]string, error) {
	locks, err := filepath.Glob(filepath.Join(work, "*"+lockSuffix))
	if err != nil {
		return nil, fmt.Errorf("look for leavings of drills: %w", err)
	}
	var reaped []string
	for _, path := range locks {
		id := strings.TrimSuffix(filepath.Base(path), lockSuffix)
		if ctx.Err() != nil || !catalog.ValidID(id) {
			continue
		}
		dead, err := reapOne(work, id)
		if err != nil {
			return reaped, err
		}
		if dead {
			reaped = append(reaped, id)
		}
	}
	return reaped, ctx.Err()
}

func reapOne(work, id string) (dead bool, err error) {
	lock, err := os.OpenFile(filepath.Join(work, id+lockSuffix), os.O_RDWR, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil // reaped or ended meanwhile
	}
	if err != nil {
		return false, fmt.Errorf("look at the leavings of drill %s: %w", id, err)
	}
	defer lock.Close()
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return false, nil // it lives
	}
	if err := killServers(id); err != nil {
		return false, err
	}
	return true, removeAll(work, id)
}

// killServers ends what still runs of a drill's server. A process is told by the drill's id in its environment, which
// no other server has.
func killServers(id string) error {
	environments, err := filepath.Glob("/proc/[0-9]*/environ")
	if err != nil {
		return fmt.Errorf("look for servers of drill %s: %w", id, err)
	}
	for _, path := range environments {
		environment, err := os.ReadFile(path)
		if err != nil || !hasNonce(environment, id) {
			continue // ended, not ours to read, or not of this drill
		}
		var pid int
		if _, err := fmt.Sscanf(path, "/proc/%d/environ", &pid); err != nil || pid == os.Getpid() {
			continue
		}
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
			return fmt.Errorf("end process %d of drill %s: %w", pid, id, err)
		}
	}
	return nil
}

func hasNonce(environment []byte, id string) bool {
	for _, variable := range strings.Split(string(environment), "\x00") {
		if variable == nonceName+"="+id {
			return true
		}
	}
	return false
}
