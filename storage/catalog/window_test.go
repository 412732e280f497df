package catalog

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"lifeboat/internal/wal"
)

// Positions in these tests are counted in segments of 1 MiB.
const mib = wal.LSN(wal.MinSegmentSize)

func at(segment float64) wal.LSN { return wal.LSN(segment * float64(mib)) }

// minute is the time that belongs to a position: the server writes one segment a minute.
func minute(lsn wal.LSN) time.Time {
	return sceneTime.Add(time.Duration(float64(lsn) / float64(mib) * float64(time.Minute)))
}

// run is the segments from first to last, inclusive, whose last record starts in the middle of the last one.
func run(tli wal.TimelineID, first, last int) WALRun {
	end := at(float64(last) + 0.5)
	return WALRun{
		Timeline: tli, From: at(float64(first)), To: at(float64(last + 1)),
		LastRecord: end, LastRecordEnd: end + 64, LastXactTime: minute(end), LastTime: minute(end),
	}
}

func backup(label string, tli wal.TimelineID, start, stop float64) Record {
	return Record{
		Label: label, Timeline: tli, StartLSN: at(start), StopLSN: at(stop),
		StartTime: minute(at(start)), StopTime: minute(at(stop)),
	}
}

// branched is the history of a timeline, as pairs of an ancestor and where it was left.
func branched(tli wal.TimelineID, pairs ...float64) wal.TimelineHistory {
	h := wal.TimelineHistory{Timeline: tli}
	for i := 0; i < len(pairs); i += 2 {
		h.Entries = append(h.Entries, wal.HistoryEntry{Timeline: wal.TimelineID(pairs[i]), SwitchLSN: at(pairs[i+1])})
	}
	return h
}

func inventory(backups []Record, runs []WALRun, histories ...wal.TimelineHistory) *Inventory {
	inv := &Inventory{
		Identity: sceneIdentity(), Backups: backups, Runs: runs, Histories: map[wal.TimelineID]wal.TimelineHistory{},
	}
	for _, h := range histories {
		inv.Histories[h.Timeline] = h
	}
	return inv
}

// show is a window in short: timeline, from and to in segments, backups.
func (w Window) show() string {
	return fmt.Sprintf("%d: %.1f-%.1f %s", w.Timeline,
		float64(w.FromLSN)/float64(mib), float64(w.ToLSN)/float64(mib), strings.Join(w.Backups, " "))
}

func (g Gap) show() string {
	return fmt.Sprintf("%d: %d-%d", g.Timeline, g.From/mib, g.To/mib)
}

func shown[T interface{ show() string }](items []T) []string {
	lines := []string{}
	for _, item := range items {
		lines = append(lines, item.show())
	}
	return lines
}

