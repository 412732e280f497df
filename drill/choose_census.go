package drill

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"lifeboat/internal/wal"
	"lifeboat/restore"
	"lifeboat/verify/census"
)

// prepareCensus finds a census to compare with and plans the recovery to it. Where that cannot be done, the drill goes
// on, and the check of the rows says why.
func (d *drill) prepareCensus(ctx context.Context) error {
	tried, err := d.chooseCensus(ctx)
	if err == nil {
		err = d.planStops(ctx)
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	switch {
	case err != nil:
		d.stops = []stop{{plan: d.plan, isTarget: true}}
		d.forgoRows(verdictOf(err), words(err))
	case tried == 0:
		d.forgoRows(Unproven, "there is no census to compare with: take one with 'lifeboat census' and drill again")
	case d.census == nil:
		d.forgoRows(Unproven, fmt.Sprintf("none of the %d censuses lies between the end of backup %s at %s and the end of the archived WAL at %s: take one with 'lifeboat census' and drill again",
			tried, d.plan.Backup.Label, d.plan.Backup.StopLSN, d.archive.run.LastRecordEnd))
	}
	return nil
}

func (d *drill) forgoRows(result Verdict, why string) {
	d.census, d.result.Census = nil, ""
	d.checks.set(CheckRows, result, "%s", why)
	d.result.Rows.Why = why
}

// chooseCensus takes the newest census whose stops this drill can reach. One that cannot be read is an error rather than
// a reason to take an older one.
func (d *drill) chooseCensus(ctx context.Context) (tried int, err error) {
	ids, err := d.Cluster.CensusIDs(ctx)
	if err != nil {
		return 0, err
	}
	for _, id := range slices.Backward(ids) {
		raw, err := d.Cluster.Census(ctx, id)
		if err != nil {
			return len(ids), err
		}
		var c census.Census
		if err := json.Unmarshal(raw, &c); err != nil {
			return len(ids), fmt.Errorf("census %s: %w", id, err)
		}
		if err := d.isOf(&c); err != nil {
			return len(ids), err
		}
		if d.reaches(&c) {
			d.census, d.result.Census = &c, id
			break
		}
		d.noteBeyond(&c)
	}
	return len(ids), nil
}

// reaches says whether all of a census's stops lie on this drill's way.
func (d *drill) reaches(c *census.Census) bool {
	for _, at := range c.Stops() {
		if at < d.plan.Backup.StopLSN || at > d.archive.run.LastRecord || !d.archive.onPath(c.Timeline, at) {
			return false
		}
	}
	return true
}

// planStops adds the census's stops to the drill's own, in the order of the WAL.
func (d *drill) planStops(ctx context.Context) error {
	if d.census == nil {
		return nil
	}
	for _, at := range d.census.Stops() {
		if err := d.addStop(ctx, at); err != nil {
			return err
		}
	}
	slices.SortStableFunc(d.stops, func(a, b stop) int { return compareStops(a.plan, b.plan) })
	return nil
}

func (d *drill) addStop(ctx context.Context, at wal.LSN) error {
	counts := d.census.At(at)
	if d.Target.Kind == restore.KindLSN && d.Target.Exclusive && d.Target.LSN == at {
		d.stops[0].counts = append(d.stops[0].counts, counts...)
		return nil
	}
	target := restore.Target{Kind: restore.KindLSN, LSN: at, Exclusive: true}
	plan, err := restore.MakePlan(ctx, d.Cluster, target, d.planOptions(d.Backup, d.moves(d.plan)))
	if err != nil {
		return fmt.Errorf("plan the recovery to census %s: %w", d.census.ID, err)
	}
	if err := errors.Join(refuseManagers(plan), d.refuseTablespaces(plan)); err != nil {
		return err
	}
	d.stops = append(d.stops, stop{plan: plan, counts: counts})
	return nil
}
