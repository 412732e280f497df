package main

import (
	"slices"
	"testing"

	"lifeboat/internal/wal"
	"lifeboat/storage/catalog"
)

func TestOnlyWhatTheRepositoryLacksIsLost(t *testing.T) {
	t.Parallel()
	run := func(tli wal.TimelineID, from, to, tail wal.LSN) catalog.WALRun {
		return catalog.WALRun{Timeline: tli, From: from, To: to, Tail: tail}
	}
	for name, tc := range map[string]struct {
		runs []catalog.WALRun
		want [][2]wal.LSN
	}{
		"nothing is there":      {nil, [][2]wal.LSN{{100, 500}}},
		"all is there":          {[]catalog.WALRun{run(1, 0, 600, 0)}, nil},
		"the begin is there":    {[]catalog.WALRun{run(1, 0, 200, 0)}, [][2]wal.LSN{{200, 500}}},
		"the end is there":      {[]catalog.WALRun{run(1, 400, 600, 0)}, [][2]wal.LSN{{100, 400}}},
		"the middle is there":   {[]catalog.WALRun{run(1, 200, 300, 0)}, [][2]wal.LSN{{100, 200}, {300, 500}}},
		"a tail is there":       {[]catalog.WALRun{run(1, 0, 200, 150)}, [][2]wal.LSN{{150, 500}}},
		"on another timeline":   {[]catalog.WALRun{run(2, 0, 600, 0)}, [][2]wal.LSN{{100, 500}}},
		"two runs with a hole":  {[]catalog.WALRun{run(1, 0, 200, 0), run(1, 300, 600, 0)}, [][2]wal.LSN{{200, 300}}},
		"before and behind all": {[]catalog.WALRun{run(1, 0, 100, 0), run(1, 500, 600, 0)}, [][2]wal.LSN{{100, 500}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var got [][2]wal.LSN
			for _, gap := range lacking(tc.runs, catalog.LostWAL{Timeline: 1, From: 100, To: 500, Why: "why"}) {
				if gap.Timeline != 1 || gap.Why != "why" {
					t.Errorf("the gap is %+v", gap)
				}
				got = append(got, [2]wal.LSN{gap.From, gap.To})
			}
			if !slices.Equal(got, tc.want) {
				t.Errorf("lost: %v, want %v", got, tc.want)
			}
		})
	}
}