func TestWindowsAndGaps(t *testing.T) {
	t.Parallel()
	a, b := backup("a", 1, 2.1, 2.4), backup("b", 1, 6.1, 7.2)
	for name, c := range map[string]struct {
		inv     *Inventory
		windows []string
		gaps    []string
	}{
		"nothing": {inv: inventory(nil, nil)},
		"WAL without a backup": {
			inv: inventory(nil, []WALRun{run(1, 1, 9)}),
		},
		"one timeline": {
			inv:     inventory([]Record{a, b}, []WALRun{run(1, 1, 9)}),
			windows: []string{"1: 2.4-9.5 a b"},
		},
		"backups in any order": {
			inv:     inventory([]Record{b, a}, []WALRun{run(1, 1, 9)}),
			windows: []string{"1: 2.4-9.5 a b"},
		},
		"WAL before the backup is gone": {
			inv:     inventory([]Record{b}, []WALRun{run(1, 6, 9)}),
			windows: []string{"1: 7.2-9.5 b"},
		},
		"hole between the backups": {
			inv:     inventory([]Record{a, b}, []WALRun{run(1, 1, 3), run(1, 5, 9)}),
			windows: []string{"1: 2.4-3.5 a", "1: 7.2-9.5 b"},
			gaps:    []string{"1: 4-5"},
		},
		"hole in a backup": {
			inv:     inventory([]Record{a, b}, []WALRun{run(1, 1, 6), run(1, 8, 9)}),
			windows: []string{"1: 2.4-6.5 a"},
			gaps:    []string{"1: 7-8"},
		},
		"first segment of a backup is missing": {
			inv:  inventory([]Record{b}, []WALRun{run(1, 7, 9)}),
			gaps: []string{"1: 6-7"},
		},
		"last segment of a backup is missing": {
			inv:     inventory([]Record{a, b}, []WALRun{run(1, 1, 6)}),
			windows: []string{"1: 2.4-6.5 a"},
			gaps:    []string{"1: 7-8"},
		},
		"all WAL of a backup is missing": {
			inv:  inventory([]Record{b}, nil),
			gaps: []string{"1: 6-8"},
		},
		"promotion": {
			inv:     inventory([]Record{a}, []WALRun{run(1, 1, 4), run(2, 5, 9)}, branched(2, 1, 5.5)),
			windows: []string{"1: 2.4-4.5 a", "2: 2.4-9.5 a"},
		},
		"promotion at a segment's start": {
			inv:     inventory([]Record{a}, []WALRun{run(1, 1, 4), run(2, 5, 9)}, branched(2, 1, 5)),
			windows: []string{"1: 2.4-4.5 a", "2: 2.4-9.5 a"},
		},
		"both branches go on": {
			inv:     inventory([]Record{a, b}, []WALRun{run(1, 1, 8), run(2, 5, 9)}, branched(2, 1, 5.5)),
			windows: []string{"1: 2.4-8.5 a b", "2: 2.4-9.5 a"},
		},
		"backup on either side of the promotion": {
			inv: inventory([]Record{a, backup("c", 2, 6.1, 7.2)}, []WALRun{run(1, 1, 4), run(2, 5, 9)},
				branched(2, 1, 5.5)),
			windows: []string{"1: 2.4-4.5 a", "2: 2.4-9.5 a c"},
		},
		"hole before the promotion": {
			inv:     inventory([]Record{a}, []WALRun{run(1, 1, 3), run(2, 5, 9)}, branched(2, 1, 5.5)),
			windows: []string{"1: 2.4-3.5 a"},
			gaps:    []string{"1: 4-5"},
		},
		"first segment of the branch is missing": {
			inv:     inventory([]Record{a}, []WALRun{run(1, 1, 8), run(2, 6, 9)}, branched(2, 1, 5.5)),
			windows: []string{"1: 2.4-8.5 a"},
			gaps:    []string{"2: 5-6"},
		},
		"history is not stored": {
			inv: inventory([]Record{a, backup("c", 2, 6.1, 7.2)}, []WALRun{run(1, 1, 4), run(2, 5, 9)}),
			windows: []string{
				"1: 2.4-4.5 a", "2: 7.2-9.5 c",
			},
		},
		"promotion twice": {
			inv: inventory([]Record{a}, []WALRun{run(1, 1, 4), run(2, 5, 6), run(3, 7, 9)},
				branched(2, 1, 5.5), branched(3, 1, 5.5, 2, 7.5)),
			windows: []string{"1: 2.4-4.5 a", "2: 2.4-6.5 a", "3: 2.4-9.5 a"},
		},
		"promotion twice within one segment": {
			inv: inventory([]Record{a}, []WALRun{run(1, 1, 4), run(3, 5, 9)},
				branched(2, 1, 5.5), branched(3, 1, 5.5, 2, 5.7)),
			windows: []string{"1: 2.4-4.5 a", "3: 2.4-9.5 a"},
		},
		"timeline in the middle is missing": {
			inv: inventory([]Record{a}, []WALRun{run(1, 1, 4), run(3, 7, 9)},
				branched(2, 1, 5.5), branched(3, 1, 5.5, 2, 7.5)),
			windows: []string{"1: 2.4-4.5 a"},
			gaps:    []string{"2: 5-7"},
		},
		"two siblings": {
			inv: inventory([]Record{a}, []WALRun{run(1, 1, 4), run(2, 5, 9), run(3, 3, 8)},
				branched(2, 1, 5.5), branched(3, 1, 3.5)),
			windows: []string{"1: 2.4-4.5 a", "2: 2.4-9.5 a", "3: 2.4-8.5 a"},
		},
		"backup behind the branch": {
			inv: inventory([]Record{backup("d", 1, 3.1, 3.7)}, []WALRun{run(1, 1, 4), run(2, 3, 9)},
				branched(2, 1, 3.5)),
			windows: []string{"1: 3.7-4.5 d"},
		},
		"WAL of the parent from before the branch is gone": {
			inv: inventory([]Record{backup("f", 2, 7.1, 7.5)}, []WALRun{run(1, 7, 9), run(2, 7, 9)},
				branched(2, 1, 5.5)),
			windows: []string{"2: 7.5-9.5 f"},
		},
		"backup that began before its timeline did": {
			inv: inventory([]Record{backup("g", 2, 4.1, 6.2)}, []WALRun{run(1, 1, 4), run(2, 5, 9)},
				branched(2, 1, 5.5)),
		},
		"archive begins on timeline 3": {
			inv: inventory([]Record{backup("e", 3, 8.1, 8.5)}, []WALRun{run(3, 8, 9)},
				branched(3, 1, 3.5, 2, 5.5)),
			windows: []string{"3: 8.5-9.5 e"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := shown(c.inv.Windows()); !slices.Equal(got, c.windows) {
				t.Errorf("windows are %q, want %q", got, c.windows)
			}
			if got := shown(c.inv.Gaps()); !slices.Equal(got, c.gaps) {
				t.Errorf("gaps are %q, want %q", got, c.gaps)
			}
		})
	}
}

