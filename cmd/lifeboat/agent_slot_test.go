package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"lifeboat/internal/pgtest"
	"lifeboat/internal/wal"
)

// alone lets nothing but streaming bring WAL into the repository.
func (in *installation) alone() {
	in.t.Helper()
	in.sets("archive_command = '/bin/true'")
}

// sets changes settings of the server that take effect at once.
func (in *installation) sets(settings ...string) {
	in.t.Helper()
	for _, setting := range settings {
		in.server.Exec(in.t.Context(), "ALTER SYSTEM SET "+setting)
	}
	in.server.Exec(in.t.Context(), "SELECT pg_reload_conf()")
}

// forget lets the server write WAL, and remove all that it may, also what a slot keeps. That has a limit only here: otherwise
// any checkpoint would take the slot from an agent that is two segments late.
func (in *installation) forget() {
	in.t.Helper()
	ctx := in.t.Context()
	in.sets("max_slot_wal_keep_size = '1MB'")
	in.fill(6)
	in.server.Exec(ctx, "SELECT pg_switch_wal()")
	in.archivesAll()
	in.server.Exec(ctx, "CHECKPOINT")
	in.server.Exec(ctx, "CHECKPOINT")
	in.sets("max_slot_wal_keep_size = -1")
}

// slotIsFree waits until the server has noticed that the agent is gone.
func (in *installation) slotIsFree() {
	in.t.Helper()
	in.eventually("the slot is free", func() bool {
		return in.server.Value(in.t.Context(), "SELECT active::text FROM pg_replication_slots") == "false"
	})
}

// caughtUp waits until the repository has all WAL. The lag counts from what the agent knows of the server, which may be a second
// old: what there is now is asked for besides.
func (in *installation) caughtUp(s *station) {
	in.t.Helper()
	s.streamsAll()
	in.eventually("all WAL is in the repository", func() bool {
		value, there := s.metrics()[`lifeboat_wal_durable_lag_bytes{cluster="main"}`]
		return there && value == 0
	})
}

func lsn(t *testing.T, text any) wal.LSN {
	t.Helper()
	parsed, err := wal.ParseLSN(text.(string))
	if err != nil {
		t.Fatal(err)
	}
	return parsed
}

// checkLoss proves that a gap begins in the segment of the position, that no window crosses it, and that a further backup
// was made behind it. It returns the number of gaps.
func (in *installation) checkLoss(s *station, before wal.LSN, backups, gaps int) {
	in.t.Helper()
	in.eventually("a backup is made because of the loss", func() bool {
		return len(document(in.t, in.must("list", "--output", "json"))["backups"].([]any)) == backups
	})
	in.caughtUp(s)
	list := document(in.t, in.run("list", "--output", "json").out)
	all := list["gaps"].([]any)
	if len(all) != gaps {
		in.t.Fatalf("gaps: %v, want %d", all, gaps)
	}
	gap := all[gaps-1].(map[string]any)
	from, to := lsn(in.t, gap["from_lsn"]), lsn(in.t, gap["to_lsn"])
	if from != before-before%(1<<20) || to <= from {
		in.t.Errorf("the gap is from %s to %s, and no more than up to %s was in the repository", from, to, before)
	}
	reached := false
	for _, w := range list["windows"].([]any) {
		window := w.(map[string]any)
		begin, end := lsn(in.t, window["from_lsn"]), lsn(in.t, window["to_lsn"])
		if begin < to && end > before {
			in.t.Errorf("a window from %s to %s crosses the gap from %s to %s", begin, end, from, to)
		}
		reached = reached || begin >= to
	}
	if !reached {
		in.t.Errorf("nothing behind the gap can be reached: %v", list["windows"])
	}
	in.run("check").says(in.t, "lacks WAL from "+from.String()+" to "+to.String())
}

func TestLostSlotIsAGapThatIsToldAndANewBackup(t *testing.T) {
	t.Parallel()
	pgtest.Each(t, func(t *testing.T, install pgtest.Install) {
		in := newStationOf(t, install, pgtest.Options{WALSegmentMB: 1},
			"    wal: {stream: true, interval: 50ms}\n    backup: {schedule: \"0 2 1 1 *\"}\n")
		ctx := t.Context()
		in.alone()
		in.sets("min_wal_size = '2MB'", "max_wal_size = '2MB'", "wal_recycle = off")
		s := in.readyAgent()
		for stage, lose := range []func(){in.forget, func() {
			in.slotIsFree()
			in.server.Exec(ctx, "SELECT pg_drop_replication_slot('lifeboat_main')")
			in.forget()
		}} {
			in.eventually("a backup is there", func() bool {
				return s.metrics()[`lifeboat_job_runs_total{cluster="main",job="backup",result="done"}`] == 1
			})
			in.fill(1)
			in.caughtUp(s)
			s.kill() // first: a checkpoint may write at any time, and the agent ships that, too
			before := lsn(t, in.server.Value(ctx, "SELECT pg_current_wal_flush_lsn()::text"))
			lose()
			s = in.readyAgent()
			s.says("WAL was lost")
			in.checkLoss(s, before, stage+2, stage+1)
		}
	})
}

