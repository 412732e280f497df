package catalog

import (
	"maps"
	"slices"
	"time"

	"lifeboat/internal/wal"
)

// Gap is WAL that ought to be in the repository and is not: From inclusive, To exclusive, both at segment boundaries.
type Gap struct {
	Timeline wal.TimelineID
	From, To wal.LSN
	Why      string    // as the ledger has it; empty where only what is missing shows the gap
	Since    time.Time // when the ledger first took note of it; zero where it did not
}

// Mended says whether a backup was begun behind the gap, on its timeline or on one that came from that: from the end of
// that backup on, every moment can be reached again.
func (inv *Inventory) Mended(gap Gap) bool {
	return slices.ContainsFunc(inv.Backups, func(b Record) bool {
		history, known := inv.History(b.Timeline)
		_, to, onPath := history.Span(gap.Timeline)
		return known && onPath && b.StartLSN >= gap.To && (to == 0 || gap.From < to)
	})
}

// Holds says whether the repository has the segment whole.
func (inv *Inventory) Holds(name wal.FileName) bool {
	start := name.Start(inv.Identity.WALSegmentSize)
	run, ok := inv.runWith(name.Timeline, start)
	return ok && (run.Tail == 0 || start+wal.LSN(inv.Identity.WALSegmentSize) != run.To)
}

// GapBehind is the first gap on the way to a timeline that ends behind the position; false where there is none.
func (inv *Inventory) GapBehind(tli wal.TimelineID, at wal.LSN) (Gap, bool) {
	history, known := inv.History(tli)
	var first Gap
	for _, gap := range inv.Gaps() {
		_, to, onPath := history.Span(gap.Timeline)
		if known && onPath && gap.To > at && (to == 0 || gap.From < to) && (first.To == 0 || gap.From < first.From) {
			first = gap
		}
	}
	return first, first.To != 0
}

// Gaps are the holes between the first and the last WAL that a timeline is known to have had: by its segments, by the
// backups made on it, and by the timelines that branched off from it; and what the ledger says was lost, as far as it was
// not filled since. By timeline and position.
func (inv *Inventory) Gaps() []Gap {
	expected := inv.expected()
	var gaps []Gap
	for _, tli := range slices.Sorted(maps.Keys(expected)) {
		gaps = append(gaps, inv.holes(tli, expected[tli])...)
	}
	return mergeGaps(append(gaps, inv.lostGaps()...))
}

// stretch is a range of positions, at segment boundaries.
type stretch struct{ from, to wal.LSN }

// stretches is the one stretch of each timeline.
type stretches map[wal.TimelineID]stretch

func (s stretches) widen(tli wal.TimelineID, from, to wal.LSN) {
	known, ok := s[tli]
	if ok {
		from, to = min(from, known.from), max(to, known.to)
	}
	s[tli] = stretch{from: from, to: to}
}

// expected is the WAL of each timeline that was there once: what lies between its own traces, and on the way from an
// ancestor's traces to its own.
func (inv *Inventory) expected() stretches {
	traces := inv.traces()
	expected := stretches{}
	for tli, own := range traces {
		history, _ := inv.History(tli)
		inv.expectPath(history, own, traces, expected)
	}
	return expected
}

// traces is where runs and backups show that a timeline had WAL.
func (inv *Inventory) traces() stretches {
	traces := stretches{}
	for _, run := range inv.Runs {
		traces.widen(run.Timeline, run.From, run.To)
	}
	size := inv.Identity.WALSegmentSize
	for _, backup := range inv.Backups {
		end := wal.Start(wal.LastSegmentOf(backup.StopLSN, size)+1, size)
		traces.widen(backup.Timeline, inv.segmentStart(backup.StartLSN), end)
	}
	return traces
}

// expectPath expects all WAL on the path to a timeline from the first trace on.
func (inv *Inventory) expectPath(history wal.TimelineHistory, own stretch, traces, expected stretches) {
	seen := false
	for _, tli := range history.Path() {
		from, to, _ := history.Span(tli)
		begin, end := inv.segmentStart(from), inv.segmentStart(to)
		if tli == history.Timeline {
			end = own.to
		}
		if trace, ok := traces[tli]; !seen && ok && trace.from < end {
			begin, seen = trace.from, true
		}
		if seen && begin < end {
			expected.widen(tli, begin, end)
		}
	}
}

// segmentStart is the start of the segment that holds lsn.
func (inv *Inventory) segmentStart(lsn wal.LSN) wal.LSN {
	size := inv.Identity.WALSegmentSize
	return wal.Start(wal.SegmentOf(lsn, size), size)
}

// holes is what of the stretch no run of the timeline covers.
func (inv *Inventory) holes(tli wal.TimelineID, want stretch) []Gap {
	var gaps []Gap
	at := want.from
	for _, run := range inv.sortedRuns(tli) {
		if end := min(run.From, want.to); at < end {
			gaps = append(gaps, Gap{Timeline: tli, From: at, To: end})
		}
		at = max(at, run.To)
	}
	if at < want.to {
		gaps = append(gaps, Gap{Timeline: tli, From: at, To: want.to})
	}
	return gaps
}
