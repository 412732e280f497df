package catalog

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"lifeboat/internal/wal"
)

// Window is a stretch of WAL of which every moment can be recovered to on one timeline: there are a backup before it and
// all WAL from that backup on, over the timeline's ancestors.
//
// The WAL before a timeline's switch point belongs to its ancestor's window too. ToLSN is the start of the last complete
// record, and recovery_target_lsn can be that. ToTime is the last time that recovery_target_time has passed in the WAL:
// targets before it can be reached; where it equals FromTime, none can be by time.
type Window struct {
	Timeline         wal.TimelineID
	FromTime, ToTime time.Time
	FromLSN, ToLSN   wal.LSN
	Backups          []string // labels, by StopLSN; each of them reaches to the end
}

// Windows are the windows of all timelines, by timeline and position.
func (inv *Inventory) Windows() []Window {
	var windows []Window
	for _, tli := range inv.timelines() {
		windows = append(windows, inv.timelineWindows(tli)...)
	}
	return windows
}

// timelines are those with WAL, ascending.
func (inv *Inventory) timelines() []wal.TimelineID {
	found := map[wal.TimelineID]bool{}
	for _, run := range inv.Runs {
		found[run.Timeline] = true
	}
	return slices.Sorted(maps.Keys(found))
}

// timelineWindows makes one window of the backups whose WAL ends in the same run of the timeline.
func (inv *Inventory) timelineWindows(tli wal.TimelineID) []Window {
	var windows []Window
	ends := map[wal.LSN]int{}
	for _, backup := range inv.sortedBackups() {
		run, ok := inv.ReachFrom(backup, tli)
		if !ok {
			continue
		}
		i, known := ends[run.To]
		if !known {
			i = len(windows)
			ends[run.To] = i
			windows = append(windows, newWindow(backup, run))
		}
		windows[i].Backups = append(windows[i].Backups, backup.Label)
	}
	return windows
}

func (inv *Inventory) sortedBackups() []Record {
	return slices.SortedStableFunc(slices.Values(inv.Backups), func(a, b Record) int {
		return cmp.Compare(a.StopLSN, b.StopLSN)
	})
}

// newWindow is the window from the end of its first backup to the end of the run.
func newWindow(first Record, run WALRun) Window {
	w := Window{
		Timeline: run.Timeline,
		FromTime: first.StopTime, ToTime: first.StopTime,
		FromLSN: first.StopLSN, ToLSN: max(first.StopLSN, run.LastRecord),
	}
	if run.LastXactTime.After(w.ToTime) {
		w.ToTime = run.LastXactTime
	}
	return w
}

// ReachFrom follows the WAL that recovery from the backup to the timeline reads, up to its first hole, and returns the
// timeline's run that it ends in: the last LSN and times of that run are the last that can be reached. It is false
// where the backup cannot be recovered to the timeline: it was made on another branch, a hole lies before its own end
// or before the timeline's first segment, or the timeline's history is damaged.
func (inv *Inventory) ReachFrom(backup Record, tli wal.TimelineID) (WALRun, bool) {
	history, ok := inv.History(tli)
	if !ok || !onPath(history, backup) {
		return WALRun{}, false
	}
	run, ok := inv.follow(history, wal.SegmentOf(backup.StartLSN, inv.Identity.WALSegmentSize))
	return run, ok && run.Timeline == tli && run.To >= backup.StopLSN
}

// History is how the timeline came to be. A timeline whose history file is not stored is taken to have no ancestors, as
// PostgreSQL does; it is false where the file is stored and damaged.
func (inv *Inventory) History(tli wal.TimelineID) (wal.TimelineHistory, bool) {
	if history, ok := inv.Histories[tli]; ok {
		return history, true
	}
	return wal.TimelineHistory{Timeline: tli}, !inv.damagedHistories[tli]
}

// onPath says whether all of the backup lies before its timeline was left.
func onPath(history wal.TimelineHistory, backup Record) bool {
	from, to, ok := history.Span(backup.Timeline)
	return ok && backup.StartLSN >= from && (to == 0 || backup.StopLSN <= to)
}

// follow goes from segment to segment as recovery does, and returns the run that holds the last one.
func (inv *Inventory) follow(history wal.TimelineHistory, number wal.SegmentNumber) (WALRun, bool) {
	size := inv.Identity.WALSegmentSize
	var last WALRun
	for {
		tli := history.SegmentTimelines(number, size)[0]
		run, ok := inv.runWith(tli, wal.Start(number, size))
		if !ok {
			return last, last.Timeline != 0
		}
		last = run
		number = wal.SegmentOf(run.To, size)
		if _, to, _ := history.Span(tli); to != 0 && run.To > to {
			number = min(number, wal.SegmentOf(to, size))
		}
	}
}

// sortedRuns is the runs of a timeline by position.
func (inv *Inventory) sortedRuns(tli wal.TimelineID) []WALRun {
	var runs []WALRun
	for _, run := range inv.Runs {
		if run.Timeline == tli {
			runs = append(runs, run)
		}
	}
	slices.SortFunc(runs, func(a, b WALRun) int { return cmp.Compare(a.From, b.From) })
	return runs
}

// runWith is the timeline's run that holds the byte at lsn.
func (inv *Inventory) runWith(tli wal.TimelineID, lsn wal.LSN) (WALRun, bool) {
	for _, run := range inv.Runs {
		if run.Timeline == tli && run.From <= lsn && lsn < run.To {
			return run, true
		}
	}
	return WALRun{}, false
}
