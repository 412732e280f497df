package drill

import (
	"fmt"
	"time"

	"lifeboat/verify/census"
)

// TargetCensus is the target of how old the census may be that rows are compared with.
const TargetCensus = "age of the census"

// clockTolerance is by how much clocks may differ before an age that is measured with two of them proves nothing.
const clockTolerance = time.Minute

// againstAge judges how old something is. There is no warning: what is made once a day is never younger than a day just
// before the next. What lies in the future has no age: some clock was set.
func (d *drill) againstAge(name string, most time.Duration, made time.Time) Measured {
	age := d.result.Started.Sub(made)
	m := d.against(name, most, max(0, age))
	switch {
	case age < -clockTolerance:
		m.Result = Unproven
		m.Actual = fmt.Sprintf("unknown: its time, %s, lies in the future of this machine's clock", made.UTC().Format(time.RFC3339))
	case m.Result == Warn:
		m.Result = Pass
	}
	return m
}

// judgeCensusAge looks at the age of the census that was chosen. Rows that were counted long ago say little about what
// would come back now.
func (d *drill) judgeCensusAge() {
	if d.census == nil {
		return
	}
	m := d.againstAge(TargetCensus, d.Targets.maxCensusAge(), d.census.Taken)
	if m.Result == Fail {
		m.Result = Unproven
	}
	if m.Result != Pass {
		d.checks.worsen(CheckRows, m.Result, fmt.Sprintf("census %s is %s old, at most %s is promised: what was compared is of then (take one with 'lifeboat census')",
			d.result.Census, m.Actual, spell(d.Targets.maxCensusAge())))
	}
	d.setTarget(m)
}

// maxCensusAge is the backups' where the policy, as those of earlier versions, has none.
func (p Policy) maxCensusAge() time.Duration {
	if p.MaxCensusAge > 0 {
		return p.MaxCensusAge
	}
	return p.MaxBackupAge
}

// isOf says whether the census was taken of the cluster that is drilled.
func (d *drill) isOf(c *census.Census) error {
	if own := d.Cluster.Identity().SystemIdentifier; c.SystemIdentifier != own {
		return &ForeignError{What: "census " + c.ID, Of: c.SystemIdentifier, Want: own}
	}
	return nil
}

// ForeignError says that the repository holds, for the cluster that is drilled, something of another one.
type ForeignError struct {
	What     string
	Of, Want uint64 // system identifiers
}

func (e *ForeignError) Error() string {
	return fmt.Sprintf("%s is of the cluster with system identifier %d, and not of this one, %d", e.What, e.Of, e.Want)
}

// noteBeyond remembers the newest census where production had WAL by then that the archive does not have.
func (d *drill) noteBeyond(c *census.Census) {
	run := d.archive.run
	if d.beyond == nil && c.Timeline == run.Timeline && c.RestorePoint.LSN > run.LastRecordEnd {
		d.beyond = c
	}
}

// sinceBeyond is for how long the archive lacks what production had; 0 where nothing shows that it does.
func (d *drill) sinceBeyond() time.Duration {
	if d.beyond == nil {
		return 0
	}
	return d.result.Started.Sub(d.beyond.Taken)
}
