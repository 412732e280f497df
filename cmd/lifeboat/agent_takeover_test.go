package main

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"lifeboat/internal/pgtest"
)

// standby makes a standby of the installation's server, with an archive_command that asks the agent.
func (in *installation) standby() *pgtest.Cluster {
	in.t.Helper()
	ctx := in.t.Context()
	directory := filepath.Join(pgtest.TempDir(in.t), "standby")
	primary := in.server
	o := finished(in.t, pgtest.Command(ctx, in.install, "pg_basebackup", "-D", directory, "-c", "fast", "-R", "-X", "stream", "-d", primary.DSN("postgres")))
	if o.code != 0 {
		in.t.Fatalf("pg_basebackup: %s", o.errors)
	}
	standby, err := pgtest.StartDir(in.t, in.install, directory, pgtest.Options{})
	if err != nil {
		in.t.Fatal(err)
	}
	return standby
}

func TestAgentOfAStandbyTakesOverAfterPromotion(t *testing.T) {
	t.Parallel()
	in := newStationOf(t, pgtest.Debian(t), pgtest.Options{}, "    wal: {stream: true, interval: 100ms}\n    backup: {schedule: \"0 2 1 1 *\"}\n")
	ctx := t.Context()
	in.fill(2)
	in.switchWAL()
	primary, standby := in.server, in.standby()
	in.server = standby
	in.addAgent("    wal: {stream: true, interval: 100ms}\n    backup: {schedule: \"0 2 1 1 *\"}\n")
	s := in.readyAgent()
	in.eventually("the standby is seen", func() bool { return s.metrics()[`lifeboat_server_standby{cluster="main"}`] == 1 })
	if health := s.page("/healthz"); !strings.Contains(health, "waits: its server is a standby") {
		t.Errorf("health: %s", health)
	}
	primary.Stop()
	standby.Exec(ctx, "SELECT pg_promote()")
	in.eventually("a backup of the new primary is made", func() bool {
		return s.metrics()[`lifeboat_job_runs_total{cluster="main",job="backup",result="done"}`] == 1
	})
	in.fill(2)
	in.caughtUp(s)
	in.eventually("the agent pushes files for the new primary", func() bool { return s.metrics()[`lifeboat_wal_pushed_files_total{cluster="main"}`] >= 2 })
	in.must("verify")
	if _, err := os.Stat(filepath.Join(in.path("state"), "main.spool")); err != nil {
		t.Error(err)
	}
}

// A standby that had not received all becomes the primary. The repository has more of the old timeline than it, in one piece.
func TestAgentTakesOverWhereTheRepositoryHasMoreThanTheNewPrimary(t *testing.T) {
	t.Parallel()
	settings := "    wal: {stream: true, interval: 20ms}\n"
	in := newStationOf(t, pgtest.Debian(t), pgtest.Options{}, settings)
	ctx := t.Context()
	first := in.readyAgent()
	in.must("backup")
	in.server.Exec(ctx, "CREATE TABLE ledger (n int)")
	primary, standby := in.server, in.standby()
	in.switchWAL()
	primary.Exec(ctx, "INSERT INTO ledger VALUES (1)")
	end := primary.Value(ctx, "SELECT pg_current_wal_lsn()::text")
	in.eventually("the standby has the first row", func() bool {
		return standby.Value(ctx, "SELECT (pg_last_wal_replay_lsn() >= '"+end+"')::text") == "true"
	})
	standby.Exec(ctx, "ALTER SYSTEM SET primary_conninfo = ''")
	standby.Exec(ctx, "SELECT pg_reload_conf()")
	in.eventually("it receives no more", func() bool { return standby.Value(ctx, "SELECT count(*)::text FROM pg_stat_wal_receiver") == "0" })
	first.streamsAll() // so the segment before has no tail any more
	begun := in.pieces("00000000-*")
	if len(begun) != 1 {
		t.Fatalf("tails begin with %v", begun)
	}
	in.eventually("the tail is one long piece", func() bool {
		primary.Exec(ctx, "INSERT INTO ledger SELECT 2 FROM generate_series(1, 20)")
		first.streamsAll() // and has joined all, where it was to
		now := in.pieces("00000000-*")
		return len(now) == 1 && now[0] != begun[0]
	})
	primary.Kill()
	first.kill()
	if err := os.RemoveAll(filepath.Join(in.path("state"), "main.spool")); err != nil { // it is another machine
		t.Fatal(err)
	}
	in.server = standby
	in.addAgent(settings)
	second := in.readyAgent()
	standby.Exec(ctx, "SELECT pg_promote()")
	standby.Exec(ctx, "INSERT INTO ledger VALUES (3)")
	second.streamsAll()
	standby.Kill()
	second.kill()
	if rows := in.recovered().Value(ctx, "SELECT string_agg(n::text, ' ' ORDER BY n) FROM ledger"); rows != "1 3" {
		t.Errorf("recovered %q", rows)
	}
}

// TestStreamedTailIsRecovered destroys the primary between two archived segments: all that was streamed comes back.
func TestStreamedTailIsRecovered(t *testing.T) {
	t.Parallel()
	in := newStation(t, pgtest.Options{}, "    wal: {stream: true, interval: 100ms}\n")
	ctx := t.Context()
	s := in.readyAgent()
	in.must("backup")
	in.fill(3)
	in.switchWAL()
	in.server.Exec(ctx, "CREATE TABLE last_words AS SELECT 42 AS n")
	s.streamsAll()
	o := in.run("check", "--output", "json")
	if !strings.Contains(o.out, "it answers on") {
		t.Errorf("check does not see the agent: %s%s", o.out, o.errors)
	}
	in.server.Kill()
	s.kill()
	target := filepath.Join(pgtest.TempDir(t), "restored")
	in.must("restore", "--target-dir", target)
	restored, err := pgtest.StartDir(t, in.install, target, pgtest.Options{})
	if err != nil {
		t.Fatal(err)
	}
	in.eventually("recovery ends", func() bool {
		return restored.Value(context.WithoutCancel(ctx), "SELECT pg_is_in_recovery()::text") == "false"
	})
	if n := restored.Value(ctx, "SELECT n::text FROM last_words"); n != "42" {
		t.Errorf("the last words are %s", n)
	}
}
