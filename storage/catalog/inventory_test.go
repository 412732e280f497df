package catalog

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"lifeboat/internal/wal"
	"lifeboat/storage/fault"
)

// archive stores the segments of a timeline from first to last.
func (s *scene) archive(t *testing.T, tli wal.TimelineID, first, last int) {
	t.Helper()
	for number := first; number <= last; number++ {
		s.put(t, segment(t, wal.SegmentName(tli, wal.SegmentNumber(number), wal.MinSegmentSize), ""))
	}
}

func (r WALRun) show() string { return fmt.Sprintf("%d: %d-%d", r.Timeline, r.From/mib, r.To/mib) }

func TestInventoryOfAnEmptyClusterIsEmpty(t *testing.T) {
	t.Parallel()
	inEachForm(t, func(t *testing.T, form form) {
		inv := must(form.scene(t).cluster.Inventory(t.Context()))(t)
		if len(inv.Runs)+len(inv.Backups)+len(inv.Problems)+len(inv.Windows())+len(inv.Gaps()) != 0 {
			t.Errorf("inventory is %+v", inv)
		}
	})
}

func TestInventoryJoinsSegmentsToRuns(t *testing.T) {
	t.Parallel()
	inEachForm(t, func(t *testing.T, form form) {
		s := form.scene(t)
		s.archive(t, 1, 4094, 4097)
		s.archive(t, 1, 4099, 4099)
		s.archive(t, 2, 4097, 4098)
		s.put(t, segment(t, "000000010000000100000002.partial", ""))
		s.put(t, fileOf(t, "000000010000000100000001.00000028.backup", []byte("START WAL LOCATION: 1/100028\n")))
		s.put(t, fileOf(t, "00000002.history", []byte("1\t1/00180000\tno reason\n")))
		inv := must(s.cluster.Inventory(t.Context()))(t)
		if got, want := shown(inv.Runs), []string{"1: 4094-4098", "1: 4099-4100", "2: 4097-4099"}; !slices.Equal(got, want) {
			t.Errorf("runs are %q, want %q", got, want)
		}
		if h := inv.Histories[2]; len(h.Entries) != 1 || h.Entries[0].SwitchLSN != 0x100180000 {
			t.Errorf("history of timeline 2 is %+v", h)
		}
		last := inv.Runs[0]
		if last.LastRecord != at(4097)+4000 || last.LastRecordEnd != at(4097)+4100 ||
			!last.LastXactTime.Equal(sceneTime.Add(time.Second)) || !last.LastTime.Equal(sceneTime.Add(time.Minute)) {
			t.Errorf("end of the run is %+v", last)
		}
	})
}

// quiet is a segment in which no record starts and no transaction ends.
func quiet(t *testing.T, tli wal.TimelineID, number int) WALFile {
	t.Helper()
	f := segment(t, wal.SegmentName(tli, wal.SegmentNumber(number), wal.MinSegmentSize), "")
	s := f.Summary
	s.FirstRecord, s.LastRecord, s.LastRecordEnd = 0, 0, 0
	s.FirstTime, s.LastTime, s.FirstXactTime, s.LastXactTime = time.Time{}, time.Time{}, time.Time{}, time.Time{}
	return f
}

func TestInventoryLooksBackFromAQuietEnd(t *testing.T) {
	t.Parallel()
	inEachForm(t, func(t *testing.T, form form) {
		s := form.scene(t)
		s.archive(t, 1, 1, 4)
		s.put(t, quiet(t, 1, 5))
		s.put(t, quiet(t, 1, 6))
		for stop, want := range map[float64]wal.LSN{
			2.5: at(4) + 4000, // found
			5.5: 0,            // nothing before the backup's end is asked for
		} {
			rec := backup("20261122T102103Z-full-aaaaaa", 1, 1.5, stop)
			inv := &Inventory{Identity: sceneIdentity(), Backups: []Record{rec}}
			if err := s.cluster.takeRuns(t.Context(), inv); err != nil {
				t.Fatal(err)
			}
			if len(inv.Runs) != 1 || inv.Runs[0].LastRecord != want || inv.Runs[0].LastXactTime.IsZero() != (want == 0) {
				t.Errorf("backup until %.1f: runs are %+v, want last record %s", stop, inv.Runs, want)
			}
		}
	})
}

