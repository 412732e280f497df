package main

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"lifeboat/internal/pgtest"
)

// archivesWith sets archive_command.
func (in *installation) archivesWith(command string) {
	in.t.Helper()
	in.server.Exec(in.t.Context(), "ALTER SYSTEM SET archive_command = '"+command+"'")
	in.server.Exec(in.t.Context(), "SELECT pg_reload_conf()")
}

// loses writes segments that PostgreSQL takes for archived although nobody stores them, and names them.
func (in *installation) loses(segments int) []string {
	in.t.Helper()
	ctx := in.t.Context()
	in.archivesWith("/bin/true")
	var names []string
	for range segments {
		in.server.Exec(ctx, "INSERT INTO t VALUES (-1)")
		names = append(names, in.server.Value(ctx, "SELECT pg_walfile_name(pg_switch_wal())"))
	}
	last := filepath.Join(in.server.DataDir, "pg_wal/archive_status", names[len(names)-1]+".done")
	in.eventually("the server takes all for archived", func() bool {
		_, err := os.Stat(last)
		return err == nil
	})
	in.asks(in.server)
	return names
}

// gaps are those that list tells of.
func (in *installation) gaps() []map[string]any {
	in.t.Helper()
	var gaps []map[string]any
	for _, gap := range document(in.t, in.must("list", "--output", "json"))["gaps"].([]any) {
		gaps = append(gaps, has(in.t, "gap", gap, "timeline", "from_lsn", "to_lsn", "why", "mended"))
	}
	return gaps
}

func (in *installation) lacks(file string) bool {
	in.t.Helper()
	return in.run("archive-get", file, in.path("fetched")).code != 0
}

func TestWALThatTheServerStillHasFillsAGap(t *testing.T) {
	t.Parallel()
	pgtest.Each(t, func(t *testing.T, install pgtest.Install) {
		in := newStationOf(t, install, pgtest.Options{WALSegmentMB: 1}, "")
		in.must("backup")
		in.fill(2)
		in.switchWAL()
		inside := in.server.Value(t.Context(), "SELECT pg_current_wal_lsn() + 1100000")
		in.loses(4)
		in.fill(2)
		in.switchWAL()
		gaps := in.gaps()
		if len(gaps) != 1 || gaps[0]["mended"] != false {
			t.Fatalf("gaps: %v", gaps)
		}
		missing := " to " + gaps[0]["to_lsn"].(string)
		in.ends(exitUnreachable, "restore", "--target-dir", in.path("r"), "--to-lsn", inside).says(t, missing+" is missing; nearest: lsn")
		in.ends(exitError, "check").says(t, missing)
		s := in.readyAgent()
		in.eventually("the gap is filled", func() bool { return s.metrics()[`lifeboat_wal_filled_files_total{cluster="main"}`] >= 4 })
		in.withoutGaps()
		in.must("restore", "--target-dir", in.path("r"), "--to-lsn", inside, "--dry-run")
		s.signal(syscall.SIGSTOP) // it looks once more after it has filled a gap, and must not meet this one
		last := in.loses(2)[1]    // there is nothing behind them that would show a gap
		if !in.lacks(last) {
			t.Fatal("the test lost nothing")
		}
		s.signal(syscall.SIGCONT)
		s.signal(syscall.SIGHUP) // looks again at once
		in.eventually("the end is filled in", func() bool { return !in.lacks(last) })
	})
}

func TestWALThatNobodyHasIsEnteredIntoTheLedger(t *testing.T) {
	t.Parallel()
	in := newStation(t, pgtest.Options{WALSegmentMB: 1}, "")
	in.must("backup")
	in.fill(2)
	for _, name := range in.loses(2) {
		if err := os.Remove(filepath.Join(in.server.DataDir, "pg_wal", name)); err != nil {
			t.Fatal(err)
		}
	}
	in.fill(2)
	in.switchWAL()
	s := in.readyAgent()
	in.eventually("the gap is in the ledger", func() bool {
		return strings.Contains(s.log.String(), "WAL is missing") && len(in.gaps()) == 1 && in.gaps()[0]["why"] != ""
	})
	gap := in.gaps()[0]
	if since, _ := gap["since"].(string); gap["why"] != "it is neither in the repository nor in pg_wal" || since == "" {
		t.Errorf("gap: %v", gap)
	}
	if text := in.must("list"); !strings.Contains(text, "it is neither in the repository nor in pg_wal") || strings.Contains(text, "finding:") {
		t.Errorf("list says\n%s", text)
	}
	in.ends(exitError, "check").says(t, "take a new backup: lifeboat backup")
	in.must("backup")
	if gap := in.gaps()[0]; gap["mended"] != true {
		t.Errorf("gap: %v", gap)
	}
	s.signal(syscall.SIGHUP)
	in.eventually("the metrics tell", func() bool {
		m := s.metrics()
		open, known := m[`lifeboat_wal_open_gaps{cluster="main"}`]
		return known && open == 0 && m[`lifeboat_wal_gaps{cluster="main"}`] == 1 && m[`lifeboat_repository_findings{cluster="main",kind="gap"}`] == 1
	})
	if o := in.run("check"); !strings.Contains(o.out, "nothing: a backup was made since") {
		t.Errorf("check says\n%s", o.out)
	}
}

