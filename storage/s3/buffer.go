package s3

import (
	"context"

	"golang.org/x/sync/semaphore"
)

const (
	mebibyte = 1 << 20
	// maxWhole is the largest object of known size that is sent with one request.
	maxWhole = 16 * mebibyte
	// minPart is the size of the parts of all objects that need no larger ones.
	minPart = 8 * mebibyte
	// maxParts is how many S3 takes, and parallel how many are on their way at once.
	maxParts, parallel = 10_000, 4
	// spareMemory is for buffers beyond the one that each Put has, shared by all.
	spareMemory = 64 * mebibyte
	// Parts grow after the first evenParts (8 GiB), by growth with each growEvery: some stores want them all alike, and
	// 5 TiB of unknown size must fit.
	evenParts, growEvery, growth = 1000, 100, 13 * mebibyte
)

// partSize is how large a part is to be, counted from one, of an object of the given size, which may be unknown (below
// zero). Parts of an object of known size are all alike.
func partSize(size int64, number int) int64 {
	if size >= 0 {
		even := (size + maxParts - 1) / maxParts
		return max(minPart, (even+mebibyte-1)/mebibyte*mebibyte)
	}
	if number <= evenParts {
		return minPart
	}
	return minPart + growth*int64((number-evenParts-1)/growEvery+1)
}

// buffer holds a piece of an object.
type buffer struct {
	bytes  []byte
	spare  int64 // bytes taken from the shared memory for it, or zero for a Put's own one
	pooled bool
}

// firstPiece gives a buffer for a whole small object, or for the first part.
func (b *Bucket) firstPiece(size int64) *buffer {
	if size >= 0 && size <= maxWhole {
		return b.buffer(size)
	}
	return b.buffer(partSize(size, 1))
}

func (b *Bucket) buffer(size int64) *buffer {
	if size < minPart/2 || size > minPart {
		return &buffer{bytes: make([]byte, size)}
	}
	if kept, ok := b.buffers.Get().(*[]byte); ok {
		return &buffer{bytes: (*kept)[:size], pooled: true}
	}
	return &buffer{bytes: make([]byte, minPart)[:size], pooled: true}
}

// giveBack ends the use of a buffer.
func (b *Bucket) giveBack(f *buffer) {
	b.spare.Release(f.spare)
	if f.pooled {
		whole := f.bytes[:minPart]
		b.buffers.Put(&whole)
	}
	f.bytes, f.spare, f.pooled = nil, 0, false
}

// buffers are those of one Put: its own one, and spare ones as long as there are some. It never waits for another Put,
// which may be waiting for it.
type buffers struct {
	bucket *Bucket
	memory *semaphore.Weighted
	free   chan *buffer // of which a part has been sent
	lent   int          // spare ones
}

func newBuffers(b *Bucket) *buffers {
	return &buffers{bucket: b, memory: b.spare, free: make(chan *buffer, parallel)}
}

// next gives a buffer for a part of the size.
func (f *buffers) next(ctx context.Context, size int64) (*buffer, error) {
	for {
		if f.lent < parallel-1 && len(f.free) == 0 && f.memory.TryAcquire(size) {
			spare := f.bucket.buffer(size)
			spare.spare = size
			f.lent++
			return spare, nil
		}
		select {
		case old := <-f.free:
			if fitting := f.fit(old, size); fitting != nil {
				return fitting, nil
			}
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// fit makes the Put's own buffer larger where it must be, and gives a spare one back that is too small.
func (f *buffers) fit(old *buffer, size int64) *buffer {
	switch {
	case int64(cap(old.bytes)) >= size:
		old.bytes = old.bytes[:size]
		return old
	case old.spare > 0:
		f.bucket.giveBack(old)
		f.lent--
		return nil
	}
	f.bucket.giveBack(old)
	*old = *f.bucket.buffer(size)
	return old
}

// done takes back a buffer whose part has been sent, or never will be.
func (f *buffers) done(b *buffer) { f.free <- b }

// end gives all spare buffers back, once no part is on its way.
func (f *buffers) end() {
	close(f.free)
	for old := range f.free {
		if old.spare > 0 {
			f.bucket.giveBack(old)
		}
	}
}
