package catalog

import (
	"fmt"
	"io"

	"github.com/klauspost/compress/s2"
)

// Compression is how the content of new WAL objects is compressed. Who reads goes by what an object's header says,
// whatever is configured.
type Compression string

// The compressions.
const (
	Zstd Compression = "zstd" // the default, which the zstd tool expands
	S2   Compression = "s2"   // takes a third of the processor time, and twice the room; the s2d tool expands it
)

// Compressing is the same cluster, whose new WAL objects are compressed in that way. The cluster at hand stays as it is.
func (c *Cluster) Compressing(with Compression) *Cluster {
	compressing := *c
	compressing.compression = with
	return &compressing
}

// stored is how a header says it: zstd, which was there first, needs no word.
func (c Compression) stored() string {
	if c == S2 {
		return string(S2)
	}
	return ""
}

// documentVersion is that of the header of an object: only who knows s2 may read one that holds it.
func (c Compression) documentVersion() int {
	if c == S2 {
		return documentVersionS2
	}
	return documentVersion
}

// compressionOf proves that what a header says and its document's version belong together.
func compressionOf(key, stored string, version int) (Compression, error) {
	with := Zstd
	if stored == string(S2) {
		with = S2
	}
	if with.stored() != stored || with.documentVersion() != version {
		return with, damaged(key, "compression %q in a header of version %d, which never was", stored, version)
	}
	return with, nil
}

// compressor is for one content of size bytes, which Close ends, and goes to dst; done ends its use.
func (c *codecs) compressor(with Compression, dst io.Writer, size int64) (to io.WriteCloser, done func(), err error) {
	if with == S2 {
		w := c.s2Writer()
		w.Reset(dst)
		return w, func() { c.putS2Writer(w) }, nil
	}
	enc, err := c.encoder()
	if err != nil {
		return nil, nil, err
	}
	enc.ResetContentSize(dst, size)
	return enc, func() { c.putEncoder(enc) }, nil
}

// expand writes what src holds to dst.
func (c *codecs) expand(with Compression, dst io.Writer, src io.Reader) error {
	if with == S2 {
		return c.expandS2(dst, src)
	}
	dec, err := c.decoder()
	if err != nil {
		return err
	}
	defer c.putDecoder(dec)
	if err := dec.Reset(src); err != nil {
		return err
	}
	_, err = dec.WriteTo(dst)
	return err
}

func (c *codecs) expandS2(dst io.Writer, src io.Reader) error {
	r := c.s2Reader()
	defer c.putS2Reader(r)
	r.Reset(src)
	if _, err := io.CopyBuffer(dst, r, make([]byte, walChunk)); err != nil {
		return fmt.Errorf("expand: %w", err)
	}
	return nil
}

// s2Block is how many bytes are compressed at a time, and the most that is expanded; it bounds the memory of both.
const s2Block = 1 << 20

// s2Writer is one that works in the calling goroutine. It must be Reset before use and put back after it.
func (c *codecs) s2Writer() *s2.Writer {
	if w, ok := c.s2Writers.take(); ok {
		return w
	}
	return s2.NewWriter(nil, s2.WriterConcurrency(1), s2.WriterBlockSize(s2Block))
}

// putS2Writer takes a writer back, without what it last wrote to.
func (c *codecs) putS2Writer(w *s2.Writer) {
	w.Reset(nil)
	c.s2Writers.put(w)
}

// s2Reader is one that works in the calling goroutine. It must be Reset before use and put back after it.
func (c *codecs) s2Reader() *s2.Reader {
	if r, ok := c.s2Readers.take(); ok {
		return r
	}
	return s2.NewReader(nil, s2.ReaderMaxBlockSize(s2Block))
}

// putS2Reader takes a reader back, without what it last read from.
func (c *codecs) putS2Reader(r *s2.Reader) {
	r.Reset(nil)
	c.s2Readers.put(r)
}
