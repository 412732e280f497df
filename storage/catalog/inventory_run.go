package catalog

import (
	"context"
	"errors"

	"lifeboat/internal/wal"
	"lifeboat/storage"
)

// segmentSpan is a row of segments of a timeline, first and last inclusive.
type segmentSpan struct {
	timeline    wal.TimelineID
	first, last wal.SegmentNumber
}

// takeRun adds a run to the inventory. A segment on the way whose header is damaged is a problem and a hole: what is on
// either side of it becomes a run of its own.
func (c *Cluster) takeRun(ctx context.Context, inv *Inventory, s segmentSpan) error {
	if s.last < s.first {
		return nil
	}
	run := WALRun{
		Timeline: s.timeline,
		From:     wal.Start(s.first, c.identity.WALSegmentSize),
		To:       wal.Start(s.last+1, c.identity.WALSegmentSize),
	}
	for number := s.last; number >= s.first && c.wantsMore(inv, run, number); number-- {
		name := wal.SegmentFile(s.timeline, number, c.identity.WALSegmentSize)
		key, h, err := c.runHeader(ctx, inv, name)
		if isProblem(err) || errors.Is(err, storage.ErrNotFound) {
			inv.noteHole(key, err)
			return c.splitRun(ctx, inv, s, number)
		}
		if err != nil {
			return err
		}
		inv.noteLocked(key, h.Locked)
		run.learn(h.Summary)
	}
	run.Tail = inv.tailEnd(wal.SegmentFile(s.timeline, s.last, c.identity.WALSegmentSize))
	inv.Runs = append(inv.Runs, run)
	return nil
}

// splitRun takes the runs before and behind a segment that is no good.
func (c *Cluster) splitRun(ctx context.Context, inv *Inventory, s segmentSpan, hole wal.SegmentNumber) error {
	before, behind := s, s
	behind.first = hole + 1
	if hole > s.first {
		before.last = hole - 1
		if err := c.takeRun(ctx, inv, before); err != nil {
			return err
		}
	}
	return c.takeRun(ctx, inv, behind)
}

// noteHole remembers why a segment does not count. One that went away meanwhile has no other trace.
func (inv *Inventory) noteHole(key string, err error) {
	if isProblem(err) {
		inv.Problems = append(inv.Problems, Problem{Key: key, Err: err})
	}
}

// wantsMore says whether the header of an earlier segment can still add to the run: the last one always, those before
// while something is unknown that a window could offer.
func (c *Cluster) wantsMore(inv *Inventory, run WALRun, number wal.SegmentNumber) bool {
	size := c.identity.WALSegmentSize
	if wal.Start(number+1, size) == run.To {
		return true
	}
	if run.LastRecord != 0 && !run.LastXactTime.IsZero() {
		return false
	}
	return len(inv.Backups) > 0 && wal.Start(number+1, size) > inv.Backups[0].StopLSN
}

// learn takes from an earlier segment what the later ones did not tell.
func (r *WALRun) learn(s *wal.Summary) {
	if r.LastRecord == 0 {
		r.LastRecord, r.LastRecordEnd = s.LastRecord, s.LastRecordEnd
	}
	if r.LastTime.IsZero() {
		r.LastTime = s.LastTime
	}
	if r.LastXactTime.IsZero() {
		r.LastXactTime = s.LastXactTime
	}
}
