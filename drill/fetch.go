package drill

import (
	"context"
	"time"

	"lifeboat/restore"
)

// fetch copies the backup into the scratch directory.
func (d *drill) fetch(ctx context.Context) error {
	defer d.clock.time(PhaseFetch)()
	var copying, ended time.Time
	result, err := restore.Execute(ctx, d.Cluster, d.plan, restore.ExecOptions{
		Owner: d.Owner, Config: d.HookConfig, OnlyOwnSettings: true, Logger: d.Log, Clock: d.Now,
		Progress: func(p restore.RestoreProgress) {
			if p.Phase == restore.PhaseCopy && copying.IsZero() {
				copying = d.Now()
			}
			if p.Phase == restore.PhaseSync && ended.IsZero() {
				ended = d.Now()
			}
			d.Progress(PhaseFetch, p.Bytes, p.BytesTotal)
		},
	})
	if err != nil {
		return err
	}
	d.clock.addBytes(PhaseFetch, result.BytesWritten)
	d.clock.copied = copied{took: ended.Sub(copying), bytes: result.BytesWritten, files: result.Files, effort: result.Effort}
	return nil
}
