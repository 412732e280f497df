package drill_test

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"lifeboat/drill"
	"lifeboat/internal/pgtest"
	"lifeboat/restore"
	"lifeboat/verify/census"
)

// TestUnreachableTarget wants both the result and the error that names the nearest targets.
func TestUnreachableTarget(t *testing.T) {
	t.Parallel()
	s := newScene(t, pgtest.Debian(t), nil)
	early := time.Now().Add(-time.Hour)
	s.quietStory()
	for name, target := range map[string]restore.Target{
		"before the first backup": {Kind: restore.KindTime, Time: early},
		"in the future":           {Kind: restore.KindTime, Time: time.Now().Add(time.Hour)},
		"no such name":            {Kind: restore.KindName, Name: "nowhere"},
	} {
		o := s.options(t)
		o.Target = target
		r, err := drill.Run(t.Context(), o)
		var unreachable *restore.UnreachableError
		if !errors.As(err, &unreachable) || r == nil || r.Verdict != drill.Unproven {
			t.Errorf("%s: %v, %+v", name, err, r)
			continue
		}
		s.wantKept(t, r)
		wantNoLeavings(t, o.WorkDirectory)
		if c := check(t, r, drill.CheckPITR); c.Result != drill.Unproven || !strings.Contains(c.Detail, "cannot be reached") {
			t.Errorf("%s: %+v", name, c)
		}
		if c := check(t, r, drill.CheckRepository); c.Result != drill.Pass {
			t.Errorf("%s: %+v", name, c)
		}
	}
}

// TestOlderBackupIsNotLastNights drills to before the newest backup.
func TestOlderBackupIsNotLastNights(t *testing.T) {
	t.Parallel()
	s := newScene(t, pgtest.Debian(t), nil)
	h := s.quietStory()
	newest := s.backup()
	o := s.options(t)
	o.Target = restore.Target{Kind: restore.KindTime, Time: h.before}
	started := time.Now()
	o.Targets.MaxBackupAge = started.Sub(newest.StopTime) + time.Millisecond
	o.Now = fixedStart(started)
	r := s.drill(t, o)
	if c := check(t, r, drill.CheckBackup); c.Result != drill.Unproven || !strings.Contains(c.Detail, newest.Label) || r.Verdict != drill.Unproven {
		t.Errorf("verdict %s, %+v", r.Verdict, c)
	}
	if m := target(r, drill.TargetAge); m.Result != drill.Pass {
		t.Errorf("%+v", m)
	}
}

// fixedStart is a clock whose first answer is fixed, whenever it is asked.
func fixedStart(first time.Time) func() time.Time {
	var asked atomic.Bool
	return func() time.Time {
		if asked.CompareAndSwap(false, true) {
			return first
		}
		return time.Now()
	}
}

// TestWithoutACutRowsAreComparedTolerantly takes a census without the WAL that would place it.
func TestWithoutACutRowsAreComparedTolerantly(t *testing.T) {
	t.Parallel()
	s := newScene(t, pgtest.Debian(t), nil)
	h := s.quietStory()
	for name, c := range map[string]struct {
		extra int64
		want  drill.Verdict
		row   drill.Verdict
	}{
		"a few more":      {3, drill.Pass, drill.Pass},
		"nearly too many": {4, drill.Warn, drill.Pass},
		"too many":        {10, drill.Fail, drill.Fail},
	} {
		t.Run(name, func(t *testing.T) {
			loose := copyOf(t, h.census)
			for i := range loose.Databases {
				d := &loose.Databases[i]
				d.Cut, d.Why = nil, "its WAL could not be read"
				for j := range d.Tables {
					if d.Tables[j].Name == "ledger" {
						d.Tables[j].Rows += c.extra
					}
				}
				d.Tables = onlyTable(d.Tables, "ledger")
			}
			kept := s.copy(t)
			kept.putCensus(loose)
			r := kept.drill(t, kept.options(t))
			if r.Verdict != c.want || r.Rows.Comparison != "tolerant" || !strings.Contains(r.Rows.Why, "its WAL could not be read") {
				t.Errorf("verdict %s, comparison %s: %s; want %s", r.Verdict, r.Rows.Comparison, r.Rows.Why, c.want)
			}
			if len(r.Rows.Tables) != 1 || r.Rows.Tables[0].Result != c.row {
				t.Errorf("tables %+v", r.Rows.Tables)
			}
		})
	}
}

// onlyTable keeps one table.
func onlyTable(tables []census.Table, name string) []census.Table {
	for _, t := range tables {
		if t.Name == name {
			return []census.Table{t}
		}
	}
	return []census.Table{}
}

