package restore

import (
	"context"
	"fmt"
	"strings"

	"lifeboat/internal/wal"
	"lifeboat/storage/catalog"
)

// choice is what a plan rests on.
type choice struct {
	trail  *trail
	target PlannedTarget
	last   wal.LSN // a position in the last segment that recovery needs
}

// choose finds the newest backup that recovery to the target can start from, and how PostgreSQL is to be told.
func (p *planner) choose(ctx context.Context) (choice, error) {
	candidates, err := p.candidates()
	if err != nil {
		return choice{}, err
	}
	switch p.target.Kind {
	case KindLSN:
		return p.chooseLSN(ctx, candidates)
	case KindTime:
		return p.chooseTime(ctx, candidates)
	case KindName:
		return p.chooseName(ctx, candidates)
	case KindXID:
		return p.chooseXID(ctx, candidates)
	case KindImmediate:
		return p.chooseImmediate(ctx, candidates[0])
	}
	return p.chooseLatest(ctx, candidates)
}

func (p *planner) trail(ctx context.Context, c candidate) (*trail, error) {
	return readTrail(ctx, p.cluster, p.history, c.record, c.run)
}

// planned is the target as it was asked for, told to PostgreSQL by a setting.
func (p *planner) planned(setting, value string) PlannedTarget {
	return PlannedTarget{
		Kind: p.target.Kind, Value: p.target.Value(), Exclusive: p.target.Exclusive, Setting: setting, SettingValue: value,
	}
}

func (p *planner) chooseLSN(ctx context.Context, candidates []candidate) (choice, error) {
	for _, c := range candidates {
		if c.record.StopLSN > p.target.LSN || c.run.LastRecord < p.target.LSN {
			continue
		}
		t, err := p.trail(ctx, c)
		target := p.planned("recovery_target_lsn", p.target.LSN.String())
		target.StopLSN = p.target.LSN
		return choice{trail: t, target: target, last: p.target.LSN}, err
	}
	if oldest := candidates[len(candidates)-1]; p.target.LSN < oldest.record.StopLSN {
		return choice{}, p.unreachable("the first backup is consistent only at %s", oldest.record.StopLSN)
	}
	return choice{}, p.unreachable("the WAL on timeline %d has no record there that can be recovered to", p.timeline)
}

func (p *planner) chooseImmediate(ctx context.Context, c candidate) (choice, error) {
	c.run.To = min(c.run.To, endOfSegment(c.record.StopLSN, c.record.WALSegmentSize))
	t, err := p.trail(ctx, c)
	target := p.planned("recovery_target", "immediate")
	target.StopLSN, target.StopTime = c.record.StopLSN, c.record.StopTime
	return choice{trail: t, target: target, last: c.record.StopLSN - 1}, err
}

// endOfSegment is the end of the segment that holds the last byte before lsn.
func endOfSegment(lsn wal.LSN, size wal.SegmentSize) wal.LSN {
	return wal.Start(wal.LastSegmentOf(lsn, size)+1, size)
}

// chooseLatest recovers to the end of the last window. Promotion there needs no target: recovery ends where the archive
// does. Every other action does, and so does a gap, at which the archive does not end.
func (p *planner) chooseLatest(ctx context.Context, candidates []candidate) (choice, error) {
	best := candidates[0]
	for _, c := range candidates {
		if c.run.To > best.run.To {
			best = c
		}
	}
	t, err := p.trail(ctx, best)
	if err != nil {
		return choice{}, err
	}
	end := max(best.run.LastRecord, best.record.StopLSN)
	target := p.planned("", "")
	beyond := p.walBeyond(best.run)
	if beyond != "" {
		p.notef("WAL from %s on is missing although %s is there: the restore ends before that gap", best.run.To, beyond)
	}
	if gap, ok := p.inv.GapBehind(p.timeline, end); ok && gap.Why != "" {
		p.notef("%s", describeGap(gap))
	}
	if beyond != "" || p.options.Action != ActionPromote {
		target = p.plannedEnd(best)
	}
	target.StopLSN, target.StopTime = end, best.run.LastXactTime
	return choice{trail: t, target: target, last: best.run.To - 1}, nil
}

