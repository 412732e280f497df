package restore

import (
	"context"
	"time"

	"lifeboat/internal/wal"
)

// stop is a record at which recovery stops.
type stop struct {
	lsn  wal.LSN   // of its first byte
	end  wal.LSN   // behind its last byte
	time time.Time // of the transaction or restore point
	of   wal.TransactionID
}

// stopsAtTime says whether recovery to t stops at a transaction that ended at that time
// (recoveryStopsBefore in xlogrecovery.c). Restore points have times, but recovery does not stop there.
func (t Target) stopsAtTime(at time.Time) bool {
	if t.Exclusive {
		return !at.Before(t.Time)
	}
	return at.After(t.Time)
}

// endOfXact is a record that ends a transaction, prepared ones when they end at last.
func endOfXact(r *wal.Record) (wal.XactEnd, bool) {
	end, ok := r.XactEnd()
	return end, ok && end.Kind != wal.PreparedXact
}

// locateTime finds the first transaction's end at which recovery to the time stops. The headers say where to start
// looking; a record that crosses from one segment to the next is in no header, hence the look begins one segment early.
func (t *trail) locateTime(ctx context.Context, target Target) (*stop, error) {
	first := t.firstCandidate(func(s *wal.Summary) bool { return !s.LastXactTime.IsZero() && target.stopsAtTime(s.LastXactTime) })
	if first < 0 {
		first = t.lastWithXacts()
	}
	var found *stop
	err := t.eachRecord(ctx, max(0, first-1), func(r *wal.Record) error {
		end, ok := endOfXact(r)
		if !ok || !target.stopsAtTime(end.Time) {
			return nil
		}
		found = &stop{lsn: r.LSN, end: r.End, time: end.Time, of: end.XID}
		return errStopReplay
	})
	return found, err
}

func (t *trail) firstCandidate(suits func(*wal.Summary) bool) int {
	for i, s := range t.segments {
		if suits(s.summary) {
			return i
		}
	}
	return -1
}

// lastWithXacts is the last segment with the end of a transaction; 0 where there is none.
func (t *trail) lastWithXacts() int {
	for i := len(t.segments) - 1; i > 0; i-- {
		if t.segments[i].summary.MaxXID != 0 {
			return i
		}
	}
	return 0
}

// locateName finds all restore points of the name. Those that cross from one segment to the next are in no header: only
// where no header has the name are all records read.
func locateName(ctx context.Context, trails []*trail, name string) ([]stop, error) {
	var found []stop
	for _, t := range trails {
		for _, point := range t.restorePoints() {
			if point.Name == name {
				found = append(found, stop{end: point.LSN, time: point.Time})
			}
		}
	}
	if len(found) > 0 {
		return found, nil
	}
	for _, t := range trails {
		err := t.eachRecord(ctx, 0, func(r *wal.Record) error {
			if point, ok := r.RestorePoint(); ok && point.Name == name {
				found = append(found, stop{lsn: r.LSN, end: r.End, time: point.Time})
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return found, nil
}

// restorePoints are those that the headers tell of, in order, from the backup's start on.
func (t *trail) restorePoints() []wal.RestorePoint {
	var points []wal.RestorePoint
	for _, s := range t.segments {
		for _, point := range s.summary.RestorePoints {
			if point.LSN > t.record.StartLSN {
				points = append(points, point)
			}
		}
	}
	return points
}

// locateXID finds the end of a top-level transaction, and otherwise the top-level transaction whose part it was.
func (t *trail) locateXID(ctx context.Context, xid wal.TransactionID) (found, parent *stop, err error) {
	first := t.firstCandidate(func(s *wal.Summary) bool { return mayHold(s, xid) })
	if first >= 0 {
		if found, parent, err = t.scanXID(ctx, xid, max(0, first-1), first+1); found != nil || parent != nil || err != nil {
			return found, parent, err
		}
	}
	return t.scanXID(ctx, xid, 0, len(t.segments))
}

// mayHold uses that an id between the least and the greatest, modulo 2^32, may be there, and no other.
func mayHold(s *wal.Summary, xid wal.TransactionID) bool {
	return s.MaxXID != 0 && !xid.Precedes(s.MinXID) && !s.MaxXID.Precedes(xid)
}

func (t *trail) scanXID(ctx context.Context, xid wal.TransactionID, first, until int) (found, parent *stop, err error) {
	limit := t.segments[min(until, len(t.segments))-1].name.Start(t.size()) + wal.LSN(t.size())
	err = t.eachRecord(ctx, first, func(r *wal.Record) error {
		if r.LSN >= limit {
			return errStopReplay
		}
		end, ok := endOfXact(r)
		if !ok {
			return nil
		}
		at := &stop{lsn: r.LSN, end: r.End, time: end.Time, of: end.XID}
		if end.XID == xid {
			found = at
			return errStopReplay
		}
		for _, sub := range end.SubXIDs {
			if sub == xid {
				parent = at
				return errStopReplay
			}
		}
		return nil
	})
	return found, parent, err
}
