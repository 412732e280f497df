package main

import (
	"context"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"lifeboat/internal/pgtest"
)

// besides is another installation, on another machine as it were, with the same repository and a server of the same cluster.
func (in *installation) besides(server *pgtest.Cluster) *installation {
	in.t.Helper()
	other := *in
	other.dir, other.server = pgtest.TempDir(in.t), server
	other.config = filepath.Join(other.dir, "lifeboat.yaml")
	return &other
}

// copyOfServer is a copy of the data directory, made while the server is stopped for a moment.
func (in *installation) copyOfServer() string {
	in.t.Helper()
	directory := filepath.Join(pgtest.TempDir(in.t), "copy")
	in.server.Stop()
	o := finished(in.t, pgtest.Command(in.t.Context(), in.install, "/bin/cp", "-a", in.server.DataDir, directory))
	if o.code != 0 {
		in.t.Fatalf("cp: %s", o.errors)
	}
	in.server.Launch()
	return directory
}

// twin is a second primary on the same timeline: a copy that was started by mistake.
func (in *installation) twin(settings string) *installation {
	in.t.Helper()
	server, err := pgtest.StartDir(in.t, in.install, in.copyOfServer(), pgtest.Options{})
	if err != nil {
		in.t.Fatal(err)
	}
	other := in.besides(server)
	other.addAgent(settings)
	other.asks(server)
	return other
}

// waits says whether the server keeps a file that could not be archived.
func (in *installation) waits(segment string) bool {
	_, err := os.Stat(filepath.Join(in.server.DataDir, "pg_wal/archive_status", segment+".ready"))
	return err == nil
}

func TestOfTwoPrimariesOnOneTimelineOneWinsAndTheOtherReports(t *testing.T) {
	t.Parallel()
	for name, agents := range map[string]bool{"through agents": true, "by hooks": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			in := newStation(t, pgtest.Options{WALSegmentMB: 1}, "")
			in.must("backup")
			in.fill(2)
			in.switchWAL()
			loser := in.twin("")
			var reports *station
			if agents {
				in.readyAgent()
				reports = loser.readyAgent()
			}
			in.fill(3)
			in.switchWAL() // wins
			ctx := t.Context()
			loser.server.Exec(ctx, "INSERT INTO t SELECT 1000")
			lost := loser.server.Value(ctx, "SELECT pg_walfile_name(pg_switch_wal())")
			loser.server.Exec(ctx, "INSERT INTO t SELECT 1001")
			in.eventually("the loser fails", func() bool {
				return loser.server.Value(context.WithoutCancel(ctx), "SELECT (failed_count > 0)::text FROM pg_stat_archiver") == "true"
			})
			if !loser.waits(lost) {
				t.Errorf("%s does not wait in the loser's pg_wal", lost)
			}
			in.eventually("the loser's log says what to do", func() bool {
				log := loser.server.Log()
				return strings.Contains(log, "two servers may be writing this timeline") && strings.Contains(log, "pg_rewind")
			})
			in.fill(2)
			in.switchWAL() // goes on
			in.withoutGaps()
			in.ends(exitError, "check").says(t, "two servers may be writing this timeline", "find out which server is the primary", "findings/conflict-")
			if text := in.must("list"); !strings.Contains(text, "another "+lost) {
				t.Errorf("list says\n%s", text)
			}
			if reports != nil {
				reports.signal(syscall.SIGHUP)
				in.eventually("the metrics tell", func() bool {
					m := reports.metrics()
					return m[`lifeboat_split_brain_files{cluster="main"}`] >= 1 && m[`lifeboat_repository_findings{cluster="main",kind="conflict"}`] >= 1
				})
			}
		})
	}
}

// TestTwoPrimariesThatStreamDoNotMixTheirTails lets the loser's agent start in the middle of a segment of which the winner has
// stored a tail.
func TestTwoPrimariesThatStreamDoNotMixTheirTails(t *testing.T) {
	t.Parallel()
	const settings = "    wal: {stream: true, interval: 100ms}\n"
	in := newStation(t, pgtest.Options{}, settings)
	ctx := t.Context()
	in.must("backup")
	in.fill(1)
	in.switchWAL()
	loser := in.twin(settings)
	winner := in.readyAgent()
	winner.streamsAll()
	in.server.Exec(ctx, "INSERT INTO t VALUES (1)")
	winner.streamsAll()
	loser.server.Exec(ctx, "INSERT INTO t SELECT generate_series(1, 20000)") // more than the winner has in that segment
	own := loser.server.Value(ctx, "SELECT pg_walfile_name(pg_current_wal_lsn())")
	s := loser.readyAgent()
	s.says("another " + own + " (bytes ")
	in.ends(exitError, "check").says(t, "another "+own+" (bytes ")
}

// streamsAll waits until all that the server has written up to now is in the repository.
func (s *station) streamsAll() {
	s.in.t.Helper()
	end, err := strconv.ParseFloat(s.in.server.Value(s.in.t.Context(), "SELECT (pg_current_wal_flush_lsn() - '0/0')::text"), 64)
	if err != nil {
		s.in.t.Fatal(err)
	}
	s.in.eventually("all WAL is streamed", func() bool { return s.metrics()[`lifeboat_wal_durable_lsn{cluster="main"}`] >= end })
}
