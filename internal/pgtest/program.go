package pgtest

import (
	"io/fs"
	"os"
	"path/filepath"
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
	path := filepath.Join(TempDir(t), "program")
	if err := os.WriteFile(path, content, 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

// Script is a shell script that PostgreSQL's user can run.
func Script(t testing.TB, text string) string {
	t.Helper()
	path := filepath.Join(TempDir(t), "script")
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+text+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	return path
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
