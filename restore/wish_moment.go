package restore

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
)

// span is a stretch of time of which each moment can be recovered to, the end not included.
type span struct{ from, to time.Time }

// spans are the stretches behind the candidates, joined where they touch, in order. A moment can be reached where a
// backup ended before it and a transaction ended after it.
func spans(candidates []candidate) []span {
	var all []span
	for _, c := range candidates {
		from := c.record.StopTime.Add(time.Microsecond - 1).Truncate(time.Microsecond)
		if to := c.run.LastXactTime; to.After(from) {
			all = append(all, span{from, to})
		}
	}
	slices.SortFunc(all, func(a, b span) int { return a.from.Compare(b.from) })
	var joined []span
	for _, s := range all {
		if n := len(joined); n > 0 && !s.from.After(joined[n-1].to) {
			if s.to.After(joined[n-1].to) {
				joined[n-1].to = s.to
			}
			continue
		}
		joined = append(joined, s)
	}
	return joined
}

// randomMoment chooses among all microseconds that can be reached.
func (p *planner) randomMoment(candidates []candidate, random func(uint64) uint64) (Chosen, error) {
	var total time.Duration
	reachable := spans(candidates)
	for _, s := range reachable {
		total += s.to.Sub(s.from)
	}
	if total < time.Microsecond {
		return Chosen{}, p.unreachable("no transaction has ended behind a backup on timeline %d, so that there is no moment to choose", p.timeline)
	}
	at := time.Duration(random(uint64(total/time.Microsecond))) * time.Microsecond
	target := Target{Kind: KindTime}
	for _, s := range reachable {
		if length := s.to.Sub(s.from); at >= length {
			at -= length
			continue
		}
		target.Time = s.from.Add(at)
		break
	}
	why := fmt.Sprintf("chosen by chance among %s between %s and %s", total.Round(time.Millisecond),
		FormatTime(reachable[0].from), FormatTime(reachable[len(reachable)-1].to))
	return Chosen{Target: target, Why: why}, nil
}

// ownPoints is how the names of restore points begin that Lifeboat makes for itself.
const ownPoints = "lifeboat-"

// newestRestorePoint takes the newest point of another's that the WAL's headers tell of. One that crosses from one
// segment to the next is in no header.
func (p *planner) newestRestorePoint(ctx context.Context, candidates []candidate) (Chosen, error) {
	var newest stop
	var name string
	times := map[string]int{}
	for _, c := range endsOnce(candidates) {
		t, err := p.trail(ctx, c)
		if err != nil {
			return Chosen{}, err
		}
		for _, point := range t.restorePoints() {
			if strings.HasPrefix(point.Name, ownPoints) || point.LSN <= c.record.StopLSN {
				continue
			}
			times[point.Name]++
			if point.LSN > newest.end {
				newest, name = stop{end: point.LSN, time: point.Time}, point.Name
			}
		}
	}
	if name == "" {
		return Chosen{}, p.unreachable("no operator has made a restore point behind a backup on timeline %d", p.timeline)
	}
	chosen := Chosen{
		Target: Target{Kind: KindName, Name: name},
		Why:    fmt.Sprintf("the newest restore point, of %s at %s", FormatTime(newest.time), newest.end),
	}
	if times[name] > 1 {
		chosen.Target = Target{Kind: KindLSN, LSN: newest.end, Exclusive: true}
		chosen.Why += fmt.Sprintf(", one of %d that are called %q", times[name], name)
	}
	return chosen, nil
}
