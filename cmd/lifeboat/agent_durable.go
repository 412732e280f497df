package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"lifeboat/archive"
)

// maxRemembered is how many files are remembered as durable: those that the server may still ask for.
const maxRemembered = 256

// durables remembers the checksums of WAL files that this process has made durable. Streaming and the hooks bring the same
// files: one of them stores a file, and the other one proves by content that there is nothing left to do.
type durables struct {
	mu    sync.Mutex
	files map[string]*durable
	order []string // names, the oldest first
}

// durable is what is known of one file.
type durable struct {
	turn chan struct{} // holds a token while somebody works on the file
	sum  []byte        // of the content that is durable; nil: not known
}

func newDurables() *durables { return &durables{files: map[string]*durable{}} }

// push stores the file at the path unless the same content is known to be durable under its name, and then answers with
// Stored false and no Copies. What others do to the same name at the same time comes first.
func (d *durables) push(ctx context.Context, path string, push func() (archive.PushResult, error)) (archive.PushResult, error) {
	file := d.file(filepath.Base(path))
	select {
	case file.turn <- struct{}{}:
	case <-ctx.Done():
		return archive.PushResult{}, ctx.Err()
	}
	defer func() { <-file.turn }()
	if file.sum != nil {
		if sum, size, err := sumOf(path); err == nil && bytes.Equal(sum, file.sum) {
			return archive.PushResult{Bytes: size}, nil
		}
	}
	result, err := push()
	if err == nil {
		file.sum = result.SHA256
	}
	return result, err
}

// file finds what is known of a name, and forgets the oldest.
func (d *durables) file(name string) *durable {
	d.mu.Lock()
	defer d.mu.Unlock()
	if file := d.files[name]; file != nil {
		return file
	}
	if len(d.order) == maxRemembered {
		delete(d.files, d.order[0])
		d.order = slices.Delete(d.order, 0, 1)
	}
	file := &durable{turn: make(chan struct{}, 1)}
	d.files[name], d.order = file, append(d.order, name)
	return file
}

// sumOf reads the file at the path.
func sumOf(path string) (sum []byte, size int64, err error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, 0, fmt.Errorf("read %s: %w", filepath.Base(path), err)
	}
	defer file.Close()
	hash := sha256.New()
	size, err = io.Copy(hash, file)
	return hash.Sum(nil), size, err
}
