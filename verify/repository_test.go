package verify

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"lifeboat/internal/objectstore"
	"lifeboat/internal/wal"
	"lifeboat/storage"
	"lifeboat/storage/catalog"
	"lifeboat/storage/fault"
)

func TestRepository(t *testing.T) {
	t.Parallel()
	m := gather(t)
	first, last := m.span()
	names := m.names()
	segment := func(number wal.SegmentNumber) string { return wal.SegmentName(1, number, wal.MinSegmentSize) }
	for _, c := range []struct {
		name   string
		change func(files map[string]string, record *catalog.Record, segments map[string][]byte)
		want   Severity
		detail string // in a finding of that severity
	}{
		{"everything is there", unchanged, OK, "it is whole"},
		{"no backup", func(_ map[string]string, r *catalog.Record, _ map[string][]byte) { r.Label = "" }, Warn, "no base backup"},
		{"the first segment of the backup is missing", func(_ map[string]string, _ *catalog.Record, s map[string][]byte) {
			delete(s, segment(first))
		}, Fail, segment(first) + " is missing"},
		{"a segment inside the backup is missing", func(_ map[string]string, _ *catalog.Record, s map[string][]byte) {
			delete(s, segment(first+1))
		}, Fail, segment(first+1) + " is missing"},
		{"the last segment of the backup is missing", func(_ map[string]string, _ *catalog.Record, s map[string][]byte) {
			delete(s, segment(last))
		}, Fail, segment(last) + " is missing"},
		{"a segment behind the backup is missing", func(_ map[string]string, _ *catalog.Record, s map[string][]byte) {
			delete(s, names[len(names)-2])
		}, Warn, "is missing from"},
		{"no pg_control", func(f map[string]string, _ *catalog.Record, _ map[string][]byte) { delete(f, "global/pg_control") },
			Fail, "global/pg_control is not in it"},
		{"a damaged page", func(_ map[string]string, r *catalog.Record, _ map[string][]byte) {
			r.DamagedPages = []catalog.DamagedPage{{Path: "base/1/1", Block: 7}}
		}, Fail, "block 7 of base/1/1"},
		{"a reference to nowhere", func(_ map[string]string, r *catalog.Record, _ map[string][]byte) {
			r.References = []string{"20261121T102103Z-full-zzzzzz"}
		}, Fail, "20261121T102103Z-full-zzzzzz, which is not there"},
		{"another start in backup_label", func(_ map[string]string, r *catalog.Record, _ map[string][]byte) { r.StartLSN++ },
			Fail, "its backup_label starts at"},
		{"no backup_label", func(_ map[string]string, r *catalog.Record, _ map[string][]byte) { r.BackupLabel = "" },
			Fail, "backup_label cannot be read"},
		{"a checkpoint outside", func(_ map[string]string, r *catalog.Record, _ map[string][]byte) { r.CheckpointLSN = r.StopLSN },
			Fail, "checkpoint"},
		{"a version that never was", func(_ map[string]string, r *catalog.Record, _ map[string][]byte) { r.PostgresVersion = 90600 },
			Fail, "server version"},
		{"a clock that was set back", func(_ map[string]string, r *catalog.Record, _ map[string][]byte) { r.StopTime = r.StartTime.Add(-1) },
			Warn, "clock"},
		{"a timeline without history", func(_ map[string]string, _ *catalog.Record, s map[string][]byte) {
			s[wal.SegmentName(2, last+1, wal.MinSegmentSize)] = s[segment(last+1)]
		}, Fail, "00000002.history is missing"},
		{"a timeline with its history", func(_ map[string]string, _ *catalog.Record, s map[string][]byte) {
			s[wal.SegmentName(2, last+1, wal.MinSegmentSize)] = s[segment(last+1)]
			s["00000002.history"] = fmt.Appendf(nil, "1\t%s\tpromoted\n", wal.Start(last+1, wal.MinSegmentSize)+0x100)
		}, OK, "timeline 2"},
		{"histories that disagree", func(_ map[string]string, _ *catalog.Record, s map[string][]byte) {
			s["00000002.history"] = []byte("1\t0/300000\tpromoted\n")
			s["00000003.history"] = []byte("1\t0/310000\tpromoted\n2\t0/400000\tpromoted\n")
		}, Fail, "timeline 3 says"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			report := newScene(t, m, c.change).verify(Options{})
			if got := report.Result(); got != c.want {
				t.Errorf("%s, not %s: %+v", got, c.want, report.Findings)
			}
			if !report.has(c.want, c.detail) {
				t.Errorf("no %s about %q in %+v", c.want, c.detail, report.Findings)
			}
		})
	}
	for form, place := range map[string]func(testing.TB) *objectstore.Place{"plain": objectstore.NewPlainPlace, "sealed": objectstore.NewSealedPlace} {
		t.Run("damage, "+form, func(t *testing.T) { t.Parallel(); everyFlipFails(t, m, place(t)) })
		t.Run("loss, "+form, func(t *testing.T) { t.Parallel(); everyLossShows(t, m, place(t)) })
		t.Run("outage, "+form, func(t *testing.T) { t.Parallel(); everyOutageIsAnError(t, m, place(t)) })
		t.Run("one backup, "+form, func(t *testing.T) { t.Parallel(); oneBackupReadsItsWAL(t, m, place(t)) })
	}
	objectstore.Elsewhere(t, func(t *testing.T, place *objectstore.Place) { everyFlipFails(t, m, place) })
	t.Run("no identity", func(t *testing.T) { t.Parallel(); noIdentityIsUnproven(t, m) })
	t.Run("no public key", func(t *testing.T) { t.Parallel(); noPublicKeyIsUnproven(t, m) })
	t.Run("unsigned", func(t *testing.T) { t.Parallel(); unsignedFails(t, m) })
	t.Run("refused WAL", func(t *testing.T) { t.Parallel(); conflictsAreTold(t, m) })
}

