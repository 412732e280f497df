//go:build linux

package file_test

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"lifeboat/storage"
	"lifeboat/storage/file"
)

// TestNothingIsSureOfADirectoryThatIsNotInItsPlace has a bucket open whose directory is moved away, and another one made there, as
// when a disk is unmounted under a process that runs.
func TestNothingIsSureOfADirectoryThatIsNotInItsPlace(t *testing.T) {
	t.Parallel()
	for name, replace := range map[string]bool{"moved away": false, "another one in its place": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			root := filepath.Join(t.TempDir(), "root")
			away := root + ".away"
			b := create(t, root)
			put(t, b, "a/old")
			if err := os.Rename(root, away); err != nil {
				t.Fatal(err)
			}
			if replace {
				put(t, create(t, root), "a/other")
			}
			for what, err := range knowledge(t, b) {
				if err == nil || errors.Is(err, storage.ErrNotFound) || errors.Is(err, storage.ErrExists) || storage.Hint(err) == "" {
					t.Errorf("%s: %v", what, err)
				}
			}
			if err := errors.Join(os.RemoveAll(root), os.Rename(away, root)); err != nil {
				t.Fatal(err)
			}
			for what, err := range knowledge(t, b) {
				if err != nil && !errors.Is(err, storage.ErrNotFound) && !errors.Is(err, storage.ErrExists) {
					t.Errorf("it is back, and %s: %v", what, err)
				}
			}
		})
	}
}

// knowledge asks a bucket all that rests on its directory being in its place.
func knowledge(t *testing.T, b *file.Bucket) map[string]error {
	t.Helper()
	store := func(key string, ifAbsent bool) error {
		return b.Put(t.Context(), key, strings.NewReader("x"), storage.PutOptions{Size: 1, IfAbsent: ifAbsent})
	}
	_, stat := b.Stat(t.Context(), "a/none")
	body, get := b.Get(t.Context(), "none/at/all", 0, -1)
	if get == nil {
		_, _ = io.Copy(io.Discard, body)
	}
	var list error
	for _, err := range b.List(t.Context(), "a/") {
		list = err
	}
	return map[string]error{
		"stat of what is not there": stat, "get of what is not there": get, "list": list, "put of a new object": store("a/new", true),
		"put of one that is there": store("a/old", true), "replacing": store("a/old", false), "delete": b.Delete(t.Context(), "a/gone"),
	}
}
