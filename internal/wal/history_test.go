package wal

import (
	"errors"
	"slices"
	"testing"
)

const thirdTimeline = "1\t0/3000148\tno recovery target specified\n\n# a comment\n  2\t1/20\tbefore 2026-01-02 03:04:05+00\n"

func TestHistoryAsPostgreSQLWritesIt(t *testing.T) {
	t.Parallel()
	h, err := ParseHistory(3, []byte(thirdTimeline))
	if err != nil {
		t.Fatal(err)
	}
	want := []HistoryEntry{
		{Timeline: 1, SwitchLSN: 0x3000148, Reason: "no recovery target specified"},
		{Timeline: 2, SwitchLSN: 1<<32 + 0x20, Reason: "before 2026-01-02 03:04:05+00"},
	}
	if !slices.Equal(h.Entries, want) {
		t.Errorf("entries %+v, want %+v", h.Entries, want)
	}
	if again, err := ParseHistory(3, h.Format()); err != nil || !slices.Equal(again.Entries, want) {
		t.Errorf("formatted and read again: %+v, %v", again, err)
	}
	if h.String() != "1 until 0/3000148, 2 until 1/20, 3" {
		t.Errorf("String: %q", h)
	}
}

func TestTimelineAtPoint(t *testing.T) {
	t.Parallel()
	h, err := ParseHistory(3, []byte(thirdTimeline))
	if err != nil {
		t.Fatal(err)
	}
	for lsn, want := range map[LSN]TimelineID{0: 1, 0x3000147: 1, 0x3000148: 2, 1<<32 + 0x1F: 2, 1<<32 + 0x20: 3, 1 << 60: 3} {
		if got := h.TimelineAt(lsn); got != want {
			t.Errorf("%v is of timeline %v, want %v", lsn, got, want)
		}
	}
	for tli, want := range map[TimelineID][2]LSN{1: {0, 0x3000148}, 2: {0x3000148, 1<<32 + 0x20}, 3: {1<<32 + 0x20, 0}} {
		if from, to, ok := h.Span(tli); !ok || from != want[0] || to != want[1] {
			t.Errorf("span of %v: %v to %v, %v", tli, from, to, ok)
		}
	}
	if _, _, ok := h.Span(4); ok {
		t.Error("timeline 4 has a span")
	}
}

func TestSegmentOfSwitchPointIsLookedForOnTheNewTimelineFirst(t *testing.T) {
	t.Parallel()
	h, err := ParseHistory(3, []byte(thirdTimeline))
	if err != nil {
		t.Fatal(err)
	}
	for segno, want := range map[SegmentNumber][]TimelineID{2: {1}, 3: {2, 1}, 255: {2, 1}, 256: {3, 2, 1}} {
		if got := h.SegmentTimelines(segno, DefaultSegmentSize); !slices.Equal(got, want) {
			t.Errorf("segment %d: %v, want %v", segno, got, want)
		}
	}
	if got := (TimelineHistory{Timeline: 1}).SegmentTimelines(9, DefaultSegmentSize); !slices.Equal(got, []TimelineID{1}) {
		t.Errorf("without a history: %v", got)
	}
}

func TestHistoryRefusesDamage(t *testing.T) {
	t.Parallel()
	for damage, c := range map[string]struct {
		text string
		line int
	}{
		"no number":               {"one\t0/1\tx\n", 1},
		"timeline 0":              {"0\t0/1\tx\n", 1},
		"no switch point":         {"# c\n1\n", 2},
		"half a switch point":     {"1\t0/\tx\n", 1},
		"itself as ancestor":      {"5\t0/1\tx\n", 1},
		"descending timelines":    {"2\t0/1\tx\n1\t0/2\tx\n", 2},
		"same timeline twice":     {"2\t0/1\tx\n2\t0/2\tx\n", 2},
		"descending switch point": {"1\t0/2\tx\n2\t0/1\tx\n", 2},
		"NUL bytes":               {"\x00\x00\x00", 1},
	} {
		_, err := ParseHistory(5, []byte(c.text))
		var historyErr *HistoryError
		if !errors.As(err, &historyErr) || historyErr.Line != c.line || historyErr.Timeline != 5 {
			t.Errorf("%s: %v, want an error in line %d", damage, err, c.line)
		}
	}
}

func FuzzParseHistory(f *testing.F) {
	f.Add(uint32(3), []byte(thirdTimeline))
	f.Add(uint32(2), []byte("1 0/0"))
	f.Add(uint32(1), []byte(""))
	f.Fuzz(func(t *testing.T, tli uint32, text []byte) {
		h, err := ParseHistory(TimelineID(tli), text)
		if err != nil {
			return
		}
		again, err := ParseHistory(TimelineID(tli), h.Format())
		if err != nil || len(again.Entries) != len(h.Entries) {
			t.Errorf("%q became %q: %v", text, h.Format(), err)
		}
	})
}
