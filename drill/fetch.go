package drill

import (
	"context"
	"time"

	"lifeboat/restore"
)

// fetch copies the backup into the scratch directory.
func (d *drill) fetch(ctx context.Context) error {
	defer d.clock.time(PhaseFetch)()
	var copying time.Time
	result, err := restore.Execute(ctx, d.Cluster, d.plan, restore.ExecOptions{
		Owner: d.Owner, Config: d.HookConfig, OnlyOwnSettings: true, Logger: d.Log,
		Progress: func(p restore.RestoreProgress) {
			if p.Phase == restore.PhaseCopy && copying.IsZero() {
				copying = d.Now()
			}
			if p.Phase == restore.PhaseSync && d.clock.copied == 0 {
				d.clock.copied = d.Now().Sub(copying)
			}
			d.Progress(PhaseFetch, p.Bytes, p.BytesTotal)
		},
	})
	if err != nil {
		return err
	}
	d.clock.addBytes(PhaseFetch, result.BytesWritten)
	return nil
}