func TestWindowOfADamagedHistoryIsNotOffered(t *testing.T) {
	t.Parallel()
	inv := inventory([]Record{backup("c", 2, 6.1, 7.2)}, []WALRun{run(2, 5, 9)})
	inv.damagedHistories = map[wal.TimelineID]bool{2: true}
	if got := inv.Windows(); len(got) != 0 {
		t.Errorf("windows are %q", shown(got))
	}
}

func TestWindowEndsWhereTheLastRecordAndTransactionAre(t *testing.T) {
	t.Parallel()
	a := backup("a", 1, 2.1, 2.4)
	busy, idle := run(1, 1, 9), run(1, 1, 9)
	idle.LastXactTime, idle.LastRecord = time.Time{}, 0
	for _, c := range []struct {
		run  WALRun
		time time.Time
		lsn  wal.LSN
	}{
		{run: busy, time: busy.LastXactTime, lsn: busy.LastRecord},
		{run: idle, time: a.StopTime, lsn: a.StopLSN},
	} {
		want := []Window{{
			Timeline: 1, FromTime: a.StopTime, ToTime: c.time, FromLSN: a.StopLSN, ToLSN: c.lsn, Backups: []string{"a"},
		}}
		if got := inventory([]Record{a}, []WALRun{c.run}).Windows(); !reflect.DeepEqual(got, want) {
			t.Errorf("windows are %+v, want %+v", got, want)
		}
	}
}

// world is an archive in which anything may be missing.
type world struct {
	inv      *Inventory
	segments map[wal.FileName]bool
}

// randomWorld branches timelines off each other, removes segments, and makes backups.
func randomWorld(r *rand.Rand) world {
	w := world{segments: map[wal.FileName]bool{}}
	inv := inventory(nil, nil)
	ends := map[wal.TimelineID]int{}
	for tli := wal.TimelineID(1); tli <= wal.TimelineID(1+r.IntN(5)); tli++ {
		begin := 0
		if tli > 1 {
			parent := wal.TimelineID(1 + r.IntN(int(tli)-1))
			h := wal.TimelineHistory{Timeline: tli, Entries: slices.Clone(inv.Histories[parent].Entries)}
			from, _, _ := wal.TimelineHistory{Timeline: parent, Entries: h.Entries}.Span(parent)
			begin = int(from/mib) + r.IntN(ends[parent]-int(from/mib)+1)
			h.Entries = append(h.Entries, wal.HistoryEntry{
				Timeline: parent, SwitchLSN: max(from, at(float64(begin)+float64(r.IntN(3))*0.4)),
			})
			inv.Histories[tli] = h
		}
		ends[tli] = begin + 1 + r.IntN(12)
		w.archive(r, tli, begin, ends[tli])
		inv.addBackups(r, tli, begin, ends[tli])
	}
	inv.Runs = runsOf(w.segments)
	w.inv = inv
	return w
}

func (w world) archive(r *rand.Rand, tli wal.TimelineID, begin, end int) {
	for number := begin; number <= end; number++ {
		if r.IntN(12) > 0 {
			w.segments[wal.SegmentFile(tli, wal.SegmentNumber(number), wal.MinSegmentSize)] = true
		}
	}
}

func (inv *Inventory) addBackups(r *rand.Rand, tli wal.TimelineID, begin, end int) {
	for range r.IntN(4) {
		start := float64(begin) + 0.9 + float64(r.IntN(end-begin+1))
		stop := start + float64(r.IntN(4))*0.3
		label := fmt.Sprintf("%d-%d", tli, len(inv.Backups))
		inv.Backups = append(inv.Backups, backup(label, tli, start, stop))
	}
}

// runsOf joins segments in the plainest way.
func runsOf(segments map[wal.FileName]bool) []WALRun {
	var runs []WALRun
	for tli := wal.TimelineID(1); tli < 10; tli++ {
		for number := range 100 {
			if !segments[wal.SegmentFile(tli, wal.SegmentNumber(number), wal.MinSegmentSize)] {
				continue
			}
			if n := len(runs); n > 0 && runs[n-1].Timeline == tli && runs[n-1].To == at(float64(number)) {
				runs[n-1] = run(tli, int(runs[n-1].From/mib), number)
				continue
			}
			runs = append(runs, run(tli, number, number))
		}
	}
	return runs
}

