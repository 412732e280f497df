package catalog

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"time"
)

// walChunk is how many bytes of a WAL file are compressed at a time.
const walChunk = 256 << 10

// errChanged says that a file is not the one that was announced.
var errChanged = errors.New("file changed while it was archived")

// walObject is the object of a WAL file, made and not yet stored.
type walObject struct {
	header WALHeader
	parts  chain
}

// encodeWAL reads the file once and makes its object in the spool: header frame, one zstd frame, trailer frame.
func (c *Cluster) encodeWAL(f WALFile, now time.Time, content *byteSpool) (walObject, error) {
	sums, err := c.compressWAL(f, content)
	if err != nil {
		return walObject{}, err
	}
	object := walObject{header: WALHeader{
		Name:             f.Name.String(),
		SystemIdentifier: c.identity.SystemIdentifier,
		Size:             f.Size,
		SHA256:           hex.EncodeToString(sums.sha256()),
		ArchivedAt:       now.UTC(),
		Summary:          f.Summary,
	}}
	frame, err := encodeWALHeader(object.header)
	if err != nil {
		return walObject{}, err
	}
	stored := sha256.New()
	stored.Write(frame)
	if _, err := io.Copy(stored, content.reader()); err != nil {
		return walObject{}, fmt.Errorf("read what was compressed: %w", err)
	}
	trailer := skippableFrame(walTrailerMagic, stored.Sum(nil))
	object.parts = chain{sectionOf(frame), content.reader(), sectionOf(trailer)}
	return object, nil
}

func sectionOf(b []byte) *io.SectionReader {
	return io.NewSectionReader(bytes.NewReader(b), 0, int64(len(b)))
}

// compressWAL compresses the file into dst and hashes it on the way. A file that does not have the size that it says is
// errChanged.
func (c *Cluster) compressWAL(f WALFile, dst io.Writer) (*sideHash, error) {
	src, err := f.Open()
	if err != nil {
		return nil, fmt.Errorf("open: %w", err)
	}
	sums := newSideHash()
	err = c.compress(dst, io.TeeReader(src, sums), f.Size)
	return sums, errors.Join(err, src.Close())
}

// compress makes one zstd frame of src, which must have exactly size bytes.
func (c *Cluster) compress(dst io.Writer, src io.Reader, size int64) error {
	enc, err := c.codecs.encoder()
	if err != nil {
		return err
	}
	defer c.codecs.putEncoder(enc)
	enc.ResetContentSize(dst, size)
	n, err := copyChunks(enc, io.LimitReader(src, size+1))
	if err != nil {
		return err
	}
	if n != size {
		return fmt.Errorf("%d bytes where %d were announced: %w", n, size, errChanged)
	}
	if err := enc.Close(); err != nil {
		return fmt.Errorf("compress: %w", err)
	}
	return nil
}

// copyChunks copies src to its end, in whole chunks, which the encoder's frames are the same for.
func copyChunks(dst io.Writer, src io.Reader) (int64, error) {
	chunk := make([]byte, walChunk)
	var total int64
	for {
		n, err := io.ReadFull(src, chunk)
		total += int64(n)
		if _, err := dst.Write(chunk[:n]); err != nil {
			return total, err
		}
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return total, nil
		}
		if err != nil {
			return total, err
		}
	}
}
