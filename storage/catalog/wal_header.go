package catalog

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"

	"lifeboat/internal/wal"
	"lifeboat/storage"
)

// WALHeader reads the header of the file of the name and little more, so the file itself stays unproven. Where the
// object is sealed and cannot be opened, it is what the note says, see WALHeader.Locked. The other errors are those of
// GetWAL.
func (c *Cluster) WALHeader(ctx context.Context, name wal.FileName) (WALHeader, error) {
	if c.copies != nil {
		return ask(ctx, c.copies, func(ctx context.Context, c *Cluster) (WALHeader, error) { return c.WALHeader(ctx, name) })
	}
	h, err := c.readHeader(ctx, name)
	if err != nil {
		return WALHeader{}, fmt.Errorf("read header of %s: %w", name, err)
	}
	return h, nil
}

func (c *Cluster) readHeader(ctx context.Context, name wal.FileName) (WALHeader, error) {
	return c.readHeaderAt(ctx, c.walKey(name), name)
}

// readHeaderAt is readHeader for the object at key.
func (c *Cluster) readHeaderAt(ctx context.Context, key string, name wal.FileName) (WALHeader, error) {
	ranges := &rangesReader{store: c.store, ctx: ctx, key: key}
	src := &sourceErrors{in: ranges}
	h, err := c.decodeHeader(key, name, bufio.NewReaderSize(src, headerChunk))
	return h, errors.Join(blame(key, src, nil, err), ranges.close())
}

func (c *Cluster) decodeHeader(key string, name wal.FileName, r *bufio.Reader) (WALHeader, error) {
	o, err := c.openWAL(key, name, r)
	if err != nil {
		return WALHeader{}, err
	}
	if o.locked != nil {
		return o.note.header(o.locked), nil
	}
	return c.readOpenedHeader(o, o.plain)
}

// headerChunk is how many bytes are read for a header at first; nearly all are shorter. headerGrowth is how many times
// more are read each further time: the second read then holds the first chunk of what is sealed.
const (
	headerChunk  = 4 << 10
	headerGrowth = 24
)

// rangesReader reads an object from its start in ranges that grow, so that who needs only its start does not ask the
// store for all of it.
type rangesReader struct {
	*store
	ctx  context.Context
	key  string
	at   int64 // where the next range starts
	next int64 // how long it will be
	body io.ReadCloser
}

func (r *rangesReader) Read(p []byte) (int, error) {
	for {
		if r.body == nil {
			if err := r.open(); err != nil {
				return 0, err
			}
		}
		n, err := r.body.Read(p)
		r.at += int64(n)
		if n > 0 || r.next < 0 || !errors.Is(err, io.EOF) {
			return n, err
		}
		if err := r.close(); err != nil {
			return 0, err
		}
	}
}

// open opens the next range; the last one goes to the end of the object.
func (r *rangesReader) open() (err error) {
	r.next = max(headerChunk, r.next*headerGrowth)
	r.body, err = r.bucket.Get(r.ctx, r.key, r.at, r.next)
	if errors.Is(err, storage.ErrRange) {
		r.next = -1
		r.body, err = r.bucket.Get(r.ctx, r.key, r.at, -1)
	}
	return err
}

// close closes the present range.
func (r *rangesReader) close() error {
	if r.body == nil {
		return nil
	}
	err := r.body.Close()
	r.body = nil
	return err
}