// reaches says, segment by segment, whether all WAL from the backup's start to lsn is there for recovery to tli.
func (w world) reaches(b Record, tli wal.TimelineID, lsn wal.LSN) bool {
	h, _ := w.inv.History(tli)
	_, left, ok := h.Span(b.Timeline)
	if !ok || left != 0 && b.StopLSN > left {
		return false
	}
	for number := wal.SegmentOf(b.StartLSN, wal.MinSegmentSize); at(float64(number)) < lsn; number++ {
		owner := h.SegmentTimelines(number, wal.MinSegmentSize)[0]
		if !w.segments[wal.SegmentFile(owner, number, wal.MinSegmentSize)] {
			return false
		}
	}
	return true
}

// Every window must be contiguous for each of its backups, and end only where the WAL does.
func TestEveryOfferedWindowCanBeReached(t *testing.T) {
	t.Parallel()
	offered := 0
	for seed := range uint64(3000) {
		w := randomWorld(rand.New(rand.NewPCG(seed, 1)))
		windows := w.inv.Windows()
		offered += len(windows)
		for _, window := range windows {
			w.checkWindow(t, window)
		}
		w.checkComplete(t, windows)
		if t.Failed() {
			t.Fatalf("seed %d: backups %+v, runs %+v, histories %v", seed, w.inv.Backups, w.inv.Runs, w.inv.Histories)
		}
	}
	if offered < 3000 {
		t.Errorf("only %d windows were offered: the worlds are too poor to prove anything", offered)
	}
}

func (w world) checkWindow(t *testing.T, window Window) {
	t.Helper()
	for _, b := range w.inv.Backups {
		if !slices.Contains(window.Backups, b.Label) {
			continue
		}
		if b.StopLSN < window.FromLSN || !w.reaches(b, window.Timeline, max(b.StopLSN, window.ToLSN)) {
			t.Errorf("window %s does not hold for backup %s", window.show(), b.Label)
		}
		end := at(float64(window.ToLSN/mib) + 1)
		if window.ToLSN > b.StopLSN && w.reaches(b, window.Timeline, end+1) {
			t.Errorf("window %s ends before the WAL does", window.show())
		}
	}
}

// checkComplete makes sure that no usable backup is left out of its timeline's windows.
func (w world) checkComplete(t *testing.T, windows []Window) {
	t.Helper()
	for _, run := range w.inv.Runs {
		for _, b := range w.inv.Backups {
			usable := w.reaches(b, run.Timeline, max(run.To, b.StopLSN)) && b.StartLSN >= w.begin(b.Timeline, run.Timeline) &&
				run.To > b.StartLSN && !w.copied(run)
			in := slices.ContainsFunc(windows, func(window Window) bool {
				return window.Timeline == run.Timeline && slices.Contains(window.Backups, b.Label)
			})
			if usable && !in {
				t.Errorf("backup %s reaches the end of %+v and is in no window", b.Label, run)
			}
		}
	}
}

// begin is where the backup's timeline begins on the path to another.
func (w world) begin(tli, to wal.TimelineID) wal.LSN {
	h, _ := w.inv.History(to)
	from, _, _ := h.Span(tli)
	return from
}

// copied says whether no byte of the run is the timeline's own.
func (w world) copied(run WALRun) bool { return run.To <= w.begin(run.Timeline, run.Timeline) }

// What is neither in a gap nor there must lie outside of what the inventory knows to have existed.
func TestGapsAreExactlyTheHolesBetweenTraces(t *testing.T) {
	t.Parallel()
	for seed := range uint64(1000) {
		w := randomWorld(rand.New(rand.NewPCG(seed, 2)))
		gaps := w.inv.Gaps()
		for _, gap := range gaps {
			for number := gap.From / mib; number < gap.To/mib; number++ {
				if w.segments[wal.SegmentFile(gap.Timeline, wal.SegmentNumber(number), wal.MinSegmentSize)] {
					t.Fatalf("seed %d: gap %s holds segment %d, which is there", seed, gap.show(), number)
				}
			}
		}
		for i, earlier := range w.inv.Runs[:max(0, len(w.inv.Runs)-1)] {
			later := w.inv.Runs[i+1]
			want := Gap{Timeline: later.Timeline, From: earlier.To, To: later.From}
			if earlier.Timeline == later.Timeline && !slices.Contains(gaps, want) {
				t.Fatalf("seed %d: no gap between %+v and %+v", seed, earlier, later)
			}
		}
	}
}