// losesForGood lets the server lose segments, and WAL follow that is archived.
func (in *installation) losesForGood(segments int) {
	in.t.Helper()
	in.removesLost(in.loses(segments))
}

// removesLost takes from the server what it has lost, and lets WAL follow that is archived.
func (in *installation) removesLost(names []string) {
	in.t.Helper()
	for _, name := range names {
		if err := os.Remove(filepath.Join(in.server.DataDir, "pg_wal", name)); err != nil {
			in.t.Fatal(err)
		}
	}
	in.fill(2)
	in.switchWAL()
	if gaps := in.gaps(); len(gaps) != 1 {
		in.t.Fatalf("gaps: %v", gaps)
	}
}

func TestAStandbyFillsAGapOfItsPrimaryAndThenTakesOver(t *testing.T) {
	t.Parallel()
	in := newStation(t, pgtest.Options{WALSegmentMB: 1}, "")
	ctx := t.Context()
	in.must("backup")
	in.fill(2)
	directory := in.copyOfServer()
	signal := filepath.Join(directory, "standby.signal")
	if err := os.WriteFile(signal, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	pgtest.GiveAway(t, signal)
	standby, err := pgtest.StartDir(t, in.install, directory, pgtest.Options{Settings: map[string]string{
		"primary_conninfo": in.server.DSN("postgres"), "archive_mode": "on", "wal_keep_size": "64MB",
	}})
	if err != nil {
		t.Fatal(err)
	}
	lost := in.loses(3)
	end := in.server.Value(ctx, "SELECT pg_current_wal_flush_lsn()::text")
	in.eventually("the standby has received what gets lost", func() bool {
		return standby.Value(ctx, "SELECT coalesce(pg_last_wal_receive_lsn() >= $1::pg_lsn, false)::text", end) == "true"
	})
	in.removesLost(lost)
	in.server.Exec(ctx, "INSERT INTO t VALUES (7)")
	in.eventually("the standby has all", func() bool { return standby.Value(ctx, "SELECT count(*)::text FROM t WHERE n = 7") == "1" })
	beside := in.besides(standby)
	beside.addAgent("")
	s := beside.readyAgent()
	in.eventually("the gap is filled", func() bool { return s.metrics()[`lifeboat_wal_filled_files_total{cluster="main"}`] == 3 })
	in.withoutGaps()
	unfinished := in.server.Value(ctx, "SELECT pg_walfile_name(pg_current_wal_lsn())")
	s.signal(syscall.SIGHUP)
	s.says("the configuration was read anew")
	if !in.lacks(unfinished) {
		t.Errorf("the standby has stored %s, which its primary still writes", unfinished)
	}
	in.archivesWith("/bin/false") // so that the primary takes its last segments with it
	in.fill(3)
	in.server.Exec(ctx, "INSERT INTO t VALUES (9)")
	in.eventually("the standby has all", func() bool { return standby.Value(ctx, "SELECT count(*)::text FROM t WHERE n = 9") == "1" })
	in.server.Kill()
	standby.Exec(ctx, "SELECT pg_promote()") // in the middle of a segment
	standby.Exec(ctx, "INSERT INTO t VALUES (8)")
	beside.switchWAL()
	in.eventually("what the primary has not archived is filled in", func() bool {
		return s.metrics()[`lifeboat_wal_filled_files_total{cluster="main"}`] >= 6 && len(in.gaps()) == 0
	})
	target := filepath.Join(pgtest.TempDir(t), "restored")
	in.must("restore", "--target-dir", target, "--archive-mode", "off")
	restored, err := pgtest.StartDir(t, in.install, target, pgtest.Options{})
	if err != nil {
		t.Fatal(err)
	}
	in.eventually("recovery ends", func() bool { return restored.Value(ctx, "SELECT pg_is_in_recovery()::text") == "false" })
	if rows := restored.Value(ctx, "SELECT count(*)::text FROM t WHERE n IN (7, 8, 9)"); rows != "3" {
		t.Errorf("%s of 3 rows beside the promotion", rows)
	}
}

// TestAnotherHistoryFillsNoGap has an agent beside a second primary on the timeline, whose segments would fit by their names.
func TestAnotherHistoryFillsNoGap(t *testing.T) {
	t.Parallel()
	in := newStation(t, pgtest.Options{WALSegmentMB: 1}, "")
	in.must("backup")
	in.fill(2)
	in.switchWAL()
	twin := in.twin("")
	twin.archivesWith("/bin/true")
	in.fill(1)
	in.losesForGood(2)
	twin.fill(12)
	s := twin.readyAgent()
	s.says("a gap could not be filled")
	s.says("two servers may be writing this timeline")
	if gaps := in.gaps(); len(gaps) != 1 || s.metrics()[`lifeboat_wal_filled_files_total{cluster="main"}`] != 0 {
		t.Errorf("gaps: %v", gaps)
	}
}
