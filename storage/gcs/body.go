package gcs

import (
	"bytes"
	"context"
	"fmt"
	"hash/crc32"
	"io"
	"sync"

	"lifeboat/storage"
)

// castagnoli is the polynomial of the store's checksums; the table is made once by the standard library.
func castagnoli() *crc32.Table { return crc32.MakeTable(crc32.Castagnoli) }

// limitedBody reads a body while the context lasts, and fails where it has another size than announced.
type limitedBody struct {
	ctx  context.Context
	body io.Reader
	size int64 // or -1
	read int64
}

func (r *limitedBody) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := r.body.Read(p)
	r.read += int64(n)
	switch {
	case err != nil && err != io.EOF:
		return n, &bodyError{err}
	case r.size >= 0 && r.read > r.size:
		return n, fmt.Errorf("%w: more than %d bytes", storage.ErrSize, r.size)
	case err == io.EOF && r.size >= 0 && r.read < r.size:
		return n, fmt.Errorf("%w: got %d bytes of %d", storage.ErrSize, r.read, r.size)
	case err == io.EOF && r.ctx.Err() != nil:
		return n, r.ctx.Err()
	}
	return n, err
}

// bodyError is an error of the caller's body. It may look like one of the network, as both may be read from one.
type bodyError struct{ err error }

func (e *bodyError) Error() string { return "read body: " + e.err.Error() }
func (e *bodyError) Unwrap() error { return e.err }

// buffers are those of finished puts, to be used again.
type buffers struct{ pool sync.Pool }

func (b *buffers) get() *bytes.Buffer {
	if buffer, ok := b.pool.Get().(*bytes.Buffer); ok {
		return buffer
	}
	return new(bytes.Buffer)
}

func (b *buffers) put(buffer *bytes.Buffer) {
	buffer.Reset()
	b.pool.Put(buffer)
}
