package catalog

import (
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

// headerChunk is how many bytes are read for a header at a time.
const headerChunk = 4 << 10

// GetWAL writes the file of the name to dst and returns its header. Only when err is nil has all of the file been
// proven to be what was archived; until then dst must not be trusted. storage.ErrNotFound where the file is
// authoritatively absent, *DamagedError where its object is not what was stored or belongs elsewhere.
func (c *Cluster) GetWAL(ctx context.Context, name wal.FileName, dst io.Writer) (WALHeader, error) {
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

// WALHeader reads the header of the file of the name and no more, so the file itself stays unproven. The errors are
// those of GetWAL.
func (c *Cluster) WALHeader(ctx context.Context, name wal.FileName) (WALHeader, error) {
	key := c.walKey(name)
	src, err := c.bucket.Get(ctx, key, 0, -1)
	if err != nil {
		return WALHeader{}, fmt.Errorf("read header of %s: %w", name, err)
	}
	t := newTrailed(src, headerChunk)
	h, err := c.readWALHeader(key, name, t)
	err = blame(key, t, nil, err)
	if err := errors.Join(err, src.Close()); err != nil {
		return WALHeader{}, fmt.Errorf("read header of %s: %w", name, err)
	}
	return h, nil
}

func (c *Cluster) decodeWAL(key string, name wal.FileName, r io.Reader, dst io.Writer) (WALHeader, error) {
	src := newTrailed(r, walChunk)
	out := &plainWriter{dst: dst, sum: newSideHash()}
	h, err := c.unpackWAL(key, name, src, out)
	return h, blame(key, src, out.err, err)
}

// blame says whose fault err is: the source's and the destination's own errors are returned as such, all else is
// damage.
func blame(key string, src *trailed, dstErr, err error) error {
	var known *DamagedError
	var version *VersionError
	switch {
	case err == nil:
		return nil
	case src.err != nil:
		return src.err
	case dstErr != nil:
		return fmt.Errorf("write plain file: %w", dstErr)
	case errors.As(err, &known), errors.As(err, &version):
		return err
	}
	return &DamagedError{Key: key, Detail: "does not decode", Err: err}
}

// unpackWAL decodes the object and checks each of its three checksums.
func (c *Cluster) unpackWAL(key string, name wal.FileName, src *trailed, out *plainWriter) (WALHeader, error) {
	h, err := c.readWALHeader(key, name, src)
	if err != nil {
		return h, err
	}
	out.left = h.Size
	if err := c.decompress(out, src); err != nil {
		return h, err
	}
	if out.left != 0 || hex.EncodeToString(out.sum.sha256()) != h.SHA256 {
		return h, damaged(key, "the plain file is not the one that its header describes")
	}
	if !src.trailerHolds() {
		return h, damaged(key, "checksum of the stored bytes does not hold")
	}
	return h, nil
}

// decompress reads src to its end.
func (c *Cluster) decompress(dst io.Writer, src io.Reader) error {
	dec, err := c.codecs.decoder()
	if err != nil {
		return err
	}
	defer c.codecs.putDecoder(dec)
	if err := dec.Reset(src); err != nil {
		return err
	}
	if _, err := dec.WriteTo(dst); err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, src)
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
	err  error // of src
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
	t.err = err
	return err
}

// trailerHolds says, once all has been read, whether what was kept back is the trailer of what was passed on.
func (t *trailed) trailerHolds() bool {
	return t.eof && bytes.Equal(t.buf[t.r:t.w], skippableFrame(walTrailerMagic, t.sum.Sum(nil)))
}
