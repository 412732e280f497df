//go:build linux

package file_test

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"lifeboat/storage"
	"lifeboat/storage/file"
)

func TestSymbolicLinksAreNotFollowed(t *testing.T) {
	t.Parallel()
	outside := t.TempDir()
	if err := os.WriteFile(filepath.Join(outside, "x"), []byte("outside"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ name, link, target, key string }{
		{"object", "x", filepath.Join(outside, "x"), "x"},
		{"object inside", "x", "there", "x"},
		{"dangling", "x", "nowhere", "x"},
		{"directory", "dir", outside, "dir/x"},
		{"directory inside", "dir", "real", "dir/x"},
		{"directory on the way", "dir", outside, "dir/sub/x"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			root := filepath.Join(t.TempDir(), "root")
			b := create(t, root)
			put(t, b, "there")
			put(t, b, "real/x")
			if err := os.Symlink(c.target, filepath.Join(root, c.link)); err != nil {
				t.Fatal(err)
			}
			for op, err := range lookingOperations(t, b, c.key) {
				wantForeign(t, op, err)
			}
			if err := b.Delete(t.Context(), c.key); err != nil && c.link == c.key {
				t.Errorf("delete: %v", err)
			}
			wantContent(t, filepath.Join(outside, "x"), "outside")
			wantContent(t, filepath.Join(root, "real", "x"), "real/x")
			wantContent(t, filepath.Join(root, "there"), "there")
		})
	}
}

// lookingOperations tries all operations on a key but Delete, which takes the name away and not what it stands for.
func lookingOperations(t *testing.T, b *file.Bucket, key string) map[string]error {
	t.Helper()
	errs := map[string]error{}
	errs["put"] = b.Put(t.Context(), key, strings.NewReader("x"), storage.PutOptions{IfAbsent: true, Size: 1})
	_, errs["get"] = b.Get(t.Context(), key, 0, -1)
	_, errs["stat"] = b.Stat(t.Context(), key)
	errs["list"] = nil
	for _, err := range b.List(t.Context(), "") {
		errs["list"] = err
	}
	return errs
}

func wantForeign(t *testing.T, op string, err error) {
	t.Helper()
	if err == nil || errors.Is(err, storage.ErrNotFound) || errors.Is(err, storage.ErrExists) || storage.Hint(err) == "" {
		t.Errorf("%s: %v, hint %q", op, err, storage.Hint(err))
	}
}

func wantContent(t *testing.T, path, want string) {
	t.Helper()
	if got, err := os.ReadFile(path); string(got) != want || err != nil {
		t.Errorf("%s holds %q, %v", path, got, err)
	}
}

func TestReplacingASymbolicLinkLeavesItsTarget(t *testing.T) {
	t.Parallel()
	root := filepath.Join(t.TempDir(), "root")
	b := create(t, root)
	put(t, b, "there")
	if err := os.Symlink("there", filepath.Join(root, "x")); err != nil {
		t.Fatal(err)
	}
	if err := b.Put(t.Context(), "x", strings.NewReader("new"), storage.PutOptions{Size: 3}); err != nil {
		t.Fatal(err)
	}
	wantContent(t, filepath.Join(root, "x"), "new")
	wantContent(t, filepath.Join(root, "there"), "there")
}

func TestSpecialFileIsNoObject(t *testing.T) {
	t.Parallel()
	root := filepath.Join(t.TempDir(), "root")
	b := create(t, root)
	if err := unix.Mkfifo(filepath.Join(root, "x"), 0o600); err != nil {
		t.Fatal(err)
	}
	for op, err := range lookingOperations(t, b, "x") {
		wantForeign(t, op, err)
	}
}

func TestKeysThatRunThroughEachOther(t *testing.T) {
	t.Parallel()
	b := create(t, filepath.Join(t.TempDir(), "root"))
	put(t, b, "a/b/x")
	for _, key := range []string{"a", "a/b", "a/b/x/y", "a/b/x/y/z"} {
		for _, ifAbsent := range []bool{true, false} {
			err := b.Put(t.Context(), key, strings.NewReader("x"), storage.PutOptions{IfAbsent: ifAbsent, Size: 1})
			if !errors.Is(err, storage.ErrKey) {
				t.Errorf("put %s: %v", key, err)
			}
		}
	}
	if err := b.Delete(t.Context(), "a/b"); err != nil {
		t.Error(err)
	}
	if _, err := b.Stat(t.Context(), "a/b/x"); err != nil {
		t.Error(err)
	}
}

func TestListPassesOverWhatCannotBeAnObject(t *testing.T) {
	t.Parallel()
	root := filepath.Join(t.TempDir(), "root")
	b := create(t, root)
	put(t, b, "dir/x")
	for _, dir := range []string{"lost+found", ".snapshot", "dir/.hidden", "empty"} {
		if err := os.Mkdir(filepath.Join(root, dir), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"dir/.nfs0001", "dir/x~", "lost+found/y", ".snapshot/z", "dir/.hidden/y"} {
		if err := os.WriteFile(filepath.Join(root, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var got []string
	for info, err := range b.List(t.Context(), "") {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, info.Key)
	}
	if len(got) != 1 || got[0] != "dir/x" {
		t.Errorf("listed %q", got)
	}
}

func TestDeleteRemovesEmptyDirectories(t *testing.T) {
	t.Parallel()
	root := filepath.Join(t.TempDir(), "root")
	b := create(t, root)
	put(t, b, "a/b/c/x")
	put(t, b, "a/y")
	if err := b.Delete(t.Context(), "a/b/c/x"); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(root, "a", "b")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v", err)
	}
	if err := b.Delete(t.Context(), "a/y"); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(root, "a")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v", err)
	}
	if _, err := os.Stat(root); err != nil {
		t.Error(err)
	}
}

func TestFileThatBecomesShorterWhileRead(t *testing.T) {
	t.Parallel()
	root := filepath.Join(t.TempDir(), "root")
	b := create(t, root)
	put(t, b, "twelve-bytes")
	body, err := b.Get(t.Context(), "twelve-bytes", 0, 12)
	if err != nil {
		t.Fatal(err)
	}
	defer body.Close()
	if err := os.Truncate(filepath.Join(root, "twelve-bytes"), 5); err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(body); string(got) != "twelv" || !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("read %q, %v", got, err)
	}
}
