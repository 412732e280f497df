package pgtest

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
)

// BuildBinaries builds lifeboat and lifeboat-wal, once in a process, into a directory from which
// PostgreSQL's user can run them, and returns that directory.
func BuildBinaries(t testing.TB) string {
	t.Helper()
	dir, err := binaries()
	if err != nil {
		t.Fatalf("build the programs: %v", err)
	}
	return dir
}

var binaries = sync.OnceValues(func() (string, error) {
	root, err := moduleRoot()
	if err != nil {
		return "", err
	}
	dir, err := sharedOnce("programs", root, func(string) error { return nil })
	if err != nil {
		return "", err
	}
	unlock, err := lock(filepath.Join(dir + ".lock"))
	if err != nil {
		return "", err
	}
	defer unlock()
	return dir, build(root, dir)
})

// build leaves programs alone that are up to date.
func build(root, dir string) error {
	cmd := exec.Command("go", "build", "-buildvcs=false", "-o", dir+"/", "./cmd/lifeboat", "./cmd/lifeboat-wal")
	cmd.Dir = root
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("go build: %w: %s", err, out)
	}
	return nil
}
