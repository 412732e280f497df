package drill

import (
	"context"
	"fmt"
	"time"

	"lifeboat/storage/catalog"
)

// The targets of every drill.
const (
	TargetRows = "rows"
	TargetTime = "restore of 1 TB"
	TargetRPO  = "recovery point"
	TargetAge  = "age of the last backup"
)

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
	newest, drilled := d.archive.newest, d.plan.Backup
	age := d.result.Started.Sub(newest.StopTime)
	m := d.against(TargetAge, d.Targets.MaxBackupAge, age)
	if m.Result == Warn {
		m.Result = Pass // a backup a day is never younger than a day just before the next
	}
	d.setTarget(m)
	drilledAge := d.result.Started.Sub(drilled.StopTime)
	switch {
	case m.Result == Fail:
		d.checks.set(CheckBackup, Fail, "the newest backup, %s, is %s old: at most %s is promised", newest.Label, spell(age), spell(d.Targets.MaxBackupAge))
	case drilledAge > d.Targets.MaxBackupAge:
		d.checks.set(CheckBackup, Unproven, "the target lies before the newest backup, %s: this drill restores %s, which is %s old", newest.Label, drilled.Label, spell(drilledAge))
	}
	d.judgePages()
}

func (d *drill) judgePages() {
	record := d.plan.Record()
	if n := len(record.DamagedPages); n > 0 {
		first := record.DamagedPages[0]
		d.checks.set(CheckPages, Fail, "%d pages were damaged on the server when the backup was made, the first is block %d of %s: look at the server's disks",
			n, first.Block, first.Path)
		return
	}
	d.checks.set(CheckPages, Pass, "%s", checksums(record))
}

func checksums(r catalog.Record) string {
	if r.DataChecksums {
		return "every page's checksum held when the backup was made"
	}
	return "the cluster has no data checksums, so the backup had none to check"
}

// judgeRPO measures what would be lost now: from the newest moment in the archive to the start of the drill. An idle
// server archives nothing new, so production is asked before a large number is held against the backup.
func (d *drill) judgeRPO(ctx context.Context) {
	lag := max(0, d.result.Started.Sub(d.archive.run.LastTime))
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
		return orLess(m, "production is not known here"), lag
	}
	run := d.archive.run
	state, err := d.Production(ctx, run.Timeline, run.LastRecordEnd)
	if err != nil {
		return orLess(m, "production could not be asked: "+words(err)), lag
	}
	if state.FirstUnarchived.IsZero() {
		m = d.against(TargetRPO, d.Targets.RPO, 0)
		m.Actual = fmt.Sprintf("0 s: the archive ends %s ago, and production has committed nothing since", spell(lag))
		return m, 0
	}
	lost := max(0, d.result.Started.Sub(state.FirstUnarchived))
	return d.against(TargetRPO, d.Targets.RPO, lost), lost
}

// orLess is for a measure that is an upper bound only: that it is too large proves nothing.
func orLess(m Measured, why string) Measured {
	if m.Result == Fail {
		m.Result = Unproven
	}
	m.Actual += ", or less: " + why
	return m
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
