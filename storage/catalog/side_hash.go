package catalog

import (
	"crypto/sha256"
	"hash"
	"sync"
)

// sideHash is a SHA-256 that is computed beside the work of the goroutine that writes to it, so that both together take
// the time of the longer one. Memory: one block of what is written. It is for one goroutine.
type sideHash struct {
	sum   hash.Hash
	block []byte         // a copy of what is being hashed
	busy  sync.WaitGroup // on the block
}

func newSideHash() *sideHash { return &sideHash{sum: sha256.New()} }

// Write takes a copy of p, once the block before is hashed. It never fails.
func (s *sideHash) Write(p []byte) (int, error) {
	s.busy.Wait()
	s.block = append(s.block[:0], p...)
	s.busy.Go(func() { s.sum.Write(s.block) })
	return len(p), nil
}

// sha256 is the sum of all that was written.
func (s *sideHash) sha256() []byte {
	s.busy.Wait()
	return s.sum.Sum(nil)
}
