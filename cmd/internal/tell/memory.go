package tell

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// memory is what survives a restart. It may be lost: then what is bad is told once more.
type memory struct {
	Version  int                `json:"version"`
	Subjects []*subject         `json:"subjects"`
	Channels map[string]*outbox `json:"channels"` // by name
}

// outbox is what one channel has still to say.
type outbox struct {
	Waiting  []Change  `json:"waiting"`
	Failures int       `json:"failures"` // one after the other
	NextTry  time.Time `json:"next_try"`
}

const memoryVersion = 1

func newMemory() *memory { return &memory{Version: memoryVersion, Channels: map[string]*outbox{}} }

// readMemory reads the file at path; where none is, nothing is remembered.
func readMemory(path string) (*memory, error) {
	raw, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return newMemory(), nil
	}
	if err != nil {
		return newMemory(), fmt.Errorf("remember what was told: %w", err)
	}
	m := newMemory()
	if err := json.Unmarshal(raw, m); err != nil {
		return newMemory(), fmt.Errorf("remember what was told: %s: %w", path, err)
	}
	if m.Version != memoryVersion || m.Channels == nil {
		return newMemory(), fmt.Errorf("remember what was told: %s is of another version", path)
	}
	return m, nil
}

// write replaces the file at path, which is whole at any moment.
func (m *memory) write(path string) error {
	raw, err := json.Marshal(m)
	if err != nil {
		return fmt.Errorf("write down what to tell: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return fmt.Errorf("write down what to tell: %w", err)
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".notifications-")
	if err != nil {
		return fmt.Errorf("write down what to tell: %w", err)
	}
	_, err = f.Write(raw)
	if err = errors.Join(err, f.Sync(), f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return fmt.Errorf("write down what to tell: %w", errors.Join(err, os.Remove(f.Name())))
	}
	return nil
}
