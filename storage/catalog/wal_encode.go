package catalog

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"sync"

	"github.com/klauspost/compress/zstd"
)

// walChunk is how many bytes of a WAL file are compressed at a time.
const walChunk = 256 << 10

// errChanged says that a file is not the one that it was a moment ago.
var errChanged = errors.New("file changed while it was archived")

// walBody is the object of a WAL file, made while it is read: header frame, one zstd frame, trailer frame. Its memory
// does not grow with the file. It can be read again from the start, which opens the file again.
type walBody struct {
	file   WALFile
	header WALHeader
	frame  []byte // the header's
	enc    *zstd.Encoder
	chunk  []byte

	src   io.ReadCloser
	plain *sideHash // of what was read of the file
	read  int64     // bytes of the file
	pos   int64     // bytes of the object that were read
	done  bool

	mu     sync.Mutex   // guards what the encoder's goroutine works on
	stored hash.Hash    // of what was made of the object
	out    bytes.Buffer // made and not yet read
}

func newWALBody(f WALFile, h WALHeader, enc *zstd.Encoder) (*walBody, error) {
	frame, err := encodeWALHeader(h)
	if err != nil {
		return nil, err
	}
	b := &walBody{file: f, header: h, frame: frame, enc: enc, chunk: make([]byte, walChunk)}
	return b, b.rewind()
}

// rewind starts again from the header.
func (b *walBody) rewind() error {
	if err := b.Close(); err != nil {
		return err
	}
	src, err := b.file.Open()
	if err != nil {
		return fmt.Errorf("open %s: %w", b.header.Name, err)
	}
	b.enc.ResetContentSize(walSink{b}, b.header.Size) // first, as it waits for the encoder's goroutine
	b.src, b.plain, b.stored = src, newSideHash(), sha256.New()
	b.read, b.pos, b.done = 0, 0, false
	b.out.Reset()
	_, err = walSink{b}.Write(b.frame)
	return err
}

// walSink takes what the encoder makes.
type walSink struct{ *walBody }

func (s walSink) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stored.Write(p)
	return s.out.Write(p)
}

// Read makes as much of the object as it needs to.
func (b *walBody) Read(p []byte) (int, error) {
	for b.waiting() == 0 && !b.done {
		if err := b.step(); err != nil {
			return 0, err
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	n, err := b.out.Read(p)
	b.pos += int64(n)
	return n, err
}

// waiting is how many bytes are made and not yet read.
func (b *walBody) waiting() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.out.Len()
}

// step compresses one chunk of the file, or ends the object.
func (b *walBody) step() error {
	n, err := io.ReadFull(b.src, b.chunk)
	_, _ = b.plain.Write(b.chunk[:n])
	b.read += int64(n)
	if b.read > b.header.Size {
		return fmt.Errorf("%s grew beyond %d bytes: %w", b.header.Name, b.header.Size, errChanged)
	}
	if _, err := b.enc.Write(b.chunk[:n]); err != nil {
		return fmt.Errorf("compress %s: %w", b.header.Name, err)
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return b.finish()
	}
	return err
}

// finish ends the zstd frame and adds the trailer, once the file has proven to be the one that was announced.
func (b *walBody) finish() error {
	if hex.EncodeToString(b.plain.sha256()) != b.header.SHA256 {
		return fmt.Errorf("%s has other bytes than before: %w", b.header.Name, errChanged)
	}
	if err := b.enc.Close(); err != nil {
		return fmt.Errorf("compress %s: %w", b.header.Name, err)
	}
	b.out.Write(skippableFrame(walTrailerMagic, b.stored.Sum(nil)))
	b.done = true
	return nil
}

// Seek tells where it is, and goes back to the start; it can do nothing else. A retry needs no more.
func (b *walBody) Seek(offset int64, whence int) (int64, error) {
	switch {
	case whence == io.SeekCurrent && offset == 0:
		return b.pos, nil
	case whence == io.SeekStart && offset == 0 && b.pos == 0 && b.read == 0:
		return 0, nil
	case whence == io.SeekStart && offset == 0:
		return 0, b.rewind()
	}
	return 0, fmt.Errorf("seek in %s to other than the start: %w", b.header.Name, errors.ErrUnsupported)
}

// Close closes the file.
func (b *walBody) Close() error {
	if b.src == nil {
		return nil
	}
	err := b.src.Close()
	b.src = nil
	return err
}
