//go:build linux

package file_test

import (
	"log/slog"
	"path/filepath"
	"testing"
	"time"

	"lifeboat/storage"
	"lifeboat/storage/file"
	"lifeboat/storage/storagetest"
)

func TestConformance(t *testing.T) {
	t.Parallel()
	storagetest.Run(t, func(t *testing.T) storage.Bucket { return create(t, filepath.Join(t.TempDir(), "root")) })
}

func create(t *testing.T, root string) *file.Bucket {
	t.Helper()
	b, err := file.Create(root, options(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	return b
}

func options(t *testing.T) file.Options {
	return file.Options{Now: time.Now, Log: slog.New(slog.NewTextHandler(t.Output(), nil))}
}
