package seal

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"

	"filippo.io/age"

	"lifeboat/storage"
)

// decrypt reads the object's plain bytes through from. It opens the last chunk at once, so that the size is known to be
// what it was when the object was sealed.
func (o *object) decrypt(from *chunks) (plain io.ReaderAt, size int64, err error) {
	plain, size, err = age.DecryptReaderAt(from, o.size, o.fileKey)
	if err != nil {
		return nil, 0, explain(err, from.err, o.opens)
	}
	return plain, size, nil
}

// ranged opens a range of the plain bytes of a sealed object. Errors of its body pass through name.
func (s *Source) ranged(ctx context.Context, o *object, offset, length int64, name func(error) error) (io.ReadCloser, error) {
	from := &chunks{object: o}
	plain, size, err := o.decrypt(from)
	if err != nil {
		return nil, err
	}
	if length < 0 {
		length = max(0, size-offset)
	}
	if length > size-offset {
		return nil, storage.ErrRange
	}
	if err := s.fetch(ctx, from, offset, length); err != nil {
		return nil, err
	}
	section := bufio.NewReaderSize(io.NewSectionReader(plain, offset, length), int(min(length, 4*chunkSize)))
	return &rangeBody{ctx: ctx, plain: section, from: from, name: name}, nil
}

// fetch starts the one read of the chunks that a range touches, but for the last chunk of the object.
func (s *Source) fetch(ctx context.Context, from *chunks, offset, length int64) error {
	if length == 0 {
		return nil
	}
	o := from.object
	start := int64(len(o.head)) + offset/chunkSize*sealedSize
	end := int64(len(o.head)) + ((offset+length-1)/chunkSize+1)*sealedSize
	end = min(end, o.size-int64(len(o.tail)))
	if start >= end {
		return nil
	}
	body, err := s.bucket.Get(ctx, o.key, start, end-start)
	if err != nil {
		return s.shrunk(o.key, err)
	}
	from.body, from.at = body, start
	return nil
}

// chunks is the sealed object as age reads it: its ends from memory, and what is between them from one body, in order.
type chunks struct {
	object *object
	body   io.ReadCloser // nil where no more than the ends are needed
	at     int64         // offset of the body's next byte in the object
	err    error         // what the body failed with
}

// ReadAt implements io.ReaderAt for reads within the head, within the tail, or at the place of the body.
func (c *chunks) ReadAt(p []byte, offset int64) (int, error) {
	tail := c.object.size - int64(len(c.object.tail))
	switch {
	case offset < int64(len(c.object.head)):
		return bytes.NewReader(c.object.head).ReadAt(p, offset)
	case offset >= tail:
		return bytes.NewReader(c.object.tail).ReadAt(p, offset-tail)
	case c.body == nil || offset != c.at:
		return 0, fmt.Errorf("read at %d of a body that stands at %d", offset, c.at)
	}
	n, err := io.ReadFull(c.body, p)
	c.at += int64(n)
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	c.err = err
	return n, err
}

// rangeBody is the body that ranged gives out.
type rangeBody struct {
	ctx   context.Context
	plain io.Reader
	from  *chunks
	name  func(error) error
}

func (b *rangeBody) Read(p []byte) (int, error) {
	if err := b.ctx.Err(); err != nil {
		return 0, b.name(err)
	}
	n, err := b.plain.Read(p)
	if err == nil || errors.Is(err, io.EOF) {
		return n, err
	}
	return n, b.name(explain(err, b.from.err, b.from.object.opens))
}

func (b *rangeBody) Close() error {
	b.plain = closedReader{}
	if b.from.body == nil {
		return nil
	}
	return b.from.body.Close()
}

// closedReader is what is left of a body that was closed.
type closedReader struct{}

func (closedReader) Read([]byte) (int, error) { return 0, errors.New("read of a closed body") }
