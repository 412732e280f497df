package restore

import (
	"context"
	"fmt"

	"lifeboat/internal/wal"
)

// beforeDDL takes the newest commit that changed the schema, in the last window that has one.
func (p *planner) beforeDDL(ctx context.Context, candidates []candidate) (Chosen, error) {
	for _, c := range endsOnce(candidates) {
		t, err := p.trail(ctx, c)
		if err != nil {
			return Chosen{}, err
		}
		found, err := t.lastSchemaChange(ctx)
		if err != nil {
			return Chosen{}, err
		}
		if found != nil && found.Before >= c.record.StopLSN {
			return Chosen{
				Target: Target{Kind: KindLSN, LSN: found.Before, Exclusive: true},
				Why: fmt.Sprintf("just before transaction %d changed the schema at %s (commit at %s): %s",
					found.XID, FormatTime(found.Time), found.LSN, found.What),
			}, nil
		}
	}
	return Chosen{}, p.unreachable("no transaction has changed the schema behind a backup on timeline %d", p.timeline)
}

// lastSchemaChange looks from the end of the trail backwards, each time at as much again, until it has seen all that can
// make a difference. nil: there is none.
func (t *trail) lastSchemaChange(ctx context.Context) (*wal.SchemaCommit, error) {
	for some := 1; ; some *= 2 {
		first := max(0, len(t.segments)-some)
		found, sure, err := t.schemaChangeFrom(ctx, first)
		if err != nil || first == 0 || found != nil && sure {
			return found, err
		}
	}
}

// schemaChangeFrom is the newest change from a segment on. It is sure where no later transaction began before that
// segment and may have changed the schema there.
func (t *trail) schemaChangeFrom(ctx context.Context, first int) (found *wal.SchemaCommit, sure bool, err error) {
	watch := wal.NewSchemaWatch()
	err = t.eachRecord(ctx, first, func(r *wal.Record) error {
		commit, ok := watch.Next(r)
		switch {
		case ok && commit.Changed:
			found, sure = &commit, true
		case ok && !commit.Whole:
			sure = false
		}
		return nil
	})
	return found, sure, err
}
