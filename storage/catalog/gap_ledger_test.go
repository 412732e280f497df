package catalog

import (
	"slices"
	"testing"

	"lifeboat/internal/wal"
)

// lost is an entry of the ledger, in segments.
func lost(tli wal.TimelineID, from, to float64) Finding {
	return Finding{Kind: FindingGap, Lost: &LostWAL{Timeline: tli, From: at(from), To: at(to), Why: "the slot was lost"}}
}

// cut is a run whose last segment is a tail that ends in its middle.
func cut(tli wal.TimelineID, first, last int) WALRun {
	r := run(tli, first, last)
	r.Tail = at(float64(last) + 0.7)
	return r
}

func TestLedgerOfGaps(t *testing.T) {
	t.Parallel()
	b := backup("b", 1, 2.1, 2.4)
	for name, c := range map[string]struct {
		runs    []WALRun
		lost    []Finding
		gaps    []string
		why     string // of the first gap
		windows []string
	}{
		"none":                        {runs: []WALRun{run(1, 1, 9)}, windows: []string{"1: 2.4-9.5 b"}},
		"filled":                      {runs: []WALRun{run(1, 1, 9)}, lost: []Finding{lost(1, 4.2, 6)}, windows: []string{"1: 2.4-9.5 b"}},
		"behind the last segment":     {runs: []WALRun{run(1, 1, 4)}, lost: []Finding{lost(1, 5, 7)}, gaps: []string{"1: 5-7"}, why: "the slot was lost", windows: []string{"1: 2.4-4.5 b"}},
		"not filled":                  {runs: []WALRun{run(1, 1, 4), run(1, 7, 9)}, lost: []Finding{lost(1, 5, 7)}, gaps: []string{"1: 5-7"}, why: "the slot was lost", windows: []string{"1: 2.4-4.5 b"}},
		"filled in part":              {runs: []WALRun{run(1, 1, 5), run(1, 7, 9)}, lost: []Finding{lost(1, 5, 7)}, gaps: []string{"1: 6-7"}, why: "the slot was lost", windows: []string{"1: 2.4-5.5 b"}},
		"more is missing":             {runs: []WALRun{run(1, 1, 3), run(1, 8, 9)}, lost: []Finding{lost(1, 5, 7)}, gaps: []string{"1: 4-8"}, why: "the slot was lost", windows: []string{"1: 2.4-3.5 b"}},
		"in the middle of a segment":  {runs: []WALRun{run(1, 1, 4)}, lost: []Finding{lost(1, 5.3, 6.1)}, gaps: []string{"1: 5-7"}, why: "the slot was lost", windows: []string{"1: 2.4-4.5 b"}},
		"behind a tail":               {runs: []WALRun{cut(1, 1, 4)}, lost: []Finding{lost(1, 4.7, 7)}, gaps: []string{"1: 4-7"}, why: "the slot was lost", windows: []string{"1: 2.4-4.5 b"}},
		"behind a tail, filled":       {runs: []WALRun{run(1, 1, 4)}, lost: []Finding{lost(1, 4.7, 5)}, windows: []string{"1: 2.4-4.5 b"}},
		"before the first segment":    {runs: []WALRun{run(1, 2, 9)}, lost: []Finding{lost(1, 0.5, 2)}, gaps: []string{"1: 0-2"}, why: "the slot was lost", windows: []string{"1: 2.4-9.5 b"}},
		"long before all that's left": {runs: []WALRun{run(1, 2, 9)}, lost: []Finding{lost(1, 0.1, 0.9)}, windows: []string{"1: 2.4-9.5 b"}},
		"twice":                       {runs: []WALRun{run(1, 1, 4)}, lost: []Finding{lost(1, 5, 7), lost(1, 6, 8)}, gaps: []string{"1: 5-8"}, why: "the slot was lost", windows: []string{"1: 2.4-4.5 b"}},
		"on another timeline":         {runs: []WALRun{run(1, 1, 9)}, lost: []Finding{lost(2, 5, 7)}, gaps: []string{"2: 5-7"}, why: "the slot was lost", windows: []string{"1: 2.4-9.5 b"}},
	} {
		inv := inventory([]Record{b}, c.runs)
		inv.Findings = c.lost
		gaps := inv.Gaps()
		if got := shown(gaps); !slices.Equal(got, c.gaps) {
			t.Errorf("%s: gaps are %q, want %q", name, got, c.gaps)
		}
		if len(gaps) > 0 && gaps[0].Why != c.why {
			t.Errorf("%s: because %q, want %q", name, gaps[0].Why, c.why)
		}
		if got := shown(inv.Windows()); !slices.Equal(got, c.windows) {
			t.Errorf("%s: windows are %q, want %q", name, got, c.windows)
		}
	}
}