func TestInventoryTakesADamagedHeaderForAHole(t *testing.T) {
	t.Parallel()
	inEachForm(t, func(t *testing.T, form form) {
		for damaged, want := range map[int][]string{
			6: {"1: 2-6"},
			4: {"1: 2-4", "1: 5-7"},
			2: {"1: 3-7"},
		} {
			s := form.scene(t)
			s.archive(t, 1, 2, damaged)
			for number := damaged + 1; number <= 6; number++ {
				s.put(t, quiet(t, 1, number))
			}
			key := s.cluster.walKey(wal.SegmentFile(1, wal.SegmentNumber(damaged), wal.MinSegmentSize))
			object := s.object(t, key)
			object[100] ^= 1
			s.overwrite(t, key, object)
			inv := &Inventory{Identity: sceneIdentity(), Backups: []Record{backup("a", 1, 0.1, 0.2)}}
			if err := s.cluster.takeRuns(t.Context(), inv); err != nil {
				t.Fatal(err)
			}
			if got := shown(inv.Runs); !slices.Equal(got, want) {
				t.Errorf("segment %d damaged: runs are %q, want %q", damaged, got, want)
			}
			if len(inv.Problems) != 1 || inv.Problems[0].Key != key || !isDamaged(inv.Problems[0].Err) {
				t.Errorf("segment %d damaged: problems are %+v", damaged, inv.Problems)
			}
		}
	})
}

func TestInventoryKeepsWhatItCannotUnderstandAsProblems(t *testing.T) {
	t.Parallel()
	inEachForm(t, func(t *testing.T, form form) {
		s := form.scene(t)
		s.archive(t, 2, 5, 9)
		s.put(t, fileOf(t, "00000002.history", []byte("no history at all\n")))
		s.overwrite(t, s.cluster.findingKey("conflict-1"), frameDocument(kindFinding, 2, []byte(`{}`)))
		s.overwrite(t, s.cluster.recordKey("20261122T102103Z-full-aaaaaa"), []byte("{}\n"))
		s.overwrite(t, s.cluster.startedKey("20261122T102103Z-full-bbbbbb"), []byte("{}\n"))
		inv := must(s.cluster.Inventory(t.Context()))(t)
		var keys []string
		for _, p := range inv.Problems {
			keys = append(keys, p.Key)
		}
		want := []string{
			s.cluster.recordKey("20261122T102103Z-full-aaaaaa"),
			s.cluster.walKey(wal.HistoryFile(2)),
			s.cluster.findingKey("conflict-1"),
		}
		if !slices.Equal(keys, want) {
			t.Errorf("problems are %q, want %q", keys, want)
		}
		if _, ok := inv.History(2); ok {
			t.Error("a damaged history is offered")
		}
		if !slices.Equal(inv.Unfinished, []string{"20261122T102103Z-full-bbbbbb"}) {
			t.Errorf("unfinished are %q", inv.Unfinished)
		}
		if _, err := s.cluster.Findings(t.Context()); err == nil {
			t.Error("a finding that cannot be read is left out in silence")
		}
	})
}

func TestInventoryDuringAnOutageIsAnError(t *testing.T) {
	t.Parallel()
	inEachForm(t, func(t *testing.T, form form) {
		s := form.scene(t)
		s.archive(t, 1, 1, 3)
		s.put(t, fileOf(t, "00000002.history", []byte("1\t0/00180000\tno reason\n")))
		if err := s.cluster.PutFinding(t.Context(), Finding{Kind: FindingConflict, Name: "x", Time: sceneTime}); err != nil {
			t.Fatal(err)
		}
		for _, c := range []struct {
			op fault.Op
			n  int
		}{{fault.List, 4}, {fault.Get, 3}} {
			for after := range c.n {
				faulty := s.faulty(t, fault.Rule{Op: c.op, After: after, Action: fault.Fail(errOutage)})
				if inv, err := faulty.Inventory(t.Context()); !errors.Is(err, errOutage) {
					t.Errorf("%s %d fails: %+v, %v", c.op, after, inv, err)
				}
			}
		}
	})
}

func TestFindingsAreReadOldestFirst(t *testing.T) {
	t.Parallel()
	inEachForm(t, func(t *testing.T, form form) {
		s := form.scene(t)
		for i, name := range []string{"second", "first"} {
			f := Finding{Kind: FindingConflict, Name: name, Time: sceneTime.Add(-time.Duration(i) * time.Hour), Detail: "d"}
			for range 2 {
				if err := s.cluster.PutFinding(t.Context(), f); err != nil {
					t.Fatal(err)
				}
				f.Time = f.Time.Add(time.Minute)
			}
		}
		found := must(s.cluster.Findings(t.Context()))(t)
		if len(found) != 2 || found[0].Name != "first" || !found[0].Time.Equal(sceneTime.Add(-time.Hour)) {
			t.Errorf("findings are %+v", found)
		}
	})
}
