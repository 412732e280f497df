package drill

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"

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
	return fmt.Sprintf("the WAL that this drill replays creates tablespaces in %s, outside of its own directory, where it could write over living data: take a new backup and drill from that, or let the server be isolated",
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
	if err := d.chooseTarget(ctx); err != nil {
		return err
	}
	plan, err := restore.MakePlan(ctx, d.Cluster, d.Target, d.planOptions(d.Backup, nil))
	if unreachable := (*restore.UnreachableError)(nil); errors.As(err, &unreachable) {
		d.unreachable = err
	}
	if err != nil {
		return err
	}
	d.Backup, d.Timeline = plan.Backup.Label, plan.Timeline
	if d.plan, err = restore.MakePlan(ctx, d.Cluster, d.Target, d.planOptions(d.Backup, d.moves(plan))); err != nil {
		return err
	}
	r, b := d.result, d.plan.Backup
	r.Target.Timeline = d.plan.Timeline
	r.Backup = BackupUsed{Label: b.Label, Type: b.Type, StartLSN: b.StartLSN, StopLSN: b.StopLSN, StopTime: b.StopTime, Bytes: d.plan.BytesToWrite}
	version := d.plan.Record().PostgresVersion
	r.Environment.PostgreSQL = fmt.Sprintf("%d.%d", version/10000, version%10000)
	d.stops = []stop{{plan: d.plan, isTarget: true}}
	return errors.Join(refuseManagers(d.plan), d.refuseTablespaces(d.plan))
}

// moves puts each tablespace into the scratch directory.
func (d *drill) moves(plan restore.Plan) map[string]string {
	moves := map[string]string{}
	for _, space := range plan.Tablespaces {
		moves[space.Location] = filepath.Join(d.scratch.path("tablespaces"), strconv.FormatUint(uint64(space.OID), 10))
	}
	return moves
}

// refuseTablespaces is for a server that is not kept apart: one that is sees its own directories in their places.
func (d *drill) refuseTablespaces(plan restore.Plan) error {
	if len(plan.CreatesTablespaces) > 0 && !d.isolated() {
		return &TablespaceError{Paths: plan.CreatesTablespaces}
	}
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
