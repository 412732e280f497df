// Package objectstore starts real servers of object storage for tests: one for S3, one for Google Cloud Storage. They
// listen on loopback, keep their objects in a temporary directory or in memory, and end with the test, or with the test's
// process where tests share one. A Place is a repository's place in one of them, or in files.
package objectstore

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
)

// packages are where the servers' programs are built from, in the module .ci/servers.
var packages = map[string]string{
	"versitygw":       "github.com/versity/versitygw/cmd/versitygw",
	"fake-gcs-server": "github.com/fsouza/fake-gcs-server",
}

// program is the path of a server's program, which is built where it is not there yet.
func program(name string) (string, error) {
	path, err := build(name)
	if err != nil {
		return "", fmt.Errorf("build %s: %w", name, err)
	}
	return path, nil
}

func build(name string) (string, error) {
	root, err := moduleRoot()
	if err != nil {
		return "", err
	}
	bin := filepath.Join(root, ".cache", "bin")
	path := filepath.Join(bin, name)
	if err := os.MkdirAll(bin, 0o755); err != nil {
		return "", err
	}
	unlock, err := lock(filepath.Join(bin, ".lock"))
	if err != nil {
		return "", err
	}
	defer unlock()
	if _, err := os.Stat(path); err == nil {
		return path, nil
	}
	part := path + ".part"
	out, err := exec.Command("go", "build", "-C", filepath.Join(root, ".ci", "servers"), "-o", part, packages[name]).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%w: %s", err, out)
	}
	return path, os.Rename(part, path)
}

// lock makes the tests of other packages wait, which are other processes.
func lock(path string) (unlock func(), err error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return func() { _ = f.Close() }, nil // which unlocks
}

// moduleRoot is the directory above that holds the module's .ci.
func moduleRoot() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for ; dir != filepath.Dir(dir); dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, ".ci", "servers", "go.mod")); err == nil {
			return dir, nil
		}
	}
	return "", errors.New("the module's root is not above the working directory")
}
