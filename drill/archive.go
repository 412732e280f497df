package drill

import (
	"context"

	"lifeboat/internal/wal"
	"lifeboat/storage/catalog"
)

// archive is what the drill knows of all that the repository holds of its cluster.
type archive struct {
	newest  catalog.Record // backup by its place in the WAL, of those on the drill's way
	run     catalog.WALRun // that recovery ends in
	history wal.TimelineHistory
	gap     *catalog.Gap // in the WAL behind the newest backup, so that the WAL after it is of no use
}

// learnArchive finds the newest backup and how far the archive reaches.
func (d *drill) learnArchive(ctx context.Context) error {
	inventory, err := d.Cluster.Inventory(ctx)
	if err != nil {
		return err
	}
	a := &d.archive
	var reached, known bool
	a.run, reached = inventory.ReachFrom(d.plan.Record(), d.plan.Timeline)
	a.history, known = inventory.History(d.plan.Timeline)
	if !reached || !known {
		return errWALGone
	}
	a.newest = a.newestOf(inventory.Backups)
	a.gap = a.openGap(inventory.Gaps())
	return nil
}

// newestOf is the last backup on the drill's way. Positions count, since clocks may have been set back.
func (a *archive) newestOf(backups []catalog.Record) (newest catalog.Record) {
	for _, b := range backups {
		if a.onPath(b.Timeline, b.StopLSN-1) && b.StopLSN > newest.StopLSN {
			newest = b
		}
	}
	return newest
}

// openGap is the first gap on the drill's way that no backup has come after.
func (a *archive) openGap(gaps []catalog.Gap) *catalog.Gap {
	for _, gap := range gaps {
		_, _, onPath := a.history.Span(gap.Timeline)
		if onPath && gap.From >= a.newest.StopLSN {
			return &gap
		}
	}
	return nil
}

// onPath says whether a position of a timeline lies on the drill's way.
func (a *archive) onPath(timeline wal.TimelineID, at wal.LSN) bool {
	from, to, ok := a.history.Span(timeline)
	return ok && at >= from && (to == 0 || at < to)
}