// TestTablespaces restores a tablespace into the scratch directory, and replays WAL that creates another, on the primary's
// own host and as its user: a sandboxed server has a directory of its own in that place. Without a sandbox it is refused.
func TestTablespaces(t *testing.T) {
	t.Parallel()
	pgtest.Each(t, func(t *testing.T, install pgtest.Install) {
		s := newScene(t, install, map[string]string{"autovacuum": "off", "checkpoint_timeout": "1h"}) // production itself writes nothing meanwhile
		ctx := t.Context()
		space, later := pgtest.TempDir(t), pgtest.TempDir(t)
		s.server.Exec(ctx, "CREATE TABLESPACE side LOCATION '"+space+"'")
		s.server.Exec(ctx, "CREATE TABLE ledger TABLESPACE side AS SELECT generate_series(1, 1000) AS id")
		s.backup()
		s.census()
		s.archiveAll()
		s.server.Exec(ctx, "CHECKPOINT")
		before := modified(t, space)
		if r := s.drill(t, s.options(t)); r.Verdict != drill.Pass || r.Rows.Comparison != "exact" {
			tell(t, r)
			t.Errorf("verdict %s", r.Verdict)
		}
		if after := modified(t, space); after != before {
			t.Errorf("the tablespace in use was written:\n%s\nwas\n%s", after, before)
		}
		s.server.Exec(ctx, "CREATE TABLESPACE late LOCATION '"+later+"'")
		s.server.Exec(ctx, "CREATE TABLE late TABLESPACE late AS SELECT generate_series(1, 2000) AS id")
		s.census()
		s.archiveAll()
		s.server.Exec(ctx, "CHECKPOINT")
		before = modified(t, later)
		r := s.drill(t, s.options(t))
		if r.Verdict != drill.Pass || r.Rows.Comparison != "exact" || !hasRow(r, "public.late", 2000) {
			tell(t, r)
			t.Errorf("verdict %s", r.Verdict)
		}
		o := s.options(t)
		o.Receiver, o.Isolation = "", drill.BestEffort
		r = s.drill(t, o)
		if c := check(t, r, drill.CheckPITR); r.Verdict != drill.Unproven || !strings.Contains(c.Detail, later) {
			tell(t, r)
			t.Errorf("verdict %s, %+v", r.Verdict, c)
		}
		if after := modified(t, later); after != before {
			t.Errorf("the new tablespace was written:\n%s\nwas\n%s", after, before)
		}
	})
}

// hasRow says whether a table was compared and came back with so many rows.
func hasRow(r *drill.Result, table string, rows int64) bool {
	for _, t := range r.Rows.Tables {
		if t.Table == table {
			return t.Result == drill.Pass && t.Actual == rows
		}
	}
	return false
}

// modified lists what is in a directory and when it was written.
func modified(t *testing.T, dir string) string {
	t.Helper()
	var list []string
	err := filepath.Walk(dir, func(path string, info os.FileInfo, err error) error {
		if err == nil {
			list = append(list, path+" "+info.ModTime().String())
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(list, "\n")
}

// TestTargetWithoutReadersIsUnproven has a transaction with too many subtransactions open from before the backup to the
// end: the server cannot know what readers may see, takes none, and cannot pause.
func TestTargetWithoutReadersIsUnproven(t *testing.T) {
	t.Parallel()
	pgtest.Each(t, func(t *testing.T, install pgtest.Install) {
		s := newScene(t, install, nil)
		ctx := t.Context()
		s.server.Exec(ctx, "CREATE TABLE ledger (id int)")
		conn := s.server.Conn(ctx)
		for _, sql := range []string{"BEGIN", `DO $$ BEGIN FOR i IN 1..100 LOOP
			BEGIN INSERT INTO ledger VALUES (i); EXCEPTION WHEN division_by_zero THEN NULL; END; END LOOP; END $$`} {
			if _, err := conn.Exec(ctx, sql); err != nil {
				t.Fatal(err)
			}
		}
		s.backup()
		s.server.Exec(ctx, "INSERT INTO ledger VALUES (0)")
		s.archiveAll()
		r := s.drill(t, s.options(t))
		if c := check(t, r, drill.CheckRecovery); r.Verdict != drill.Unproven || c.Result != drill.Unproven || !strings.Contains(c.Detail, "64 subtransactions") {
			tell(t, r)
			t.Errorf("verdict %s, %+v", r.Verdict, c)
		}
	})
}

// TestCensusOfAnEarlierTimeline drills along a promotion, with a census of before it.
func TestCensusOfAnEarlierTimeline(t *testing.T) {
	t.Parallel()
	s := newScene(t, pgtest.Newest(t), nil)
	h := s.quietStory()
	s.server.Stop()
	s.promote(t)
	o := s.options(t)
	r := s.drill(t, o)
	var plan restore.Plan
	if err := json.Unmarshal(r.Plan, &plan); err != nil || plan.Timeline != 2 {
		t.Errorf("recovered along timeline %d: %v", plan.Timeline, err)
	}
	if r.Verdict != drill.Pass || r.Rows.Comparison != "exact" || r.Census != h.census.ID {
		tell(t, r)
		t.Errorf("verdict %s, comparison %s, census %q", r.Verdict, r.Rows.Comparison, r.Census)
	}
	o = s.options(t)
	o.Timeline = 7
	var unreachable *restore.UnreachableError
	if r, err := drill.Run(t.Context(), o); !errors.As(err, &unreachable) || r.Verdict != drill.Unproven {
		t.Errorf("along a timeline that is none: %s, %v", r.Verdict, err)
	}
}

// promote starts a restored copy on a timeline of its own, and archives a little of it.
func (s *scene) promote(t *testing.T) {
	t.Helper()
	o := s.options(t)
	plan, err := restore.MakePlan(t.Context(), s.cluster, restore.Target{Kind: restore.KindLatest}, restore.PlanOptions{
		Directory: filepath.Join(pgtest.TempDir(t), "data"), FetchCommand: o.FetchCommand, Now: time.Now(),
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := restore.Execute(t.Context(), s.cluster, plan, restore.ExecOptions{Owner: o.Owner, Logger: o.Log, Volatile: true}); err != nil {
		t.Fatal(err)
	}
	if s.server, err = pgtest.StartDir(t, s.install, plan.Directory, pgtest.Options{}); err != nil {
		t.Fatal(err)
	}
	for s.server.Value(t.Context(), "SELECT pg_is_in_recovery()") != "f" {
		time.Sleep(20 * time.Millisecond)
	}
	s.server.Exec(t.Context(), "INSERT INTO ledger VALUES (2000, 'after the promotion')")
	s.archiveAll()
}
