//go:build linux

package file

import (
	"os"
	"path/filepath"
	"testing"
)

func TestADirectoryThatIsRemovedWhileItIsListedIsEmpty(t *testing.T) {
	t.Parallel()
	b := bucket(t)
	if err := os.MkdirAll(filepath.Join(b.path, "clusters", "main"), 0o700); err != nil {
		t.Fatal(err)
	}
	d, err := b.find([]string{"clusters", "main"})
	if err != nil {
		t.Fatal(err)
	}
	defer d.close()
	if err := os.Remove(filepath.Join(b.path, "clusters", "main")); err != nil {
		t.Fatal(err)
	}
	entries, err := walk{ctx: t.Context()}.entries(d, "")
	if len(entries) > 0 || err != nil {
		t.Errorf("%v, %v", entries, err)
	}
}
