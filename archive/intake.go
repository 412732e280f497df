package archive

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"os"
	"runtime"
	"sync"

	"lifeboat/internal/wal"
	"lifeboat/storage/catalog"
)

const (
	// intakeMemory is for the files that are read, checked and compressed at a time, in bytes.
	intakeMemory = 48 << 20
	// remembered is how many stored files an Intake knows again.
	remembered = 1024
)

// Intake is what the pushes of one cluster share: the processors and the memory, and what is stored already. As many files
// are read, checked and compressed at a time as there are processors, and as fit into 48 MiB; sending them is not
// bounded by it. It is safe for concurrent use.
type Intake struct {
	places chan []byte // buffers, as they were left

	mu     sync.Mutex
	busy   map[string]chan struct{} // by name: closed when who is at work on the file has ended
	stored map[wal.FileName]string  // SHA-256 of files that are durable in every repository
	order  []wal.FileName           // of those, the oldest first
}

// NewIntake is one for a cluster whose segments have that size.
func NewIntake(size wal.SegmentSize) *Intake {
	n := max(1, min(runtime.GOMAXPROCS(0), int(intakeMemory/int64(size))))
	i := &Intake{places: make(chan []byte, n), busy: map[string]chan struct{}{}, stored: map[wal.FileName]string{}}
	for range n {
		i.places <- nil
	}
	return i
}

// begin waits until nobody else is at work on a file of the name, as streaming and a hook may be at the same time. Who comes
// second may know it then.
func (i *Intake) begin(ctx context.Context, name string) (end func(), err error) {
	if i == nil {
		return func() {}, nil
	}
	for {
		i.mu.Lock()
		before, taken := i.busy[name]
		if !taken {
			i.busy[name] = make(chan struct{})
		}
		i.mu.Unlock()
		if !taken {
			return func() { i.end(name) }, nil
		}
		select {
		case <-before:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

func (i *Intake) end(name string) {
	i.mu.Lock()
	defer i.mu.Unlock()
	close(i.busy[name])
	delete(i.busy, name)
}

// take waits for a place.
func (i *Intake) take(ctx context.Context) (*place, error) {
	if i == nil {
		return &place{}, nil
	}
	select {
	case buffer := <-i.places:
		return &place{intake: i, buffer: buffer}, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// remember notes that a file of this SHA-256 is durable.
func (i *Intake) remember(name wal.FileName, sum string) {
	if i == nil {
		return
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	if _, known := i.stored[name]; !known {
		i.order = append(i.order, name)
	}
	i.stored[name] = sum
	if len(i.order) > remembered {
		delete(i.stored, i.order[0])
		i.order = i.order[1:]
	}
}

// knows says whether this very file is durable already. A file of the name with other content is not: what is to be said of
// it is found out by storing it.
func (i *Intake) knows(name wal.FileName, p *place) bool {
	if i == nil || p.held == nil {
		return false
	}
	i.mu.Lock()
	stored := i.stored[name]
	i.mu.Unlock()
	if stored == "" {
		return false
	}
	sum := sha256.Sum256(p.held)
	return hex.EncodeToString(sum[:]) == stored
}

// place is that of one file.
type place struct {
	intake *Intake
	buffer []byte
	held   []byte // all of the file; nil where it is too long
	given  sync.Once
}

// hold reads a file once, so that what is stored is what was proven sound, whatever becomes of the file meanwhile.
func (p *place) hold(file io.Reader, size int64) error {
	if int64(len(p.buffer)) <= size {
		p.buffer = make([]byte, size+1)
	}
	held, err := hold(file, p.buffer[:size+1])
	p.held = held
	return err
}

// giveBack lets the next file have the place. What was held must not be used after it.
func (p *place) giveBack() {
	p.given.Do(func() {
		if p.intake != nil {
			p.intake.places <- p.buffer
		}
	})
}

// opens gives the file to who stores it. Where that is once, the place is free as soon as the file has been read.
func (p *place) opens(path string, once bool) func() (io.ReadCloser, error) {
	done := func() {}
	if once {
		done = p.giveBack
	}
	if p.held == nil {
		return func() (io.ReadCloser, error) {
			file, err := os.Open(path)
			return &readOnce{ReadCloser: file, done: done}, err
		}
	}
	return func() (io.ReadCloser, error) {
		return &heldFile{Reader: bytes.NewReader(p.held), bytes: p.held, done: done}, nil
	}
}

// readOnce is a file that is too long to be held.
type readOnce struct {
	io.ReadCloser
	done func()
}

func (r *readOnce) Close() error {
	err := r.ReadCloser.Close()
	r.done()
	return err
}

// heldFile is a catalog.Held.
type heldFile struct {
	*bytes.Reader
	bytes []byte
	done  func()
}

var _ catalog.Held = (*heldFile)(nil)

func (h *heldFile) Bytes() []byte { return h.bytes }

func (h *heldFile) Close() error {
	if h.bytes == nil {
		return errors.New("closed already")
	}
	h.bytes, h.Reader = nil, nil
	h.done()
	return nil
}
