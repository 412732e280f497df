package catalog

import (
	"crypto/sha256"
	"hash"
	"sync"
)

// sideHash is a SHA-256, and further hashes where they are wanted, that are computed beside the work of the goroutine
// that writes to it, so that all together take the time of the longer one. Memory: one block of what is written. It is
// for one goroutine.
type sideHash struct {
	sums  []hash.Hash
	block []byte         // a copy of what is being hashed
	busy  sync.WaitGroup // on the block
}

func newSideHash(more ...hash.Hash) *sideHash {
	return &sideHash{sums: append([]hash.Hash{sha256.New()}, more...)}
}

// Write takes a copy of p, once the block before is hashed. It never fails.
func (s *sideHash) Write(p []byte) (int, error) {
	s.wait()
	s.block = append(s.block[:0], p...)
	s.busy.Go(func() {
		for _, sum := range s.sums {
			sum.Write(s.block)
		}
	})
	return len(p), nil
}

// borrow is Write without a copy: p must stay as it is until wait returns.
func (s *sideHash) borrow(p []byte) {
	s.wait()
	s.busy.Go(func() {
		for _, sum := range s.sums {
			sum.Write(p)
		}
	})
}

// wait returns when all that was written is hashed.
func (s *sideHash) wait() { s.busy.Wait() }

// sha256 is the SHA-256 of all that was written.
func (s *sideHash) sha256() []byte {
	s.wait()
	return s.sums[0].Sum(nil)
}
