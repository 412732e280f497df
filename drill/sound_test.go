package drill_test

import (
	"bytes"
	"context"
	"encoding/json"
	"encoding/xml"
	"slices"
	"strings"
	"testing"
	"time"

	"lifeboat/drill"
	"lifeboat/internal/objectstore"
	"lifeboat/internal/pgtest"
	"lifeboat/internal/wal"
	"lifeboat/restore"
	"lifeboat/verify/census"
)

// history is what happened in a scene, for targets to speak of.
type history struct {
	census  *census.Census
	before  time.Time // the deletion
	deleted uint64    // the transaction that deleted
}

// busyStory is a story under load, with two databases.
func (s *scene) busyStory() history {
	s.t.Helper()
	s.server.Pgbench(s.t.Context(), 1, 0, 0)
	s.server.Exec(s.t.Context(), "CREATE DATABASE other")
	return s.story(s.load())
}

// quietStory is a story in which nothing else happens.
func (s *scene) quietStory() history {
	s.t.Helper()
	return s.story(func() {})
}

// story backs up a server, takes a census, both while there is load, and goes on: rows are deleted, and a restore point
// is made.
func (s *scene) story(endLoad func()) history {
	s.t.Helper()
	ctx := s.t.Context()
	s.server.Exec(ctx, "CREATE TABLE ledger AS SELECT i AS id, md5(i::text) AS text FROM generate_series(1, 500) i")
	s.backup()
	h := history{census: s.census()}
	endLoad()
	s.archiveAll()
	s.server.Exec(ctx, "INSERT INTO ledger VALUES (0, 'last')")
	var err error
	if h.before, err = time.Parse("2006-01-02 15:04:05.999999-07", s.server.Value(ctx, "SELECT clock_timestamp()")); err != nil {
		s.t.Fatal(err)
	}
	h.deleted = s.deleteAll()
	s.server.Exec(ctx, "SELECT pg_create_restore_point('after the deletion')")
	s.archiveAll()
	s.server.Exec(ctx, "INSERT INTO ledger VALUES (1000, 'later')")
	s.archiveAll()
	return h
}

// deleteAll empties the ledger and returns the transaction's number.
func (s *scene) deleteAll() uint64 {
	s.t.Helper()
	conn := s.server.Conn(s.t.Context())
	var xid int64
	const sql = "WITH gone AS (DELETE FROM ledger RETURNING 1) SELECT pg_current_xact_id()::text::bigint FROM (SELECT count(*) FROM gone) AS n"
	if err := conn.QueryRow(s.t.Context(), sql).Scan(&xid); err != nil {
		s.t.Fatal(err)
	}
	return uint64(xid)
}

// load runs pgbench until the function returned is called, slowly enough for the archiver to follow. Then nothing of it is at work any
// more.
func (s *scene) load() (stop func()) {
	ctx, cancel := context.WithCancel(s.t.Context())
	done := make(chan struct{})
	cmd := pgtest.Command(ctx, pgtest.Debian(s.t), "pgbench", "-n", "-c", "3", "-R", "60", "-T", "600", "-h", s.server.SocketDir, "-U", "postgres", "postgres")
	if err := cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	go func() {
		_ = cmd.Wait() // it is ended by the context
		close(done)
	}()
	return func() {
		for s.server.Value(ctx, "SELECT count(*) > 20 FROM pgbench_history") != "t" {
			select {
			case <-done:
				s.t.Fatal("pgbench has ended")
			case <-time.After(20 * time.Millisecond):
			}
		}
		cancel()
		<-done
		for s.server.Value(s.t.Context(), "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'pgbench'") != "0" {
			time.Sleep(10 * time.Millisecond) // a session ends what it does before it looks for who asked
		}
	}
}

// TestSoundBackupPasses drills a sound repository to targets of every kind.
func TestSoundBackupPasses(t *testing.T) {
	t.Parallel()
	objectstore.Each(t, func(t *testing.T, install pgtest.Install, place *objectstore.Place) {
		// No transaction of autovacuum lies between the moment before the deletion and the deletion.
		s := newSceneAt(t, place, install, map[string]string{"autovacuum": "off"})
		h := s.busyStory()
		targets := map[string]restore.Target{
			"latest":      {Kind: restore.KindLatest},
			"immediate":   {Kind: restore.KindImmediate},
			"time":        {Kind: restore.KindTime, Time: h.before},
			"before xid":  {Kind: restore.KindXID, XID: h.deleted, Exclusive: true},
			"after xid":   {Kind: restore.KindXID, XID: h.deleted},
			"name":        {Kind: restore.KindName, Name: "after the deletion"},
			"census":      {Kind: restore.KindLSN, LSN: h.census.Stops()[0], Exclusive: true},
			"past census": {Kind: restore.KindLSN, LSN: h.census.RestorePoint.LSN},
		}
		if install.Major != pgtest.Debian(t).Major {
			for _, name := range []string{"before xid", "after xid", "name"} { // one version is enough for these
				delete(targets, name)
			}
		}
		reached := map[string]wal.LSN{}
		for name, target := range targets {
			t.Run(name, func(t *testing.T) {
				o := s.options(t)
				o.Target, o.Examination.Amcheck = target, drill.AmcheckAvailable
				r := s.drill(t, o)
				wantSound(t, h, r)
				if t.Failed() {
					tell(t, r)
				}
				reached[name] = r.Target.ReachedLSN
			})
		}
		order := []string{"immediate", "census", "past census", "time", "after xid", "name", "latest"}
		order = slices.DeleteFunc(order, func(name string) bool { return !reached[name].IsValid() })
		for i, later := range order[1:] {
			if reached[order[i]] >= reached[later] {
				t.Errorf("%s was reached at %s, %s at %s", order[i], reached[order[i]], later, reached[later])
			}
		}
		if at, asked := reached["before xid"]; asked && at != reached["time"] {
			t.Errorf("before the deletion lies %s by time and %s by its transaction", reached["time"], at)
		}
		s.wantReports(t, len(targets))
	})
}

