package catalog

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"slices"

	"github.com/klauspost/compress/zstd"
)

const (
	// maxStoredFrame bounds the stored bytes of a frame: what zstd adds to incompressible bytes is far less.
	maxStoredFrame = FrameSize + 4<<10
	// maxBlock bounds the plain bytes of a block of the index, of its pack table and of its directory.
	maxBlock = 64 << 20
)

// frameEncoder compresses frames, each on its own. It is not safe for concurrent use.
type frameEncoder struct {
	zstd   *zstd.Encoder
	stored []byte // of the last frame
	zeros  []byte // a whole frame of zeros, stored; nil until one was met
}

// newFrameEncoder makes an encoder of small memory: no frame is longer than its window.
func newFrameEncoder() (*frameEncoder, error) {
	encoder, err := zstd.NewWriter(nil,
		zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(FrameSize),
		zstd.WithEncoderCRC(true), zstd.WithZeroFrames(true), zstd.WithLowerEncoderMem(true))
	if err != nil {
		return nil, fmt.Errorf("set up zstd: %w", err)
	}
	return &frameEncoder{zstd: encoder}, nil
}

// encode returns the stored bytes of one frame, valid until the next call.
func (e *frameEncoder) encode(plain []byte) []byte {
	if len(plain) == FrameSize && allZero(plain) {
		return e.encodeZeros(plain)
	}
	e.stored = e.zstd.EncodeAll(plain, e.stored[:0])
	return e.stored
}

// encodeZeros compresses a frame of zeros only once.
func (e *frameEncoder) encodeZeros(plain []byte) []byte {
	if e.zeros == nil {
		e.zeros = e.zstd.EncodeAll(plain, nil)
	}
	return e.zeros
}

func allZero(b []byte) bool {
	return b[0] == 0 && bytes.Equal(b[1:], b[:len(b)-1])
}

// frameSum is the half of the SHA-256 that stands for stored bytes in the index.
func frameSum(stored []byte) [16]byte {
	whole := sha256.Sum256(stored)
	return [16]byte(whole[:16])
}

// frameDecoder expands frames and the parts of an index, all of them zstd frames. It is safe for concurrent use.
type frameDecoder struct {
	frames *zstd.Decoder // never beyond the capacity of its destination
	blocks *zstd.Decoder // never beyond maxBlock
}

func newFrameDecoder() (*frameDecoder, error) {
	frames, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(0), zstd.WithDecodeAllCapLimit(true))
	if err != nil {
		return nil, fmt.Errorf("set up zstd: %w", err)
	}
	blocks, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(0), zstd.WithDecoderMaxMemory(maxBlock))
	if err != nil {
		return nil, fmt.Errorf("set up zstd: %w", err)
	}
	return &frameDecoder{frames: frames, blocks: blocks}, nil
}

// frame expands a frame of at most FrameSize plain bytes into dst[:0], which grows where it is too short.
func (d *frameDecoder) frame(dst, stored []byte) ([]byte, error) {
	dst = slices.Grow(dst[:0], FrameSize)
	return d.frames.DecodeAll(stored, dst[:0:FrameSize])
}

// block expands a part of an index.
func (d *frameDecoder) block(stored []byte) ([]byte, error) {
	return d.blocks.DecodeAll(stored, nil)
}
