package drill

import (
	"context"
	"fmt"
	"time"

	"lifeboat/storage/catalog"
	"lifeboat/verify"
)

// The targets of every drill.
const (
	TargetRows = "rows"
	TargetTime = "restore of 1 TB"
	TargetRPO  = "recovery point"
	TargetAge  = "age of the last backup"
)

// terabyte is 10^12 bytes: the size that the restore target speaks of.
const terabyte = 1e12

// setTarget adds or replaces a target by its name.
func (d *drill) setTarget(m Measured) {
	for i := range d.result.Targets {
		if d.result.Targets[i].Name == m.Name {
			d.result.Targets[i] = m
			return
		}
	}
	d.result.Targets = append(d.result.Targets, m)
}

// against judges how much of a promised length of time was used.
func (d *drill) against(name string, target, actual time.Duration) Measured {
	m := Measured{Name: name, Target: "at most " + spell(target), Actual: spell(actual), UsedPercent: 100 * actual.Seconds() / target.Seconds(), Result: Pass}
	switch {
	case m.UsedPercent > 100:
		m.Result = Fail
	case m.UsedPercent > d.Targets.WarnAtPercent:
		m.Result = Warn
	}
	return m
}

// judgeBackup looks at the age of the newest backup, and whether it is the one that is drilled.
func (d *drill) judgeBackup() {
	age := d.result.Started.Sub(d.newest.StopTime)
	m := d.against(TargetAge, d.Targets.MaxBackupAge, age)
	if m.Result == Warn {
		m.Result = Pass // a backup a day is never younger than a day just before the next
	}
	d.setTarget(m)
	drilled := d.result.Started.Sub(d.plan.Backup.StopTime)
	switch {
	case m.Result == Fail:
		d.checks.set(CheckBackup, Fail, "the newest backup, %s, is %s old", d.newest.Label, spell(age))
	case drilled > d.Targets.MaxBackupAge:
		d.checks.set(CheckBackup, Unproven, "this drill restores %s, which is %s old, and not the newest, %s", d.plan.Backup.Label, spell(drilled), d.newest.Label)
	}
	if n := len(d.plan.Record().DamagedPages); n > 0 {
		first := d.plan.Record().DamagedPages[0]
		d.checks.set(CheckPages, Fail, "%d pages were damaged on the server when the backup was made, the first in %s, block %d", n, first.Path, first.Block)
		return
	}
	d.checks.set(CheckPages, Pass, "%s", checksums(d.plan.Record()))
}

func checksums(r catalog.Record) string {
	if r.DataChecksums {
		return "every page's checksum held when the backup was made"
	}
	return "the cluster has no data checksums, so the backup had none to check"
}

// judgeRestoreTime extrapolates from the measured copy to 1 TB. Only the copying of contents grows with the cluster; plan,
// start and replay are added once.
func (d *drill) judgeRestoreTime() {
	if d.clock.atReach == 0 {
		return
	}
	d.checks.worsen(CheckBackup, Pass, fmt.Sprintf("%s restored and started", d.plan.Backup.Label))
	d.result.RTOSeconds = d.clock.atReach.Seconds()
	bytes := d.clock.bytes[PhaseFetch]
	rate := float64(bytes) / max(d.clock.copied.Seconds(), 1e-3)
	fixed := max(0, d.clock.atReach-d.clock.copied)
	predicted := fixed + time.Duration(terabyte/max(rate, 1)*float64(time.Second))
	d.result.RestoreBasis = fmt.Sprintf("copied %.1f MB in %s, %.0f MB/s; plan, start and replay took %s", float64(bytes)/1e6, spell(d.clock.copied), rate/1e6, spell(fixed))
	m := d.against(TargetTime, d.Targets.RestorePerTerabyte, predicted)
	d.setTarget(m)
	d.checks.set(CheckTime, m.Result, "1 TB in %s at the measured rate: %s", spell(predicted), d.result.RestoreBasis)
}

// judgeRPO measures what would be lost now: from the newest moment in the archive to the start of the drill. An idle
// server archives nothing new, so production is asked before a large number is held against the backup.
func (d *drill) judgeRPO(ctx context.Context) {
	lag := max(0, d.result.Started.Sub(d.run.LastTime))
	m := d.against(TargetRPO, d.Targets.RPO, lag)
	if m.Result != Pass {
		m, lag = d.askProduction(ctx, m, lag)
	}
	d.result.RPOSeconds = lag.Seconds()
	d.setTarget(m)
}

// askProduction replaces the age of the archive by what production has that the archive has not.
func (d *drill) askProduction(ctx context.Context, m Measured, lag time.Duration) (Measured, time.Duration) {
	if d.Production == nil {
		return unproven(m, "production is not known here"), lag
	}
	state, err := d.Production(ctx, d.run.Timeline, d.run.LastRecordEnd)
	if err != nil {
		return unproven(m, "production could not be asked: "+err.Error()), lag
	}
	if state.FirstUnarchived.IsZero() {
		m = d.against(TargetRPO, d.Targets.RPO, 0)
		m.Actual = fmt.Sprintf("0 s: the archive ends %s ago, and production has committed nothing since", spell(lag))
		return m, 0
	}
	lost := max(0, d.result.Started.Sub(state.FirstUnarchived))
	return d.against(TargetRPO, d.Targets.RPO, lost), lost
}

func unproven(m Measured, why string) Measured {
	if m.Result == Fail {
		m.Result = Unproven
		m.Actual += ", or less: " + why
	}
	return m
}

// verifyRepository reads every object. It comes after the measurements, and its cost is no part of them.
func (d *drill) verifyRepository(ctx context.Context) error {
	defer d.clock.time(PhaseVerify)()
	report, err := verify.Repository(ctx, d.Repository, verify.Options{
		Progress: func(p catalog.ScrubProgress) { d.Progress(PhaseVerify+" repository", p.Bytes, p.BytesTotal) },
	})
	if err != nil {
		d.checks.set(CheckRepository, verdictOf(err), "%v", err)
		return nil
	}
	d.clock.addBytes(PhaseVerify, report.Bytes)
	result, detail := Pass, fmt.Sprintf("%d objects, %.1f MB read and found whole", report.Objects, float64(report.Bytes)/1e6)
	for _, f := range report.Findings {
		switch f.Severity {
		case verify.Fail:
			d.result.Damaged = append(d.result.Damaged, f.Object)
			result, detail = Fail, fmt.Sprintf("%s: %s", f.Object, f.Detail)
		case verify.Unproven:
			if result != Fail {
				result, detail = Unproven, fmt.Sprintf("%s: %s", f.Object, f.Detail)
			}
		case verify.OK, verify.Warn:
		}
	}
	if n := len(d.result.Damaged); n > 1 {
		detail += fmt.Sprintf(" (and %d more)", n-1)
	}
	d.checks.set(CheckRepository, result, "%s", detail)
	return nil
}

// spell writes a length of time with a unit that suits it.
func spell(t time.Duration) string {
	switch {
	case t < time.Second:
		return fmt.Sprintf("%d ms", t.Milliseconds())
	case t < 2*time.Minute:
		return fmt.Sprintf("%.1f s", t.Seconds())
	case t < 2*time.Hour:
		return fmt.Sprintf("%.1f min", t.Minutes())
	case t < 48*time.Hour:
		return fmt.Sprintf("%.1f h", t.Hours())
	}
	return fmt.Sprintf("%.1f d", t.Hours()/24)
}
