package pgtest

import (
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// Program is a copy of the running test binary that PostgreSQL's user can run: for hooks that the test brings along.
func Program(t testing.TB) string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(self)
	if err != nil {
		t.Fatal(err)
	}
	return executable(t, "program", content)
}

// executable makes a file that can be run at once. A process that is started while the file is open for writing shares that until it
// has become another program, and for so long nobody can run the file (ETXTBSY in execve(2)). So none is started meanwhile.
func executable(t testing.TB, name string, content []byte) string {
	t.Helper()
	path := filepath.Join(TempDir(t), name)
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	if err := os.WriteFile(path, content, 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

// Script is a shell script that PostgreSQL's user can run.
func Script(t testing.TB, text string) string {
	t.Helper()
	return executable(t, "script", []byte("#!/bin/sh\n"+text+"\n"))
}

// GiveAway makes PostgreSQL's user the owner of a file, or of a directory and all that is in it. Links are not followed.
func GiveAway(t testing.TB, path string) {
	t.Helper()
	user := UnprivilegedUser()
	if user == nil {
		return
	}
	err := filepath.WalkDir(path, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Lchown(path, int(user.Uid), int(user.Gid))
	})
	if err != nil {
		t.Fatal(err)
	}
}
