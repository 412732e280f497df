package drill

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"lifeboat/internal/wal"
	"lifeboat/restore"
	"lifeboat/verify/census"
)

// stop is a position that recovery pauses at.
type stop struct {
	plan     restore.Plan
	isTarget bool              // the drill's own
	counts   []census.Database // what of the census is compared here
}

// TablespaceError says that the WAL of the drill would write outside of its directory.
type TablespaceError struct{ Paths []string }

func (e *TablespaceError) Error() string {
	return fmt.Sprintf("the WAL that this drill replays creates tablespaces in %s, outside of its own directory, where it could write over living data: take a new backup and drill from that",
		strings.Join(e.Paths, ", "))
}

func (d *drill) planOptions(label string, moves map[string]string) restore.PlanOptions {
	return restore.PlanOptions{
		Directory: d.scratch.path("data"), Timeline: d.Timeline, Backup: label, TablespaceMap: moves,
		Action: restore.ActionPause, ArchiveModeOff: true, FetchCommand: d.FetchCommand, Now: d.Now(),
	}
}

// planTarget plans the restore to the drill's target, with every tablespace below the scratch directory.
func (d *drill) planTarget(ctx context.Context) error {
	plan, err := restore.MakePlan(ctx, d.Cluster, d.Target, d.planOptions(d.Backup, nil))
	if err != nil {
		return err
	}
	d.Backup, d.Timeline = plan.Backup.Label, plan.Timeline
	if d.plan, err = restore.MakePlan(ctx, d.Cluster, d.Target, d.planOptions(d.Backup, d.moves(plan))); err != nil {
		return err
	}
	r, b := d.result, d.plan.Backup
	r.Backup = BackupUsed{Label: b.Label, Type: b.Type, StartLSN: b.StartLSN, StopLSN: b.StopLSN, StopTime: b.StopTime, Bytes: d.plan.BytesToWrite}
	version := d.plan.Record().PostgresVersion
	r.Environment.PostgreSQL = fmt.Sprintf("%d.%d", version/10000, version%10000)
	d.stops = []stop{{plan: d.plan, isTarget: true}}
	return refuseTablespaces(d.plan)
}

// moves puts each tablespace into the scratch directory.
func (d *drill) moves(plan restore.Plan) map[string]string {
	moves := map[string]string{}
	for _, space := range plan.Tablespaces {
		moves[space.Location] = filepath.Join(d.scratch.path("tablespaces"), strconv.FormatUint(uint64(space.OID), 10))
	}
	return moves
}

func refuseTablespaces(plan restore.Plan) error {
	if len(plan.CreatesTablespaces) > 0 {
		return &TablespaceError{Paths: plan.CreatesTablespaces}
	}
	return nil
}

// learnArchive finds the newest backup and how far the archive reaches.
func (d *drill) learnArchive(ctx context.Context) error {
	inventory, err := d.Cluster.Inventory(ctx)
	if err != nil {
		return err
	}
	for _, b := range inventory.Backups {
		if b.StopTime.After(d.newest.StopTime) {
			d.newest = b
		}
	}
	run, ok := inventory.ReachFrom(d.plan.Record(), d.plan.Timeline)
	if !ok {
		return errors.New("the WAL that the plan needs is no longer there")
	}
	d.run = run
	return nil
}

// chooseCensus takes the newest census whose stops this drill can reach. One that cannot be read is an error rather than
// a reason to take an older one.
func (d *drill) chooseCensus(ctx context.Context) error {
	ids, err := d.Cluster.CensusIDs(ctx)
	if err != nil {
		return err
	}
	slices.Reverse(ids)
	for _, id := range ids {
		raw, err := d.Cluster.Census(ctx, id)
		if err != nil {
			return err
		}
		var c census.Census
		if err := json.Unmarshal(raw, &c); err != nil {
			return fmt.Errorf("census %s: %w", id, err)
		}
		if d.reaches(&c) {
			d.census, d.result.Census = &c, id
			return nil
		}
	}
	return nil
}

// reaches says whether all of a census's stops lie on this drill's way.
func (d *drill) reaches(c *census.Census) bool {
	if c.Timeline != d.plan.Timeline {
		return false
	}
	for _, at := range c.Stops() {
		if at < d.plan.Backup.StopLSN || at > d.run.LastRecord {
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

// compareStops orders by position; at the same one the exclusive stop comes first.
func compareStops(a, b restore.Plan) int {
	switch {
	case a.Target.StopLSN < b.Target.StopLSN:
		return -1
	case a.Target.StopLSN > b.Target.StopLSN:
		return 1
	case a.Target.Exclusive == b.Target.Exclusive:
		return 0
	case a.Target.Exclusive:
		return -1
	}
	return 1
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
	d.stops = append(d.stops, stop{plan: plan, counts: counts})
	return refuseTablespaces(plan)
}
