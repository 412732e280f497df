package pgtest

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"
)

// longestBase leaves room for the rest of a socket's path, which the kernel limits to 107 bytes.
const longestBase = 30

// TempDir makes a directory like [testing.TB.TempDir], with a path short enough for sockets, that belongs to
// PostgreSQL's user and that this user can reach. It is removed when the test ends.
func TempDir(t testing.TB) string {
	t.Helper()
	parent, err := processDirectory()
	if err != nil {
		t.Fatalf("make a temporary directory: %v", err)
	}
	dir, err := os.MkdirTemp(parent, "")
	if err != nil {
		t.Fatalf("make a temporary directory: %v", err)
	}
	t.Cleanup(func() {
		if err := removeAll(dir); err != nil {
			t.Errorf("remove the temporary directory: %v", err)
		}
	})
	if err := giveAway(dir); err != nil {
		t.Fatalf("make a temporary directory: %v", err)
	}
	return dir
}

// removeAll is patient with a directory in which somebody still makes files: a hook that outlives its server for a moment, or
// the server of a test process that was killed.
func removeAll(dir string) error {
	deadline := time.Now().Add(time.Minute)
	for {
		err := os.RemoveAll(dir)
		if !errors.Is(err, syscall.ENOTEMPTY) || time.Now().After(deadline) {
			return err
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// giveAway makes PostgreSQL's user the owner of a file or directory.
func giveAway(path string) error {
	if user := UnprivilegedUser(); user != nil {
		return os.Chown(path, int(user.Uid), int(user.Gid))
	}
	return nil
}

// baseDirectory makes the one directory of this user below the system's temporary directory, and refuses
// one that somebody else could have prepared.
func baseDirectory() (string, error) {
	base := filepath.Join(temporary(), "lifeboat-test-"+strconv.Itoa(os.Geteuid()))
	if err := os.Mkdir(base, 0o700); err != nil && !errors.Is(err, os.ErrExist) {
		return "", err
	}
	info, err := os.Lstat(base)
	if err != nil {
		return "", err
	}
	if !info.IsDir() || info.Sys().(*syscall.Stat_t).Uid != uint32(os.Geteuid()) || info.Mode()&0o022 != 0 {
		return "", fmt.Errorf("%s is not a directory of this user's own: remove it", base)
	}
	return base, os.Chmod(base, 0o755) // whatever the umask says
}

// temporary is the system's temporary directory, or /tmp where that one is too deep for sockets or closed
// to PostgreSQL's user.
func temporary() string {
	dir := os.TempDir()
	if len(dir) > longestBase || UnprivilegedUser() != nil && !reachable(dir) {
		return "/tmp"
	}
	return dir
}

// reachable tells whether every directory on the way to a path, the last one too, lets all users pass.
func reachable(path string) bool {
	resolved, err := filepath.EvalSymlinks(path)
	for ; err == nil && resolved != "/"; resolved = filepath.Dir(resolved) {
		info, statErr := os.Stat(resolved)
		if statErr != nil || info.Mode()&0o001 == 0 {
			return false
		}
	}
	return err == nil
}

// ProcessDirectory is this test process's own directory, for what all its tests share. The next test process that wants
// one removes it, once this process is gone.
func ProcessDirectory() (string, error) { return processDirectory() }

// processDirectory makes this test process's own directory, and removes those of processes that are gone.
var processDirectory = sync.OnceValues(func() (string, error) {
	base, err := baseDirectory()
	if err != nil {
		return "", err
	}
	runs := filepath.Join(base, "run")
	if err := errors.Join(os.MkdirAll(runs, 0o755), os.Chmod(runs, 0o755)); err != nil {
		return "", err
	}
	unlock, err := lock(filepath.Join(base, "run.lock"))
	if err != nil {
		return "", err
	}
	defer unlock()
	if err := sweep(runs); err != nil {
		return "", err
	}
	return claim(runs)
})

// sweep removes the directories whose process no longer holds their lock.
func sweep(runs string) error {
	entries, err := os.ReadDir(runs)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		dir, isDir := filepath.Join(runs, entry.Name()), entry.IsDir()
		if !isDir || held(dir+".lock") {
			continue
		}
		if err := errors.Join(removeAll(dir), os.RemoveAll(dir+".lock")); err != nil {
			return err
		}
	}
	return nil
}

// claim makes a directory and takes its lock for as long as this process lives.
func claim(runs string) (string, error) {
	dir, err := os.MkdirTemp(runs, "")
	if err != nil {
		return "", err
	}
	if _, err := lock(dir + ".lock"); err != nil {
		return "", err
	}
	return dir, os.Chmod(dir, 0o711)
}

// sharedOnce returns a directory that all test processes of this user share, and fills it if nobody has: the
// kind and the key name it. It appears whole or not at all.
func sharedOnce(kind, key string, fill func(dir string) error) (string, error) {
	base, err := baseDirectory()
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256([]byte(key))
	dir := filepath.Join(base, kind+"-"+hex.EncodeToString(sum[:6]))
	unlock, err := lock(dir + ".lock")
	if err != nil {
		return "", err
	}
	defer unlock()
	if _, err := os.Stat(dir); err == nil {
		return dir, nil
	}
	making := dir + ".new"
	if err := errors.Join(os.RemoveAll(making), os.Mkdir(making, 0o755), os.Chmod(making, 0o755), giveAway(making)); err != nil {
		return "", err
	}
	if err := fill(making); err != nil {
		return "", errors.Join(err, os.RemoveAll(making))
	}
	return dir, os.Rename(making, dir)
}

// lock waits for an exclusive lock on a file; the caller lets go of it with the function returned, or by
// dying.
func lock(path string) (unlock func(), err error) {
	file, err := flock(path, syscall.LOCK_EX)
	if err != nil {
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	return func() { syscall.Close(file) }, nil
}

// held tells whether another process, or another opening of the file, holds the lock.
func held(path string) bool {
	file, err := flock(path, syscall.LOCK_EX|syscall.LOCK_NB)
	if err == nil {
		syscall.Close(file)
	}
	return errors.Is(err, syscall.EWOULDBLOCK)
}

// flock opens a plain descriptor, not an [os.File], which the garbage collector would close.
func flock(path string, how int) (int, error) {
	file, err := syscall.Open(path, syscall.O_RDWR|syscall.O_CREAT|syscall.O_CLOEXEC, 0o600)
	if err != nil {
		return -1, err
	}
	for {
		if err = syscall.Flock(file, how); !errors.Is(err, syscall.EINTR) {
			break
		}
	}
	if err != nil {
		syscall.Close(file)
		return -1, err
	}
	return file, nil
}
