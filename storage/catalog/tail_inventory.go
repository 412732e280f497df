package catalog

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"lifeboat/internal/wal"
	"lifeboat/storage"
)

// storedTails are all pieces of all tails, by segment and in order.
type storedTails map[wal.FileName][]TailRange

func (c *Cluster) tails(ctx context.Context) (storedTails, error) {
	found := storedTails{}
	for info, err := range c.bucket.List(ctx, c.tailsPrefix()) {
		if err != nil {
			return nil, fmt.Errorf("list tails: %w", err)
		}
		if segment, r, ok := c.parseTailKey(info.Key); ok {
			found[segment] = append(found[segment], r)
		}
	}
	return found, nil
}

// addTails adds the segments that recovery gets from their tails to those that are stored whole.
func (inv *Inventory) addTails(segments map[wal.TimelineID][]wal.SegmentNumber, tails storedTails) {
	latest := map[wal.TimelineID]wal.SegmentNumber{}
	for tli, numbers := range segments {
		latest[tli] = slices.Max(numbers)
	}
	inv.keepTails(tails, latest, func(name wal.FileName) bool {
		return slices.Contains(segments[name.Timeline], name.SegmentNumber(inv.Identity.WALSegmentSize))
	})
	for segment := range inv.tails {
		segments[segment.Timeline] = append(segments[segment.Timeline], segment.SegmentNumber(inv.Identity.WALSegmentSize))
	}
}

// keepTails keeps the tails that stand for segments which are not stored whole: those that reach to their end, and that of
// the last segment of a timeline. Latest are the last whole ones.
func (inv *Inventory) keepTails(tails storedTails, latest map[wal.TimelineID]wal.SegmentNumber, whole func(wal.FileName) bool) {
	size := inv.Identity.WALSegmentSize
	latest = maps.Clone(latest)
	for segment := range tails {
		latest[segment.Timeline] = max(latest[segment.Timeline], segment.SegmentNumber(size))
	}
	inv.tails = map[wal.FileName]TailRange{}
	for segment, pieces := range tails {
		counted, end := contiguous(pieces)
		last := segment.SegmentNumber(size) == latest[segment.Timeline] || uint64(end) == uint64(size)
		if end != 0 && last && !whole(segment) {
			inv.tails[segment] = lastOf(counted)
		}
	}
}

// tailEnd is where the tail ends that stands for a segment; 0 where the segment is whole.
func (inv *Inventory) tailEnd(segment wal.FileName) wal.LSN {
	size := inv.Identity.WALSegmentSize
	last, ok := inv.tails[segment]
	if !ok || uint64(last.To) == uint64(size) {
		return 0
	}
	return segment.Start(size) + wal.LSN(last.To)
}

// runHeader is the header of a segment of a run, and the key of its object. Where that is a piece of a tail that is gone
// meanwhile, a longer one or the segment has come in its place.
func (c *Cluster) runHeader(ctx context.Context, inv *Inventory, name wal.FileName) (string, WALHeader, error) {
	last, ok := inv.tails[name]
	if !ok {
		h, err := c.WALHeader(ctx, name)
		return c.walKey(name), h, err
	}
	h, err := c.pieceHeader(ctx, name, last)
	if !errors.Is(err, storage.ErrNotFound) {
		return c.tailKey(name, last), h, err
	}
	h, err = c.SegmentHeader(ctx, name)
	if err != nil || h.piece == nil {
		delete(inv.tails, name)
		return c.walKey(name), h, err
	}
	inv.tails[name] = *h.piece
	return c.tailKey(name, *h.piece), h, nil
}