// TestLostSlotIsNoGapWhereArchivingWentOn loses the slot alone: archive_command has stored what streaming lacks.
func TestLostSlotIsNoGapWhereArchivingWentOn(t *testing.T) {
	t.Parallel()
	in := newStation(t, pgtest.Options{WALSegmentMB: 1}, "    wal: {stream: true, interval: 50ms}\n    backup: {schedule: \"0 2 1 1 *\"}\n")
	in.sets("min_wal_size = '2MB'", "max_wal_size = '2MB'", "wal_recycle = off")
	s := in.readyAgent()
	in.eventually("a backup is there", func() bool {
		return s.metrics()[`lifeboat_job_runs_total{cluster="main",job="backup",result="done"}`] == 1
	})
	in.caughtUp(s)
	s.kill()
	in.forget()
	s = in.readyAgent()
	s.says("is in the repository all the same")
	in.fill(1)
	in.caughtUp(s)
	in.withoutGaps()
	list := document(t, in.must("list", "--output", "json"))
	if backups, findings := list["backups"].([]any), list["findings"].([]any); len(backups) != 1 || len(findings) != 0 {
		t.Errorf("%d backups and the findings %v, though nothing is lost", len(backups), findings)
	}
}

// TestStreamingAloneIsComplete has no archive_command that stores anything.
func TestStreamingAloneIsComplete(t *testing.T) {
	t.Parallel()
	in := newStation(t, pgtest.Options{}, "    wal: {stream: true, interval: 100ms}\n")
	in.alone()
	s := in.readyAgent()
	in.caughtUp(s)
	in.must("backup")
	in.fill(5)
	in.server.Exec(t.Context(), "CREATE TABLE last_words AS SELECT 42 AS n")
	in.caughtUp(s)
	in.withoutGaps()
	in.loseMachine(s, in.nobody())
	if n := in.recovered().Value(t.Context(), "SELECT n::text FROM last_words"); n != "42" {
		t.Errorf("the last words are %s", n)
	}
}

// nobody is a load of no writers.
func (in *installation) nobody() *writers { return in.writers(0) }

// TestStreamedSegmentIsNotStoredOrComparedAgain asks the hook for a segment that streaming has stored, while nobody can reach
// the repository: the agent knows by the segment's content.
func TestStreamedSegmentIsNotStoredOrComparedAgain(t *testing.T) {
	t.Parallel()
	in := newStation(t, pgtest.Options{}, "    wal: {stream: true, interval: 100ms}\n")
	ctx := t.Context()
	in.sets("wal_keep_size = '1GB'")
	in.alone()
	s := in.readyAgent()
	in.caughtUp(s)
	in.fill(1)
	segment := in.server.Value(ctx, "SELECT pg_walfile_name(pg_switch_wal())")
	in.server.Exec(ctx, "CREATE TABLE further (n int)")
	in.caughtUp(s)
	in.locks(0)
	path := filepath.Join(in.server.DataDir, "pg_wal", segment)
	push := func() outcome {
		return in.runProgram("lifeboat-wal", "push", "--socket", in.socket(), "--config", in.config, path)
	}
	if o := push(); o.code != 0 {
		t.Errorf("exit code %d for a segment that is stored: %s", o.code, o.errors)
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	raw[len(raw)-1] ^= 1
	if err := os.WriteFile(path, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	if o := push(); o.code == 0 {
		t.Error("another content of the segment's name counts as stored")
	}
	in.locks(0o700)
}

// TestStreamingAndArchivingStoreNothingTwice compares what was stored with what there was to store.
func TestStreamingAndArchivingStoreNothingTwice(t *testing.T) {
	t.Parallel()
	in := newStation(t, pgtest.Options{}, "    wal: {stream: true, interval: 100ms}\n")
	s := in.readyAgent()
	in.caughtUp(s)
	in.fill(12)
	in.switchWAL()
	in.caughtUp(s)
	m := s.metrics()
	stored := m[`lifeboat_wal_pushed_bytes_total{cluster="main"}`] / (16 << 20)
	streamed, pushed := m[`lifeboat_wal_streamed_files_total{cluster="main"}`], m[`lifeboat_wal_pushed_files_total{cluster="main"}`]
	if stored < 12 || stored > max(streamed, pushed) || streamed < 12 || pushed < 12 {
		t.Errorf("%v segments were stored, %v came by streaming and %v by the hook", stored, streamed, pushed)
	}
	in.withoutGaps()
	for _, words := range []string{"conflict", "another process"} {
		if strings.Contains(s.log.String(), words) {
			t.Errorf("the log speaks of a %s", words)
		}
	}
}
