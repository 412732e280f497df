package drill

import (
	"context"
	"errors"
	"time"

	"lifeboat/restore"
)

// fetch copies the backup into the scratch directory.
func (d *drill) fetch(ctx context.Context) error {
	defer d.clock.time(PhaseFetch)()
	d.Progress(PhaseFetch, 0, 0)
	aside, err := d.reserve()
	if err != nil {
		return err
	}
	return errors.Join(d.copyBackup(ctx, aside), aside.drop())
}

// copyBackup copies into the space that was set aside.
func (d *drill) copyBackup(ctx context.Context, aside *ballast) error {
	var copying, ended time.Time
	result, err := restore.Execute(ctx, d.Cluster, d.plan, restore.ExecOptions{
		Owner: d.Owner, Config: d.HookConfig, OnlyOwnSettings: true, Logger: d.Log, Clock: d.Now,
		SetAside: aside.kept(),
		Progress: func(p restore.RestoreProgress) {
			if p.Phase == restore.PhaseCopy {
				d.giveWay(aside, p.Bytes)
			}
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

// giveWay makes room for what is copied next. Where that fails the copy finds too little space, and says so.
func (d *drill) giveWay(aside *ballast, copied int64) {
	if err := aside.give(copied, d.plan.BytesToWrite); err != nil {
		d.Log.Warn("the disk that was set aside cannot be given back", keyError, err)
	}
}
