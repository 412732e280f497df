// Package schedule says when drills are due. Everything in it follows from a schedule, from evidence, and from a clock that
// is passed in.
package schedule

import (
	"time"

	"github.com/robfig/cron/v3"
)

// never stands in for a moment that a schedule has not: 31 February.
const never = 100 * 365 * 24 * time.Hour

// Run is what the evidence says of one drill that has run.
type Run struct {
	Began time.Time
	// Stopped is true of a drill that somebody asked to stop: it says nothing of whether the backup comes back.
	Stopped bool
	// Died is true of a drill that ended without a word: killed, or its machine was restarted.
	Died bool
}

// Ahead is by how much a clock may differ from the one that wrote evidence. What began later than that lies in the future:
// somebody's clock was wrong, and that must not put a drill off.
const Ahead = 10 * time.Minute

// Base is the moment whose following time of the schedule is when the drill is due: the newest run that counts began then,
// or, where none has, the drill was first seen. A run that was asked to stop does not count, and one that died counts only
// if the one before it died, too, so that it is tried once more, and not for ever. The runs are in order of their time.
func Base(runs []Run, firstSeen, now time.Time) time.Time {
	for i := len(runs) - 1; i >= 0; i-- {
		r := runs[i]
		if r.Stopped || r.Began.After(now.Add(Ahead)) {
			continue
		}
		if r.Died && (i == 0 || !runs[i-1].Died) {
			continue
		}
		return r.Began
	}
	if firstSeen.After(now) {
		return now
	}
	return firstSeen
}

// Next is the first time of the schedule after base; far in the future where there is none. A schedule without a zone of its
// own is in the zone of base.
//
// A schedule that names hours runs once on each of its days also where clocks are set: a time that is skipped counts as so
// much later, and one that comes twice counts once.
func Next(s cron.Schedule, base time.Time) time.Time {
	next := s.Next(base)
	if spec, ok := s.(*cron.SpecSchedule); ok && !everyHour(spec) {
		next = nextOnWall(spec, base)
	}
	if next.IsZero() {
		return base.Add(never)
	}
	return next
}

// everyHour is true of a schedule whose field of hours is a star; robfig/cron notes that in the highest bit.
func everyHour(s *cron.SpecSchedule) bool { return s.Hour&(1<<63) != 0 }

// nextOnWall follows what a clock on the wall shows, which goes round as if it were never set.
func nextOnWall(s *cron.SpecSchedule, base time.Time) time.Time {
	zone := s.Location
	if zone == time.Local {
		zone = base.Location()
	}
	wall := *s
	wall.Location = time.UTC
	next := wall.Next(shown(base.In(zone)))
	if next.IsZero() {
		return next
	}
	return momentOf(next, zone)
}

// shown is what a clock on the wall shows at a moment, as a time of UTC.
func shown(t time.Time) time.Time {
	return time.Date(t.Year(), t.Month(), t.Day(), t.Hour(), t.Minute(), t.Second(), t.Nanosecond(), time.UTC)
}

// momentOf is when a clock on the wall shows a time, or would have, had it not been set forward over it.
func momentOf(wall time.Time, zone *time.Location) time.Time {
	t := time.Date(wall.Year(), wall.Month(), wall.Day(), wall.Hour(), wall.Minute(), wall.Second(), 0, zone)
	if short := wall.Sub(shown(t)); short > 0 {
		t = t.Add(short)
	}
	return t
}

// State is whether a drill is due.
type State struct {
	Due     bool
	Next    time.Time // the next time of the schedule that lies ahead
	Overdue time.Time // when it ought to have begun; zero where it is not due
}

// Judge says whether a drill is due that follows a base, see [Base].
func Judge(s cron.Schedule, base, now time.Time) State {
	first := Next(s, base)
	if first.After(now) {
		return State{Next: first}
	}
	return State{Due: true, Next: Next(s, now), Overdue: first}
}
