package wal_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"lifeboat/internal/pgtest"
	"lifeboat/internal/wal"
)

// TestLoadIsReadOnEveryVersion reads a varied load without pg_waldump, which not every installation has.
func TestLoadIsReadOnEveryVersion(t *testing.T) {
	t.Parallel()
	pgtest.Each(t, func(t *testing.T, install pgtest.Install) {
		l := runLoad(t, install, 1)
		found := loadFindings{ends: map[string]wal.XactEnd{}}
		for r, err := range allRecords(t, l.pgWAL(), l.first, l.size) {
			if err != nil {
				found.stop = err
				break
			}
			found.note(t, r)
		}
		found.check(t, l)
		scanAll(t, l, found.last)
	})
}

// loadFindings is what a reader finds of a load.
type loadFindings struct {
	ends     map[string]wal.XactEnd
	dropped  []string
	last     wal.LSN
	switches int
	stop     error
}

func (f *loadFindings) note(t *testing.T, r *wal.Record) {
	t.Helper()
	f.last = r.LSN
	if r.Switch() {
		f.switches++
	}
	if r.Rmgr == wal.RmgrXact && r.Operation()&0x70 < 0x50 {
		end, ok := r.XactEnd()
		if !ok {
			t.Fatalf("end of transaction at %v cannot be read", r.LSN)
		}
		if end.Kind != wal.PreparedXact {
			f.ends[fmt.Sprint(end.XID)] = end
		}
		for _, l := range end.Dropped {
			f.dropped = append(f.dropped, fmt.Sprintf("base/%d/%d", l.Database, l.Relation))
		}
	}
}

func (f *loadFindings) check(t *testing.T, l load) {
	t.Helper()
	var corrupt *wal.CorruptError
	if !errors.As(f.stop, &corrupt) {
		t.Errorf("WAL ended with %v", f.stop)
	}
	if top := f.ends[l.topXID]; top.Kind != wal.CommitXact || len(top.SubXIDs) != l.subXIDs {
		t.Errorf("transaction %s: %+v, want a commit with %d subtransactions", l.topXID, top, l.subXIDs)
	}
	for i, kind := range []wal.XactKind{wal.CommitPrepared, wal.AbortPrepared} {
		end := f.ends[l.preparedXIDs[i]]
		if end.Kind != kind || len(end.SubXIDs) != 1 || end.GID != "two phases" {
			t.Errorf("prepared transaction %s: %+v, want %v", l.preparedXIDs[i], end, kind)
		}
	}
	if !slices.Contains(f.dropped, l.truncated) {
		t.Errorf("storage %s, which TRUNCATE dropped, is not among %v", l.truncated, f.dropped)
	}
	for xid, end := range f.ends {
		if end.Time.Before(l.started.Add(-time.Hour)) || end.Time.After(time.Now()) {
			t.Errorf("transaction %s ended at %v", xid, end.Time)
		}
	}
	if f.switches == 0 {
		t.Error("no segment switch found")
	}
}

// scanAll scans every segment of a load by itself.
func scanAll(t *testing.T, l load, last wal.LSN) {
	t.Helper()
	var points []wal.RestorePoint
	var tablespaces []string
	for _, name := range segments(t, l.pgWAL()) {
		parsed, err := wal.ParseFileName(name)
		if err != nil {
			t.Fatal(err)
		}
		inUse := parsed.SegmentNumber(l.size) == wal.SegmentOf(last, l.size)
		s, err := scanFile(filepath.Join(l.pgWAL(), name), name, wal.ScanOptions{Unfinished: inUse})
		if err != nil {
			t.Fatal(err)
		}
		if int(s.Version) != l.cluster.Install.Major || s.SystemIdentifier == 0 {
			t.Fatalf("%s: version %d, cluster %d", name, s.Version, s.SystemIdentifier)
		}
		if inUse && s.LastRecord != last {
			t.Errorf("%s: last record at %v, want %v", name, s.LastRecord, last)
		}
		points = append(points, s.RestorePoints...)
		tablespaces = append(tablespaces, s.Tablespaces...)
	}
	if len(points) != 1 || points[0].Name != "before the drop" || points[0].LSN.String() != l.restoreLSN {
		t.Errorf("restore points %+v, want one at %s", points, l.restoreLSN)
	}
	if !slices.Equal(tablespaces, []string{l.tablespace}) {
		t.Errorf("tablespaces %q, want %q", tablespaces, l.tablespace)
	}
}

func scanFile(path, name string, options wal.ScanOptions) (wal.Summary, error) {
	parsed, err := wal.ParseFileName(name)
	if err != nil {
		return wal.Summary{}, err
	}
	file, err := os.Open(path)
	if err != nil {
		return wal.Summary{}, err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return wal.Summary{}, err
	}
	return wal.ScanSegment(file, info.Size(), parsed, options)
}