// wantSound wants everything proven, and every row of the census found.
func wantSound(t *testing.T, h history, r *drill.Result) {
	t.Helper()
	if r.Verdict != drill.Pass {
		t.Errorf("verdict %s, want pass", r.Verdict)
	}
	for _, c := range r.Checks {
		if c.Result != drill.Pass || c.Detail == "" {
			t.Errorf("check %q: %s: %s", c.Name, c.Result, c.Detail)
		}
	}
	for _, m := range r.Targets {
		if m.Result != drill.Pass || m.UsedPercent < 0 || m.UsedPercent > 70 {
			t.Errorf("target %q: %s, %.1f %% used: %s", m.Name, m.Result, m.UsedPercent, m.Actual)
		}
	}
	if r.Rows.Comparison != "exact" {
		t.Errorf("comparison %s: %s", r.Rows.Comparison, r.Rows.Why)
	}
	for _, want := range []string{"public.pgbench_accounts", "public.pgbench_history", "public.ledger"} {
		i := slices.IndexFunc(r.Rows.Tables, func(table drill.Table) bool { return table.Table == want })
		if i < 0 {
			t.Errorf("table %s was not compared", want)
			continue
		}
		if got := r.Rows.Tables[i]; got.Expected != got.Actual || got.Expected == 0 || got.Fingerprint != "match" || got.Result != drill.Pass {
			t.Errorf("table %+v", got)
		}
	}
	if r.Census != h.census.ID || !r.Target.ReachedLSN.IsValid() || r.Backup.Bytes == 0 || r.Evidence == "" {
		t.Errorf("census %q, reached %s, %d bytes, evidence %q", r.Census, r.Target.ReachedLSN, r.Backup.Bytes, r.Evidence)
	}
	wantPhases(t, r)
}

func wantPhases(t *testing.T, r *drill.Result) {
	t.Helper()
	spent := map[string]float64{}
	for _, p := range r.Phases {
		if p.Seconds <= 0 {
			t.Errorf("phase %s took %g s", p.Name, p.Seconds)
		}
		spent[p.Name] = p.Seconds
	}
	if total := r.Finished.Sub(r.Started).Seconds(); r.RTOSeconds < spent["fetch"] || r.RTOSeconds > total {
		t.Errorf("recovered in %g s of %g s, of which the copy took %g s", r.RTOSeconds, total, spent["fetch"])
	}
}

// wantReports wants every drill listed, and the last one in every form.
func (s *scene) wantReports(t *testing.T, drills int) {
	t.Helper()
	results, problems, err := drill.List(t.Context(), s.cluster)
	if err != nil || len(problems) > 0 || len(results) != drills {
		t.Fatalf("%d drills, problems %v: %v", len(results), problems, err)
	}
	last := results[len(results)-1]
	page, err := s.cluster.EvidenceFile(t.Context(), last.ID, "report.html")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"This backup comes back.", last.Backup.Label, "public.pgbench_accounts", "Over the last drills", "recovery_target_lsn"} {
		if !strings.Contains(string(page), want) {
			t.Errorf("the report does not have %q", want)
		}
	}
	var junit bytes.Buffer
	if err := drill.WriteJUnit(&junit, last); err != nil {
		t.Fatal(err)
	}
	if err := xml.Unmarshal(junit.Bytes(), new(struct{})); err != nil {
		t.Errorf("JUnit: %v", err)
	}
	wantFixedNames(t, last)
	s.wantBundle(t, results)
}

// wantFixedNames wants the names that scripts and dashboards read.
func wantFixedNames(t *testing.T, r *drill.Result) {
	t.Helper()
	text, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	var got map[string]any
	if err := json.Unmarshal(text, &got); err != nil {
		t.Fatal(err)
	}
	wantNames(t, got, "id cluster drill verdict target backup phases rto_seconds rpo_seconds rows checks targets evidence")
	wantNames(t, got["target"], "kind value reached_lsn reached_time")
	wantNames(t, got["backup"], "label type start_lsn stop_lsn bytes")
	wantNames(t, got["rows"], "comparison why tables")
	for name, want := range map[string]string{
		"phases": "name seconds bytes", "checks": "name result detail", "targets": "name target actual used_percent result",
	} {
		wantNames(t, got[name].([]any)[0], want)
	}
	wantNames(t, got["rows"].(map[string]any)["tables"].([]any)[0], "database table expected actual fingerprint result")
}

func wantNames(t *testing.T, got any, names string) {
	t.Helper()
	object, ok := got.(map[string]any)
	if !ok {
		t.Fatalf("%v is no object", got)
	}
	for _, name := range strings.Fields(names) {
		if _, ok := object[name]; !ok {
			t.Errorf("there is no %q in %v", name, object)
		}
	}
}