func TestABackupBehindAGapMendsIt(t *testing.T) {
	t.Parallel()
	gap := Gap{Timeline: 1, From: at(5), To: at(7)}
	for name, c := range map[string]struct {
		backups []Record
		mended  bool
	}{
		"none":                   {nil, false},
		"before":                 {[]Record{backup("a", 1, 2, 2.5)}, false},
		"behind":                 {[]Record{backup("a", 1, 2, 2.5), backup("b", 1, 7.1, 7.5)}, true},
		"on a later timeline":    {[]Record{backup("b", 2, 8.1, 8.5)}, true},
		"on a branch before it":  {[]Record{backup("b", 3, 8.1, 8.5)}, false},
		"of an unknown timeline": {[]Record{backup("b", 4, 8.1, 8.5)}, false},
	} {
		inv := inventory(c.backups, []WALRun{run(1, 1, 4), run(1, 7, 9)}, branched(2, 1, 8), branched(3, 1, 4))
		if inv.Mended(gap) != c.mended {
			t.Errorf("%s: mended is %t", name, !c.mended)
		}
	}
}

func TestTheGapBehindAPosition(t *testing.T) {
	t.Parallel()
	inv := inventory(nil, []WALRun{run(1, 1, 2), run(1, 4, 6), run(2, 7, 8), run(2, 10, 11)}, branched(2, 1, 7))
	inv.Findings = []Finding{lost(3, 3, 4)}
	for name, c := range map[string]struct {
		tli  wal.TimelineID
		at   float64
		want string
	}{
		"the first":        {1, 2.5, "1: 3-4"},
		"inside":           {1, 3.5, "1: 3-4"},
		"of the ancestor":  {2, 2, "1: 3-4"},
		"of the timeline":  {2, 5, "2: 9-10"},
		"behind the last":  {2, 10, ""},
		"another timeline": {1, 5, ""},
	} {
		gap, ok := inv.GapBehind(c.tli, at(c.at))
		if ok != (c.want != "") || ok && gap.show() != c.want {
			t.Errorf("%s: %v, %t, want %q", name, gap, ok, c.want)
		}
	}
}

func TestGapsAreKept(t *testing.T) {
	t.Parallel()
	inEachForm(t, func(t *testing.T, form form) {
		s := form.scene(t)
		s.archive(t, 1, 1, 3)
		gap := LostWAL{Timeline: 1, From: at(4.5), To: at(6), Why: "the slot was lost"}
		for range 2 {
			if err := s.cluster.PutGap(t.Context(), gap, sceneTime); err != nil {
				t.Fatal(err)
			}
		}
		inv := must(s.cluster.Inventory(t.Context()))(t)
		want := []Gap{{Timeline: 1, From: at(4), To: at(6), Why: gap.Why, Since: sceneTime}}
		if len(inv.Findings) != 1 || !slices.Equal(inv.Gaps(), want) {
			t.Errorf("findings %+v, gaps %+v", inv.Findings, inv.Gaps())
		}
		s.archive(t, 1, 4, 6)
		if gaps := must(s.cluster.Inventory(t.Context()))(t).Gaps(); len(gaps) != 0 {
			t.Errorf("filled, and yet %+v", gaps)
		}
		for name, bad := range map[string]LostWAL{
			"no timeline": {From: 1, To: 2}, "nothing": {Timeline: 1, From: 7, To: 7}, "backwards": {Timeline: 1, From: 7, To: 5},
		} {
			if err := s.cluster.PutGap(t.Context(), bad, sceneTime); err == nil {
				t.Errorf("%s: taken", name)
			}
		}
	})
}