func (r Report) has(severity Severity, text string) bool {
	for _, f := range r.Findings {
		if f.Severity == severity && strings.Contains(f.Detail, text) {
			return true
		}
	}
	return false
}

// proves says whether the backup of the scene was judged so.
func (r Report) proves(result Severity) bool {
	return len(r.Backups) == 1 && r.Backups[0] == Proven{Cluster: "main", Label: label, Result: result}
}

// needs says whether the object is of the backup, or WAL that makes it consistent.
func (m material) needs(key string) bool {
	first, last := m.span()
	name := key[strings.LastIndexByte(key, '/')+1:]
	return strings.Contains(key, "/backups/") || len(name) == 24 &&
		name >= wal.SegmentName(1, first, wal.MinSegmentSize) && name <= wal.SegmentName(1, last, wal.MinSegmentSize)
}

// everyFlipFails changes one byte of each object in turn.
func everyFlipFails(t *testing.T, m material, place *objectstore.Place) {
	s := newSceneAt(t, place, m, unchanged)
	for _, key := range s.place.Objects(t, "") {
		content := s.place.Read(t, key)
		flipped := append([]byte(nil), content...)
		flipped[len(flipped)/2] ^= 0x10
		s.place.Write(t, key, flipped)
		report, err := Repository(t.Context(), s.repo, Options{})
		if err == nil && report.Result() != Fail {
			t.Errorf("a flipped byte in %s: %s", key, report.Result())
		}
		if err == nil && m.needs(key) && report.proves(OK) {
			t.Errorf("a flipped byte in %s, and the backup is proven", key)
		}
		s.place.Write(t, key, content)
	}
	if report := s.verify(Options{}); report.Result() != OK || !report.proves(OK) {
		t.Errorf("with all bytes as they were: %+v", report)
	}
}

// everyLossShows removes each object in turn: nothing may stay as it was, but for the WAL at the end, which cannot be
// known to have been there, and the WAL before the backup, which nothing needs.
func everyLossShows(t *testing.T, m material, place *objectstore.Place) {
	s := newSceneAt(t, place, m, unchanged)
	whole := s.verify(Options{})
	for _, key := range s.place.Objects(t, "") {
		content := s.place.Read(t, key)
		s.place.Remove(t, key)
		report, err := Repository(t.Context(), s.repo, Options{})
		if err == nil && fmt.Sprint(report) == fmt.Sprint(whole) {
			t.Errorf("without %s nothing changes: %+v", key, report)
		}
		if err == nil && report.Result() == OK && !strings.Contains(key, "/wal/") && !strings.HasSuffix(key, "cluster.json") {
			t.Errorf("without %s: %+v", key, report)
		}
		s.place.Write(t, key, content)
	}
}

func everyOutageIsAnError(t *testing.T, m material, place *objectstore.Place) {
	s := newSceneAt(t, place, m, unchanged)
	burning := errors.New("the store is on fire")
	for op, opening := range map[fault.Op]int{fault.Get: 1, fault.List: 0} {
		for passed := opening; ; passed++ {
			set := fault.NewSet(fault.Rule{Op: op, After: passed, Action: fault.Fail(burning)})
			repo, err := catalog.Open(t.Context(), fault.Wrap(s.place.Bucket, set))
			if err != nil {
				t.Fatal(err)
			}
			report, err := Repository(t.Context(), repo.With(s.place.Keys), Options{})
			if passed > opening && set.AllFired() != nil {
				break // there are fewer calls than that
			}
			if !errors.Is(err, burning) {
				t.Fatalf("%s fails after %d: %v, %+v", op, passed, err, report)
			}
		}
	}
}

func oneBackupReadsItsWAL(t *testing.T, m material, place *objectstore.Place) {
	s := newSceneAt(t, place, m, unchanged)
	if report := s.verify(Options{Backup: label}); report.Result() != OK || !report.has(OK, "it is whole") || !report.proves(OK) {
		t.Errorf("whole: %+v", report)
	}
	if _, err := Repository(t.Context(), s.repo, Options{Backup: "20261122T102103Z-full-nobody"}); !errors.Is(err, storage.ErrNotFound) {
		t.Errorf("a label that nobody has: %v", err)
	}
	first, _ := m.span()
	for _, key := range s.place.Objects(t, "") {
		if strings.HasSuffix(key, wal.SegmentName(1, first+1, wal.MinSegmentSize)) {
			content := s.place.Read(t, key)
			content[len(content)-50] ^= 1
			s.place.Write(t, key, content)
		}
	}
	if report := s.verify(Options{Backup: label}); report.Result() != Fail || !report.proves(Fail) {
		t.Errorf("with damaged WAL: %+v", report)
	}
}

func conflictsAreTold(t *testing.T, m material) {
	s := newScene(t, m, unchanged)
	err := s.cluster.PutFinding(t.Context(), catalog.Finding{Kind: catalog.FindingConflict, Time: sceneTime, Name: "x", Detail: "two primaries"})
	if err != nil {
		t.Fatal(err)
	}
	if report := s.verify(Options{}); report.Result() != Warn || !report.has(Warn, "two primaries") {
		t.Errorf("%+v", report)
	}
}

func TestReportOfNothingProvesNothing(t *testing.T) {
	t.Parallel()
	if got := (Report{}).Result(); got != Unproven {
		t.Errorf("an empty report is %s", got)
	}
}
