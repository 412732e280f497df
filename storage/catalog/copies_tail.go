package catalog

import (
	"cmp"
	"context"
	"errors"
	"slices"

	"lifeboat/internal/wal"
	"lifeboat/storage"
)

// decide does something in the nearest copy that can be reached. What that copy refuses because it knows better is not done
// in another one.
func (s *copies) decide(ctx context.Context, op func(context.Context, *Cluster) error) error {
	var refused error
	err := put(ctx, s, func(ctx context.Context, c *Cluster) error {
		err := op(ctx, c)
		if Contradicts(err) || errors.Is(err, ErrLeaseHeld) {
			refused = err
			return nil
		}
		return err
	})
	return cmp.Or(err, refused)
}

// Nearest does something in the nearest copy that can be reached, or in the cluster itself where there is one only. The
// others do not count, so op must be content with what one copy knows.
func (c *Cluster) Nearest(ctx context.Context, op func(context.Context, *Cluster) error) error {
	if c.copies == nil {
		return op(ctx, c)
	}
	return c.copies.decide(ctx, op)
}

// tailPieces are the pieces that any copy has: a segment's tail may have been begun in one and continued in another. All
// must answer.
func (s *copies) tailPieces(ctx context.Context, segment wal.FileName) ([]TailRange, error) {
	all := askEach(ctx, s, true, func(ctx context.Context, c *Cluster) ([]TailRange, error) { return c.tailPieces(ctx, segment) })
	if err := errorOf(all); err != nil {
		return nil, err
	}
	var pieces []TailRange
	for _, h := range all {
		pieces = append(pieces, h.value...)
	}
	return sortedPieces(pieces), nil
}

// sortedPieces are the pieces in order, each once.
func sortedPieces(pieces []TailRange) []TailRange {
	slices.SortFunc(pieces, func(a, b TailRange) int { return cmp.Or(cmp.Compare(a.From, b.From), cmp.Compare(a.To, b.To)) })
	return slices.Compact(pieces)
}

// dropTail drops the tail in each copy that has the segment whole. In the others, and in those that are away, it is left to
// expiry.
func (s *copies) dropTail(ctx context.Context, segment wal.FileName) error {
	var errs []error
	for _, o := range s.list {
		if o.away.Load() {
			continue
		}
		_, err := tryCopy(hurried(ctx, false), s, o, func(ctx context.Context, c *Cluster) (struct{}, error) {
			return struct{}{}, c.DropTail(ctx, segment)
		})
		if !errors.Is(err, storage.ErrNotFound) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// takePieces lists the pieces of all tails. It comes before the runs, see takeRuns.
func (c *Cluster) takePieces(ctx context.Context, part *Inventory) (err error) {
	part.pieces, err = c.tails(ctx)
	return err
}

// takeWholeRuns takes the runs of whole segments.
func (c *Cluster) takeWholeRuns(ctx context.Context, part *Inventory) error {
	return c.takeRunsWith(ctx, part, nil)
}

// unionOfPieces are the pieces that any copy has.
func unionOfPieces(parts []heard[*Inventory]) storedTails {
	union := storedTails{}
	for _, part := range parts {
		for segment, pieces := range part.value.pieces {
			union[segment] = sortedPieces(append(union[segment], pieces...))
		}
	}
	return union
}

// addTailRuns adds the tails that stand for segments which no copy has whole.
func (c *Cluster) addTailRuns(ctx context.Context, inv *Inventory, tails storedTails) error {
	latest := map[wal.TimelineID]wal.SegmentNumber{}
	for _, run := range inv.Runs {
		last := wal.SegmentOf(run.To, inv.Identity.WALSegmentSize) - 1
		latest[run.Timeline] = max(latest[run.Timeline], last)
	}
	inv.keepTails(tails, latest, inv.Holds)
	for segment := range inv.tails {
		number := segment.SegmentNumber(inv.Identity.WALSegmentSize)
		if err := c.takeRun(ctx, inv, segmentSpan{timeline: segment.Timeline, first: number, last: number}); err != nil {
			return err
		}
	}
	inv.Runs = joinRuns(inv.Runs)
	return nil
}
