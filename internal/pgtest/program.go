package pgtest

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// Program is a copy of the running test binary that PostgreSQL's user can run: for hooks that the test brings along.
func Program(t testing.TB) string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(TempDir(t), "program")
	CopyProgram(t, self, path)
	return path
}

// Script is a shell script that PostgreSQL's user can run.
func Script(t testing.TB, text string) string {
	t.Helper()
	path := filepath.Join(TempDir(t), "script")
	WriteScript(t, path, text)
	return path
}

// WriteScript makes a shell script at path that everybody can run, and that a test may run at once.
func WriteScript(t testing.TB, path, text string) {
	t.Helper()
	installProgram(t, "/dev/stdin", path, "#!/bin/sh\n"+text+"\n")
}

// CopyProgram makes a copy of a program that everybody can run, and that a test may run at once.
func CopyProgram(t testing.TB, from, path string) {
	t.Helper()
	installProgram(t, from, path, "")
}

// installProgram lets another process write the file. Were it written by this one, a process that another test forks at that
// moment would hold it open for writing until it executes its own program, and to run it meanwhile is refused: text file
// busy (https://go.dev/issue/22315).
func installProgram(t testing.TB, from, path, input string) {
	t.Helper()
	cmd := exec.Command("install", "-m", "755", "--", from, path)
	cmd.Stdin = strings.NewReader(input)
	if err := run(cmd); err != nil {
		t.Fatalf("make the program %s: %v", path, err)
	}
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
