package main

import (
	"time"

	"lifeboat/cmd/internal/config"
)

const (
	// runGrace is how late a scheduled backup or census may be before it counts as missed.
	runGrace = 2 * time.Hour
	// unscheduledEvery is how often something is expected that no schedule speaks of.
	unscheduledEvery = 24 * time.Hour
	// longestSchedule is how far back the last run of a schedule is looked for.
	longestSchedule = 2 * 366 * 24 * time.Hour
)

// oldest is the age from which on what a schedule makes is not there: the time between the run that was due last and the
// next one, and some grace.
func oldest(schedule config.Schedule, now time.Time) time.Duration {
	if schedule.Schedule == nil {
		return unscheduledEvery + runGrace
	}
	due := lastRun(schedule, now.Add(-runGrace))
	if due.IsZero() {
		return longestSchedule
	}
	return schedule.Next(due).Sub(due) + runGrace
}

// lastRun is the last time of the schedule up to a moment, zero where there is none for long.
func lastRun(schedule config.Schedule, until time.Time) (last time.Time) {
	for back := time.Hour; back <= longestSchedule; back *= 2 {
		next := schedule.Next(until.Add(-back))
		for !next.IsZero() && !next.After(until) {
			last, next = next, schedule.Next(next)
		}
		if !last.IsZero() {
			return last
		}
	}
	return time.Time{}
}
