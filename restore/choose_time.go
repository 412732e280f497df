package restore

import (
	"context"

	"lifeboat/internal/wal"
)

// chooseTime tries the backups that ended by the time, newest first. Recovery to a time needs a transaction after it to
// stop at.
func (p *planner) chooseTime(ctx context.Context, candidates []candidate) (choice, error) {
	var tried wal.LSN
	for _, c := range candidates {
		if c.record.StopTime.After(p.target.Time) || c.run.To == tried {
			continue
		}
		chosen, early, err := p.tryTime(ctx, c)
		if chosen != nil || err != nil {
			return deref(chosen), err
		}
		if !early {
			tried = c.run.To // older backups see the same WAL
		}
	}
	return choice{}, p.timeUnreachable(candidates)
}

func deref(c *choice) choice {
	if c == nil {
		return choice{}
	}
	return *c
}

// tryTime looks for the stop on the way from one backup. Early says that the stop lies before the backup's end, so that
// an older one may do.
func (p *planner) tryTime(ctx context.Context, c candidate) (chosen *choice, early bool, err error) {
	t, err := p.trail(ctx, c)
	if err != nil {
		return nil, false, err
	}
	at, err := t.locateTime(ctx, p.target)
	if err != nil {
		return nil, false, err
	}
	if at == nil {
		return p.timeWithoutStop(t), false, nil
	}
	if at.lsn < c.record.StopLSN {
		return nil, true, nil
	}
	target := p.planned("recovery_target_time", p.target.Value())
	target.StopLSN, target.StopTime = at.lsn, at.time
	return &choice{trail: t, target: target, last: at.end - 1}, false, nil
}

// timeWithoutStop is for a time after the last transaction, which the WAL covers all the same: some record is as late.
// No transaction lies between the two, so the last record there is the target; PostgreSQL itself would not stop at the
// time but give up.
func (p *planner) timeWithoutStop(t *trail) *choice {
	if t.run.LastTime.Before(p.target.Time) || t.run.LastRecord < t.record.StopLSN {
		return nil
	}
	target := p.planned("recovery_target_lsn", t.run.LastRecord.String())
	target.Exclusive = false
	target.StopLSN, target.StopTime = t.run.LastRecord, t.run.LastXactTime
	target.Why = "no transaction is later than the target, though the WAL goes on to " + FormatTime(t.run.LastTime) +
		": the last record there stands for it"
	return &choice{trail: t, target: target, last: t.run.To - 1}
}

func (p *planner) timeUnreachable(candidates []candidate) error {
	oldest := candidates[0]
	for _, c := range candidates {
		if c.record.StopTime.Before(oldest.record.StopTime) {
			oldest = c
		}
	}
	if oldest.record.StopTime.After(p.target.Time) {
		return p.unreachable("it is before the end of the first backup, %s", FormatTime(oldest.record.StopTime))
	}
	if p.target.Time.After(p.options.Now) {
		return p.unreachable("it is in the future; the clock says %s", FormatTime(p.options.Now))
	}
	return p.unreachable("no transaction after it is in the WAL on timeline %d, so that nothing shows whether all before it is there", p.timeline)
}
