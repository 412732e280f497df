package catalog

import (
	"cmp"
	"context"
	"io"
	"maps"
	"slices"

	"lifeboat/internal/wal"
)

// checkTails checks every piece by itself, and those of each segment together. Pieces that do not follow from the
// segment's start stand for nothing.
func (s *clusterScrub) checkTails() {
	byName := func(a, b wal.FileName) int { return cmp.Compare(a.String(), b.String()) }
	for _, segment := range slices.SortedFunc(maps.Keys(s.tails), byName) {
		pieces := s.tails[segment]
		counted, _ := contiguous(pieces)
		for _, r := range pieces[len(counted):] {
			s.unknown(s.cluster.tailKey(segment, r))
		}
		for _, r := range counted {
			s.checkPiece(s.cluster.tailKey(segment, r), segment)
		}
		if len(counted) == 0 {
			continue
		}
		s.check(s.cluster.tailPrefix(segment), damageWAL, func(ctx context.Context) error {
			return s.cluster.checkTogether(ctx, segment, counted)
		})
	}
}

func (s *clusterScrub) checkPiece(key string, segment wal.FileName) {
	s.check(key, damageWAL, func(ctx context.Context) error {
		h, _, err := s.cluster.provePiece(ctx, key, segment)
		if err == nil {
			err = h.Locked
		}
		return err
	})
}

// checkTogether proves that pieces fit together. What can be said of each of them alone is said elsewhere.
func (c *Cluster) checkTogether(ctx context.Context, segment wal.FileName, pieces []TailRange) error {
	_, err := c.getTail(ctx, segment, pieces, io.Discard)
	if isLocked(err) {
		return nil
	}
	return err
}
