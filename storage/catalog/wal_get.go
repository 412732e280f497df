package catalog

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"

	"lifeboat/internal/wal"
)

// GetWAL writes the file of the name to dst and returns its header. Only when err is nil has all of the file been
// proven to be what was archived; until then dst must not be trusted. storage.ErrNotFound where the file is
// authoritatively absent, *DamagedError where its object is not what was stored or belongs elsewhere, seal.ErrNoIdentity
// or *seal.WrongIdentityError where it cannot be opened.
func (c *Cluster) GetWAL(ctx context.Context, name wal.FileName, dst io.Writer) (WALHeader, error) {
	if c.copies != nil {
		return c.copies.getWAL(ctx, name, dst)
	}
	key := c.walKey(name)
	src, err := c.bucket.Get(ctx, key, 0, -1)
	if err != nil {
		return WALHeader{}, fmt.Errorf("read %s: %w", name, err)
	}
	h, err := c.decodeWAL(key, name, src, dst)
	if err := errors.Join(err, src.Close()); err != nil {
		return WALHeader{}, fmt.Errorf("read %s: %w", name, err)
	}
	return h, nil
}

// CheckWAL proves all of the file of the name that can be proven: the file itself where it can be opened, otherwise, as
// Locked in the header says, that what is sealed is what was stored. The other errors are those of GetWAL.
func (c *Cluster) CheckWAL(ctx context.Context, name wal.FileName) (WALHeader, error) {
	if c.copies != nil {
		return ask(ctx, c.copies, func(ctx context.Context, c *Cluster) (WALHeader, error) { return c.CheckWAL(ctx, name) })
	}
	h, _, err := c.checkWAL(ctx, name)
	if err != nil {
		return WALHeader{}, fmt.Errorf("check %s: %w", name, err)
	}
	return h, nil
}

// checkWAL is CheckWAL, and the digest of a sealed object.
func (c *Cluster) checkWAL(ctx context.Context, name wal.FileName) (WALHeader, *walDigest, error) {
	key := c.walKey(name)
	body, err := c.bucket.Get(ctx, key, 0, -1)
	if err != nil {
		return WALHeader{}, nil, err
	}
	h, digest, err := c.proveWAL(key, name, body)
	return h, digest, errors.Join(err, body.Close())
}

// proveWAL is checkWAL for the stored bytes of the object.
func (c *Cluster) proveWAL(key string, name wal.FileName, r io.Reader) (WALHeader, *walDigest, error) {
	var h WALHeader
	src := &sourceErrors{in: r}
	o, err := c.openWAL(key, name, bufio.NewReaderSize(src, walChunk))
	switch {
	case err != nil:
	case o.locked != nil:
		h, err = o.note.header(o.locked), o.checkPayload()
	default:
		h, err = c.unpackWAL(o, &plainWriter{dst: io.Discard, sum: newSideHash()})
	}
	return h, o.digest(), blame(key, src, nil, err)
}

func (c *Cluster) decodeWAL(key string, name wal.FileName, r io.Reader, dst io.Writer) (WALHeader, error) {
	src := &sourceErrors{in: r}
	out := &plainWriter{dst: dst, sum: newSideHash()}
	var h WALHeader
	o, err := c.openWAL(key, name, bufio.NewReaderSize(src, walChunk))
	if err == nil {
		err = o.locked
	}
	if err == nil {
		h, err = c.unpackWAL(o, out)
	}
	out.sum.wait()
	return h, blame(key, src, out.err, err)
}

// blame says whose fault err is: the source's and the destination's own errors, and that there is no identity, are
// returned as such, all else is damage.
func blame(key string, src *sourceErrors, dstErr, err error) error {
	switch {
	case err == nil:
		return nil
	case src.err != nil:
		return src.err
	case dstErr != nil:
		return fmt.Errorf("write plain file: %w", dstErr)
	case isProblem(err), isLocked(err):
		return err
	}
	return &DamagedError{Key: key, Detail: "does not decode", Err: err}
}

// unpackWAL decodes an object that could be opened and checks each of its three checksums.
func (c *Cluster) unpackWAL(o *openedWAL, out *plainWriter) (WALHeader, error) {
	src := newTrailed(o.plain, walChunk)
	h, err := c.readOpenedHeader(o, src)
	if err != nil {
		return h, err
	}
	out.left = h.Size
	if err := c.expand(h.Compression, out, src); err != nil {
		return h, err
	}
	if out.left != 0 || hex.EncodeToString(out.sum.sha256()) != h.SHA256 {
		return h, damaged(o.key, "the plain file is not the one that its header describes")
	}
	if !src.trailerHolds() {
		return h, damaged(o.key, "checksum of the stored bytes does not hold")
	}
	return h, nil
}

// readOpenedHeader reads the header from the start of what was opened, and compares it with the note.
func (c *Cluster) readOpenedHeader(o *openedWAL, r io.Reader) (WALHeader, error) {
	h, err := c.readWALHeader(o.key, o.name, r)
	if err == nil && o.note != nil && !o.note.describes(h) {
		err = damaged(o.key, "note is about another file than the header")
	}
	return h, err
}

// expand reads src to its end.
func (c *Cluster) expand(with Compression, dst io.Writer, src io.Reader) error {
	if err := c.codecs.expand(with, dst, src); err != nil {
		return err
	}
	_, err := io.Copy(io.Discard, src)
	return err
}

// plainWriter passes on no more than left bytes of a file and hashes them.
type plainWriter struct {
	dst  io.Writer
	sum  *sideHash
	left int64
	err  error // of dst
}

func (w *plainWriter) Write(p []byte) (int, error) {
	if int64(len(p)) > w.left {
		return 0, errors.New("the plain file is longer than its header says")
	}
	_, _ = w.sum.Write(p)
	n, err := w.dst.Write(p)
	w.left -= int64(n)
	w.err = err
	return n, err
}

// trailed reads an object up to its trailer, which it keeps back, and hashes what it passes on.
type trailed struct {
	src  io.Reader
	sum  hash.Hash
	buf  []byte
	r, w int // buf[r:w] was read and not yet passed on
	eof  bool
}

func newTrailed(src io.Reader, chunk int) *trailed {
	return &trailed{src: src, sum: sha256.New(), buf: make([]byte, chunk)}
}

func (t *trailed) Read(p []byte) (int, error) {
	for t.w-t.r <= walTrailerSize && !t.eof {
		if err := t.fill(); err != nil {
			return 0, err
		}
	}
	n := copy(p, t.buf[t.r:max(t.r, t.w-walTrailerSize)])
	if n == 0 && len(p) > 0 {
		return 0, io.EOF
	}
	t.sum.Write(p[:n])
	t.r += n
	return n, nil
}

func (t *trailed) fill() error {
	t.w = copy(t.buf, t.buf[t.r:t.w])
	t.r = 0
	n, err := t.src.Read(t.buf[t.w:])
	t.w += n
	if errors.Is(err, io.EOF) {
		t.eof = true
		return nil
	}
	return err
}

// trailerHolds says, once all has been read, whether what was kept back is the trailer of what was passed on.
func (t *trailed) trailerHolds() bool {
	return t.eof && bytes.Equal(t.buf[t.r:t.w], skippableFrame(walTrailerMagic, t.sum.Sum(nil)))
}
