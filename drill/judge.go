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
	m := d.againstAge(TargetAge, d.Targets.MaxBackupAge, newest.StopTime)
	d.setTarget(m)
	switch age := d.result.Started.Sub(drilled.StopTime); {
	case m.Result == Fail:
		d.checks.set(CheckBackup, Fail, "the newest backup, %s, is %s old: at most %s is promised", newest.Label, m.Actual, spell(d.Targets.MaxBackupAge))
	case m.Result != Pass:
		d.checks.set(CheckBackup, m.Result, "the newest backup is %s: %s", newest.Label, m.Actual)
	case age > d.Targets.MaxBackupAge:
		d.checks.set(CheckBackup, Unproven, "the target lies before the newest backup, %s: this drill restores %s, which is %s old", newest.Label, drilled.Label, spell(age))
	case drilled.Label != newest.Label && d.plan.Target.StopLSN >= newest.StopLSN:
		d.checks.set(CheckBackup, Unproven, "this drill restores %s, and not the newest backup, %s", drilled.Label, newest.Label)
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
// server archives nothing new, so production is asked before a large number is held against the backup; and where the
// archive's clock is ahead, since a number that is too small proves nothing.
func (d *drill) judgeRPO(ctx context.Context) {
	lag := d.result.Started.Sub(d.archive.run.LastTime)
	if d.beyond != nil {
		lag = max(lag, d.sinceBeyond())
	}
	m := d.against(TargetRPO, d.Targets.RPO, max(0, lag))
	if ahead := -lag; ahead > d.Targets.RPO/clockShare {
		m.Result = Unproven
		m.Actual = fmt.Sprintf("unknown: the newest time in the WAL is %s in the future of this machine's clock", spell(ahead))
	}
	lag = max(0, lag)
	if m.Result != Pass {
		m, lag = d.askProduction(ctx, m, lag)
	}
	d.result.RPOSeconds = lag.Seconds()
	d.setTarget(m)
}

// clockShare is the part of the promised recovery point by which clocks may differ.
const clockShare = 10

// askProduction replaces the age of the archive by what production has that the archive has not.
func (d *drill) askProduction(ctx context.Context, m Measured, lag time.Duration) (Measured, time.Duration) {
	if d.Production == nil {
		return d.orLess(m, "production is not known here"), lag
	}
	run := d.archive.run
	state, err := d.Production(ctx, run.Timeline, run.LastRecordEnd)
	if err != nil {
		return d.orLess(m, "production could not be asked: "+words(err)), lag
	}
	if state.FirstUnarchived.IsZero() {
		m = d.against(TargetRPO, d.Targets.RPO, 0)
		m.Actual = fmt.Sprintf("0 s: the archive ends %s ago, and production has committed nothing since", spell(lag))
		return m, 0
	}
	now := state.Clock // of the machine whose clock the commit's time is, too
	if now.IsZero() {
		now = d.result.Started
	}
	lost := max(0, now.Sub(state.FirstUnarchived))
	return d.against(TargetRPO, d.Targets.RPO, lost), lost
}

// orLess is for a measure that is an upper bound only: that it is too large proves nothing, unless a census shows that
// production had more.
func (d *drill) orLess(m Measured, why string) Measured {
	switch {
	case m.Result == Unproven:
		m.Actual += "; " + why
		return m
	case d.sinceBeyond() > d.Targets.RPO:
		m.Actual += fmt.Sprintf(": when census %s was taken, production had WAL that the archive does not have; %s", d.beyond.ID, why)
		return m
	case m.Result == Fail:
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
