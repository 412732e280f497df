package catalog

import (
	"runtime"
	"sync/atomic"

	"github.com/klauspost/compress/s2"
	"github.com/klauspost/compress/zstd"
	"golang.org/x/sync/semaphore"
)

// maxWindow is the largest window of a zstd frame that is decoded, in bytes; it bounds a decoder's memory.
const maxWindow = 8 << 20

// codecs keeps the encoders, decoders and spools of WAL objects for their next use, since they are dear to make.
type codecs struct {
	// sending is the memory of objects that are made and not yet stored. Who makes them waits for it, and not who sends.
	sending *semaphore.Weighted

	encoders  *spares[*zstd.Encoder]
	decoders  *spares[*zstd.Decoder]
	s2Writers *spares[*s2.Writer]
	s2Readers *spares[*s2.Reader]
	spools    *spares[*byteSpool]
	typical   atomic.Int64 // how many bytes the last spool held, which the next one gets at once
}

// sendingMemory is how many bytes of made objects may wait for the store; one that is larger may be alone. As much is kept
// of it for the objects to come.
const sendingMemory = 16 << 20

func newCodecs() *codecs {
	n := runtime.GOMAXPROCS(0)
	return &codecs{
		sending: semaphore.NewWeighted(sendingMemory), encoders: newSpares[*zstd.Encoder](n), decoders: newSpares[*zstd.Decoder](n),
		s2Writers: newSpares[*s2.Writer](n), s2Readers: newSpares[*s2.Reader](n),
		spools: newWeighedSpares(sendingMemory, func(s *byteSpool) int { return cap(s.memory) }),
	}
}

// walWindow is how far back the encoder looks for repetitions, in bytes: more finds hardly any, and costs memory.
const walWindow = 1 << 20

// encoder is one that works in the calling goroutine: files are compressed side by side, and one alone is faster so, too,
// where the other processors have their own work. It must be Reset before use and put back after it.
func (c *codecs) encoder() (*zstd.Encoder, error) {
	if e, ok := c.encoders.take(); ok {
		return e, nil
	}
	return zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1),
		zstd.WithEncoderCRC(true), zstd.WithWindowSize(walWindow))
}

// putEncoder takes an encoder back, without what it last wrote to.
func (c *codecs) putEncoder(e *zstd.Encoder) {
	e.Reset(nil)
	c.encoders.put(e)
}

// decoder is one that works in the calling goroutine. It must be Reset before use and put back after it.
func (c *codecs) decoder() (*zstd.Decoder, error) {
	if d, ok := c.decoders.take(); ok {
		return d, nil
	}
	return zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(maxWindow))
}

// putDecoder takes a decoder back, without what it last read from.
func (c *codecs) putDecoder(d *zstd.Decoder) {
	if d.Reset(nil) == nil {
		c.decoders.put(d)
	}
}

// spool is an empty one, to be put back after use.
func (c *codecs) spool() *byteSpool {
	if s, ok := c.spools.take(); ok {
		return s
	}
	fresh := newByteSpool()
	fresh.memory = make([]byte, 0, c.typical.Load())
	return fresh
}

// putSpool takes a spool back.
func (c *codecs) putSpool(s *byteSpool) {
	held := len(s.memory)
	if s.reset() == nil {
		c.typical.Store(int64(held + held/8))
		c.spools.put(s)
	}
}