// TestCrashInsideARecord lets a server lose the end of a record, which it then overwrites.
func TestCrashInsideARecord(t *testing.T) {
	t.Parallel()
	pgtest.Each(t, func(t *testing.T, install pgtest.Install) {
		ctx := t.Context()
		c := pgtest.Start(t, install, pgtest.Options{WALSegmentMB: 1, Settings: map[string]string{"wal_keep_size": "1GB"}})
		c.Exec(ctx, "CREATE TABLE t AS SELECT 1 AS i")
		c.Exec(ctx, "CHECKPOINT")
		c.Exec(ctx, "SELECT pg_logical_emit_message(false, 'long', repeat('z', 5000000))")
		start := parseLSN(t, c.Value(ctx, "SELECT pg_current_wal_insert_lsn()"))
		c.Exec(ctx, "INSERT INTO t VALUES (2)")
		c.Kill()
		loseSegments(t, filepath.Join(c.DataDir, "pg_wal"), wal.SegmentOf(start, 1<<20)-2)
		c.Launch()
		c.Exec(ctx, "INSERT INTO t VALUES (3)")
		c.Stop()

		dir := filepath.Join(c.DataDir, "pg_wal")
		overwritten, after := false, 0
		for r, err := range allRecords(t, dir, segments(t, dir)[0], 1<<20) {
			if err != nil {
				var corrupt *wal.CorruptError
				if !errors.As(err, &corrupt) {
					t.Error(err)
				}
				break
			}
			overwritten = overwritten || r.Rmgr == wal.RmgrXLOG && r.Operation() == 0xD0
			if end, ok := r.XactEnd(); ok && overwritten && end.Kind.Committed() {
				after++
			}
		}
		if !overwritten || after == 0 {
			t.Errorf("overwriting record found: %t, commits behind it: %d", overwritten, after)
		}
	})
}

// loseSegments removes the segments from number on.
func loseSegments(t *testing.T, dir string, from wal.SegmentNumber) {
	t.Helper()
	for _, name := range segments(t, dir) {
		if _, segno, err := wal.ParseSegmentName(name, 1<<20); err == nil && segno >= from {
			if err := os.Remove(filepath.Join(dir, name)); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// TestPromotion reads what a server archives when it begins a new timeline.
func TestPromotion(t *testing.T) {
	t.Parallel()
	pgtest.Each(t, func(t *testing.T, install pgtest.Install) {
		ctx := t.Context()
		archive := pgtest.TempDir(t)
		c := pgtest.Start(t, install, pgtest.Options{WALSegmentMB: 1, ArchiveCommand: "cp %p " + archive + "/%f",
			Settings: map[string]string{"restore_command": "false"}})
		c.Exec(ctx, "CREATE TABLE t AS SELECT generate_series(1, 5000) AS i")
		archived := func(pattern string) func() bool {
			return func() bool {
				c.Exec(ctx, "SELECT pg_switch_wal()")
				found, err := filepath.Glob(filepath.Join(archive, pattern))
				return err == nil && len(found) > 0
			}
		}
		waitFor(t, archived("00000001*"))
		c.Exec(ctx, "INSERT INTO t VALUES (0)")
		c.Kill()
		if err := os.WriteFile(filepath.Join(c.DataDir, "recovery.signal"), nil, 0o644); err != nil {
			t.Fatal(err)
		}
		c.Launch()
		waitFor(t, func() bool { return c.Value(ctx, "SELECT pg_is_in_recovery()::text") == "false" })
		c.Exec(ctx, "DELETE FROM t")
		waitFor(t, archived("*.partial"))
		waitFor(t, archived("000000020*[0-9A-F]"))
		c.Stop()
		checkArchive(t, archive)
	})
}

func waitFor(t *testing.T, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(5 * time.Minute); !done(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("waited in vain")
		}
	}
}

func checkArchive(t *testing.T, dir string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var history wal.TimelineHistory
	kinds, newer := map[wal.Kind]int{}, []wal.Summary{}
	for _, e := range entries {
		name, err := wal.ParseFileName(e.Name())
		if err != nil {
			t.Fatal(err)
		}
		kinds[name.Kind]++
		if name.Kind == wal.History {
			history = readHistory(t, filepath.Join(dir, e.Name()), name)
			continue
		}
		s, err := scanFile(filepath.Join(dir, e.Name()), e.Name(), wal.ScanOptions{})
		if err != nil {
			t.Errorf("scan %s: %v", e.Name(), err)
		}
		if name.Timeline == 2 {
			newer = append(newer, s)
		}
	}
	if kinds[wal.Segment] < 2 || kinds[wal.History] != 1 || kinds[wal.Partial] != 1 || len(newer) == 0 {
		t.Fatalf("archive holds %v, of timeline 2: %d", kinds, len(newer))
	}
	if from, _, _ := history.Span(2); newer[0].FirstRecord >= from || newer[0].LastRecord < from {
		t.Errorf("timeline 2 begins at %v, its first segment holds %v to %v", from, newer[0].FirstRecord, newer[0].LastRecord)
	}
}

func readHistory(t *testing.T, path string, name wal.FileName) wal.TimelineHistory {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	history, err := wal.ParseHistory(name.Timeline, text)
	if err != nil {
		t.Fatal(err)
	}
	if len(history.Entries) != 1 || history.Entries[0].Timeline != 1 || !strings.HasPrefix(history.Entries[0].Reason, "no recovery target") {
		t.Errorf("history %+v", history)
	}
	return history
}