// plannedEnd is the end of the WAL as a target.
func (p *planner) plannedEnd(c candidate) PlannedTarget {
	target := p.planned("recovery_target_lsn", c.run.LastRecord.String())
	target.Why = "the start of the last record there"
	if c.run.LastRecord < c.record.StopLSN {
		target.Setting, target.SettingValue = "recovery_target", "immediate"
		target.Why = "no record follows the end of the backup"
	}
	return target
}

// walBeyond names WAL of the timeline behind a gap, if there is any.
func (p *planner) walBeyond(run catalog.WALRun) string {
	for _, other := range p.inv.Runs {
		if other.Timeline == run.Timeline && other.From > run.To {
			return wal.SegmentName(other.Timeline, wal.SegmentOf(other.From, p.inv.Identity.WALSegmentSize), p.inv.Identity.WALSegmentSize)
		}
	}
	return ""
}

// chooseName takes the restore point of that name, of which there may be only one between any backup and the end.
func (p *planner) chooseName(ctx context.Context, candidates []candidate) (choice, error) {
	var trails []*trail
	for _, c := range endsOnce(candidates) {
		t, err := p.trail(ctx, c)
		if err != nil {
			return choice{}, err
		}
		trails = append(trails, t)
	}
	found, err := locateName(ctx, trails, p.target.Name)
	if err != nil {
		return choice{}, err
	}
	switch len(found) {
	case 0:
		return choice{}, p.noSuchName(trails)
	case 1:
		return p.startBefore(ctx, candidates, found[0], p.planned("recovery_target_name", p.target.Name))
	}
	return choice{}, p.ambiguousName(found)
}

// endsOnce keeps of all backups that reach to the same end the oldest, whose WAL is that of the others and more.
func endsOnce(candidates []candidate) []candidate {
	var kept []candidate
	for _, c := range candidates {
		if n := len(kept); n > 0 && kept[n-1].run.To == c.run.To {
			kept[n-1] = c
			continue
		}
		kept = append(kept, c)
	}
	return kept
}

func (p *planner) noSuchName(trails []*trail) error {
	names := map[string]bool{}
	for _, t := range trails {
		for _, point := range t.restorePoints() {
			names[point.Name] = true
		}
	}
	if len(names) == 0 {
		return p.unreachable("there is no restore point in the WAL on timeline %d", p.timeline)
	}
	const shown = 8
	return p.unreachable("there is no restore point of that name in the WAL on timeline %d; there are: %s",
		p.timeline, strings.Join(someOf(names, shown), ", "))
}

func (p *planner) ambiguousName(found []stop) error {
	var places []string
	for _, s := range found {
		places = append(places, fmt.Sprintf("%s (%s)", s.end, FormatTime(s.time)))
	}
	return p.unreachable("there are %d restore points of that name, at %s: give one of these as an LSN, exclusive",
		len(found), strings.Join(places, ", "))
}

func (p *planner) chooseXID(ctx context.Context, candidates []candidate) (choice, error) {
	xid := wal.TransactionID(p.target.XID)
	for _, c := range endsOnce(candidates) {
		t, err := p.trail(ctx, c)
		if err != nil {
			return choice{}, err
		}
		found, parent, err := t.locateXID(ctx, xid)
		if err != nil {
			return choice{}, err
		}
		if parent != nil {
			return choice{}, p.unreachable("it is a part of transaction %d, which is the one that recovery can stop at", parent.of)
		}
		if found != nil {
			return p.startBefore(ctx, candidates, *found, p.planned("recovery_target_xid", p.target.Value()))
		}
	}
	return choice{}, p.unreachable("no transaction of that number ends in the WAL on timeline %d", p.timeline)
}

// startBefore takes the newest backup that is consistent before the stop.
func (p *planner) startBefore(ctx context.Context, candidates []candidate, at stop, target PlannedTarget) (choice, error) {
	target.StopLSN, target.StopTime = max(at.lsn, at.end-1), at.time
	if at.lsn != 0 {
		target.StopLSN = at.lsn
	}
	for _, c := range candidates {
		if c.record.StopLSN >= at.end || c.run.To < at.end {
			continue
		}
		t, err := p.trail(ctx, c)
		return choice{trail: t, target: target, last: at.end - 1}, err
	}
	return choice{}, p.unreachable("it lies at %s, before the end of the first backup that could be used, %s",
		at.end, candidates[len(candidates)-1].record.StopLSN)
}
