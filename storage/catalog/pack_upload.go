package catalog

import (
	"bufio"
	"context"
	"crypto/sha256"
	"hash"
	"io"

	"golang.org/x/sync/errgroup"

	"lifeboat/storage"
)

// uploadBuffer is how many bytes are gathered before they are handed to the store.
const uploadBuffer = 1 << 20

// upload is one object on its way into the bucket, written like a file. Its Put runs in a goroutine of a group, whose
// Wait says whether the object is durable. It is not safe for concurrent use.
type upload struct {
	key    string
	pipe   *io.PipeWriter
	buffer *bufio.Writer
	offset int64 // bytes written up to now, in plain
}

// stored is what an upload became, as it is stored.
type stored struct {
	size int64
	sum  [32]byte // SHA-256 of the whole object
}

// startUpload begins a conditional Put, of sealed bytes where there are recipients. Once it is durable, done gets what was stored. The end of ctx fails it, and
// leaves nothing under the key.
func (s *store) startUpload(ctx context.Context, g *errgroup.Group, key string, done func(stored)) *upload {
	reader, writer := io.Pipe()
	u := &upload{key: key, pipe: writer, buffer: bufio.NewWriterSize(writer, uploadBuffer)}
	g.Go(func() error {
		stop := context.AfterFunc(ctx, func() { _ = reader.CloseWithError(context.Cause(ctx)) })
		defer stop()
		body, err := s.sealedStream(reader)
		if err == nil {
			err = s.put(ctx, key, body, storage.PutOptions{IfAbsent: true, Size: -1})
		}
		if err != nil && ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		_ = reader.CloseWithError(err) // a writer that is still there learns of it
		if err == nil {
			done(body.stored())
		}
		return err
	})
	return u
}

// sealedStream is what is stored of plain: sealed where there are recipients.
func (s *store) sealedStream(plain io.Reader) (*countingHash, error) {
	if !s.seals() {
		return &countingHash{in: plain, hash: sha256.New()}, nil
	}
	sealed, err := s.keys.Recipients.Reader(plain)
	return &countingHash{in: sealed, hash: sha256.New()}, err
}

// Write takes further bytes of the object.
func (u *upload) Write(p []byte) (int, error) {
	n, err := u.buffer.Write(p)
	u.offset += int64(n)
	return n, err
}

// finish ends the object; the group's Wait tells when it is durable.
func (u *upload) finish() error {
	err := u.buffer.Flush()
	_ = u.pipe.CloseWithError(err) // never fails; nil is the end of the file
	return err
}

// abandon makes the Put fail.
func (u *upload) abandon(err error) { _ = u.pipe.CloseWithError(err) }

// countingHash sums up what passes through it.
type countingHash struct {
	in   io.Reader
	hash hash.Hash
	size int64
}

func (c *countingHash) Read(p []byte) (int, error) {
	n, err := c.in.Read(p)
	c.hash.Write(p[:n])
	c.size += int64(n)
	return n, err
}

func (c *countingHash) stored() stored {
	return stored{size: c.size, sum: [32]byte(c.hash.Sum(nil))}
}
