package wal

import (
	"fmt"
	"strconv"
	"strings"
)

// HistoryEntry is a timeline that another one branched off from.
type HistoryEntry struct {
	Timeline  TimelineID
	SwitchLSN LSN // where this timeline ends for its descendant
	Reason    string
}

// TimelineHistory is where a timeline comes from: its ancestors, oldest first, as its history file lists them.
// Timeline 1 has no file and no entries.
type TimelineHistory struct {
	Timeline TimelineID
	Entries  []HistoryEntry
}

// HistoryError says what is wrong with a history file.
type HistoryError struct {
	Timeline TimelineID
	Line     int // from 1; 0 where it is not one line's fault
	Reason   string
}

// Error names the file and the line.
func (e *HistoryError) Error() string {
	name := HistoryFile(e.Timeline).String()
	if e.Line == 0 {
		return fmt.Sprintf("history file %s %s", name, e.Reason)
	}
	return fmt.Sprintf("history file %s, line %d %s", name, e.Line, e.Reason)
}

// ParseHistory reads the history file of timeline tli as readTimeLineHistory in timeline.c does: blank lines and
// lines that start with # are comments, timelines ascend and stay below tli. Beyond PostgreSQL's checks, switch
// points must not go backwards. The error is a *HistoryError.
func ParseHistory(tli TimelineID, text []byte) (TimelineHistory, error) {
	h := TimelineHistory{Timeline: tli}
	number := 0
	for line := range strings.Lines(string(text)) {
		number++
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		entry, reason := parseHistoryLine(line)
		if reason == "" {
			reason = h.misplaced(entry)
		}
		if reason != "" {
			return TimelineHistory{}, &HistoryError{Timeline: tli, Line: number, Reason: reason}
		}
		h.Entries = append(h.Entries, entry)
	}
	return h, nil
}

func parseHistoryLine(line string) (HistoryEntry, string) {
	number, rest := cutSpace(line)
	tli, err := strconv.ParseUint(number, 10, 32)
	if err != nil || tli == 0 {
		return HistoryEntry{}, "does not start with a timeline number"
	}
	place, reason := cutSpace(rest)
	lsn, err := ParseLSN(place)
	if err != nil {
		return HistoryEntry{}, "does not name a switch point"
	}
	return HistoryEntry{Timeline: TimelineID(tli), SwitchLSN: lsn, Reason: reason}, ""
}

func cutSpace(s string) (word, rest string) {
	end := strings.IndexAny(s, " \t\v\f\r")
	if end < 0 {
		return s, ""
	}
	return s[:end], strings.TrimSpace(s[end:])
}

func (h TimelineHistory) misplaced(e HistoryEntry) string {
	if e.Timeline >= h.Timeline {
		return fmt.Sprintf("names timeline %d, which is not older than %d", e.Timeline, h.Timeline)
	}
	if len(h.Entries) == 0 {
		return ""
	}
	last := h.Entries[len(h.Entries)-1]
	if e.Timeline <= last.Timeline {
		return fmt.Sprintf("names timeline %d after %d", e.Timeline, last.Timeline)
	}
	if e.SwitchLSN < last.SwitchLSN {
		return fmt.Sprintf("switches at %s, before %s", e.SwitchLSN, last.SwitchLSN)
	}
	return ""
}

// Format is a history file with the same meaning, one line for each entry.
func (h TimelineHistory) Format() []byte {
	var b strings.Builder
	for _, e := range h.Entries {
		fmt.Fprintf(&b, "%d\t%s\t%s\n", e.Timeline, e.SwitchLSN, e.Reason)
	}
	return []byte(b.String())
}

// String shows the path for people, such as "1 until 0/3000148, 2".
func (h TimelineHistory) String() string {
	var b strings.Builder
	for _, e := range h.Entries {
		fmt.Fprintf(&b, "%d until %s, ", e.Timeline, e.SwitchLSN)
	}
	return b.String() + h.Timeline.String()
}

// Path is the timelines from the oldest ancestor to this one.
func (h TimelineHistory) Path() []TimelineID {
	path := make([]TimelineID, 0, len(h.Entries)+1)
	for _, e := range h.Entries {
		path = append(path, e.Timeline)
	}
	return append(path, h.Timeline)
}

// TimelineAt is the timeline that the byte at lsn was written on (tliOfPointInHistory).
func (h TimelineHistory) TimelineAt(lsn LSN) TimelineID {
	for _, e := range h.Entries {
		if lsn < e.SwitchLSN {
			return e.Timeline
		}
	}
	return h.Timeline
}

// Span is the range of LSNs, from inclusive and to exclusive, in which a timeline of the path was the current
// one; to is 0 where it has no end. A timeline outside of the path has no span.
func (h TimelineHistory) Span(tli TimelineID) (from, to LSN, ok bool) {
	for _, e := range h.Entries {
		if e.Timeline == tli {
			return from, e.SwitchLSN, true
		}
		from = e.SwitchLSN
	}
	return from, 0, tli == h.Timeline
}

// SegmentTimelines is the timelines whose file of this number may hold the segment, best first, as recovery
// looks for it (XLogFileReadAnyTLI in xlogrecovery.c): a new timeline's first segment starts with a copy of
// what the old one wrote before the switch point, so the newest one that had begun by the segment's end wins.
func (h TimelineHistory) SegmentTimelines(segno SegmentNumber, size SegmentSize) []TimelineID {
	path := h.Path()
	var found []TimelineID
	for i := len(path) - 1; i >= 0; i-- {
		from, _, _ := h.Span(path[i])
		if SegmentOf(from, size) <= segno {
			found = append(found, path[i])
		}
	}
	return found
}
