package main

import (
	"context"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"

	"lifeboat/internal/pgtest"
)

// writers commit numbers until they are stopped or the server is gone, and know which commits were acknowledged.
type writers struct {
	mu    sync.Mutex
	acked []int
	stop  context.CancelFunc
	done  sync.WaitGroup
}

func (in *installation) writers(count int) *writers {
	in.t.Helper()
	ctx, cancel := context.WithCancel(in.t.Context())
	w := &writers{stop: cancel}
	for n := range count {
		conn, err := in.server.Connect(ctx, "postgres")
		if err != nil {
			in.t.Fatal(err)
		}
		w.done.Go(func() {
			defer conn.Close(context.WithoutCancel(ctx))
			for number := n; w.commit(ctx, conn, number) == nil; number += count {
			}
		})
	}
	in.t.Cleanup(w.end)
	return w
}

func (w *writers) commit(ctx context.Context, conn *pgx.Conn, number int) error {
	if _, err := conn.Exec(ctx, "INSERT INTO ledger VALUES ($1, repeat('x', $1::int % 3000))", number); err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.acked = append(w.acked, number)
	return nil
}

func (w *writers) end() {
	w.stop()
	w.done.Wait()
}

func (w *writers) count() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.acked)
}

// missing lists acknowledged numbers that the server does not have.
func (w *writers) missing(t *testing.T, server *pgtest.Cluster) []int {
	t.Helper()
	have := map[int]bool{}
	for _, row := range server.Query(t.Context(), "SELECT n::text FROM ledger") {
		number, err := strconv.Atoi(row[0])
		if err != nil {
			t.Fatal(err)
		}
		have[number] = true
	}
	var missing []int
	for _, number := range w.acked {
		if !have[number] {
			missing = append(missing, number)
		}
	}
	return missing
}

// synchronous makes the agent a synchronous standby: commits wait for it from here on. That the agent shows as one says only
// that the session that asks has read the setting. Commits wait once the checkpointer has (SyncRepUpdateSyncStandbysDefined in
// syncrep.c), which it does before a checkpoint.
func (in *installation) synchronous() {
	in.t.Helper()
	ctx := in.t.Context()
	in.server.Exec(ctx, "CREATE TABLE ledger (n int, filler text)")
	in.server.Exec(ctx, "ALTER SYSTEM SET synchronous_standby_names = 'lifeboat_main'")
	in.server.Exec(ctx, "SELECT pg_reload_conf()")
	in.eventually("the agent is a synchronous standby", func() bool {
		return in.server.Value(ctx, "SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'sync'") == "1"
	})
	in.server.Exec(ctx, "CHECKPOINT")
}

// recovered restores the newest state and starts it.
func (in *installation) recovered() *pgtest.Cluster {
	in.t.Helper()
	target := filepath.Join(pgtest.TempDir(in.t), "restored")
	in.must("restore", "--target-dir", target)
	restored, err := pgtest.StartDir(in.t, in.install, target, pgtest.Options{Settings: map[string]string{"synchronous_standby_names": ""}})
	if err != nil {
		in.t.Fatal(err)
	}
	in.eventually("recovery ends", func() bool {
		return restored.Value(in.t.Context(), "SELECT pg_is_in_recovery()::text") == "false"
	})
	return restored
}

// loseMachine kills server and agent under load, and the server's disk with them.
func (in *installation) loseMachine(s *station, w *writers) {
	in.t.Helper()
	in.server.Kill()
	s.kill()
	w.end()
	if err := os.RemoveAll(in.server.DataDir); err != nil {
		in.t.Fatal(err)
	}
}

func (in *installation) checkNothingIsMissing(w *writers) {
	in.t.Helper()
	if missing := w.missing(in.t, in.recovered()); len(missing) > 0 {
		in.t.Errorf("%d of %d acknowledged commits are missing: %v", len(missing), w.count(), missing)
	}
}

func TestCommitsThatTheRepositoryAcknowledgedSurviveTheMachine(t *testing.T) {
	t.Parallel()
	pgtest.Each(t, func(t *testing.T, install pgtest.Install) {
		in := newStationOf(t, install, pgtest.Options{}, "    wal: {stream: true, interval: 20ms, durable: repository}\n")
		s := in.readyAgent()
		in.must("backup")
		in.synchronous()
		w := in.writers(8)
		in.eventually("many commits were acknowledged", func() bool { return w.count() > 200 })
		in.loseMachine(s, w)
		if err := os.RemoveAll(in.path("state")); err != nil { // with the spool
			t.Fatal(err)
		}
		in.checkNothingIsMissing(w)
	})
}

func TestCommitsThatTheSpoolAcknowledgedSurviveTheServersDisk(t *testing.T) {
	t.Parallel()
	pgtest.Each(t, func(t *testing.T, install pgtest.Install) {
		// No tail goes out in time, so only the spool has the end.
		in := newStationOf(t, install, pgtest.Options{}, "    wal: {stream: true, interval: 1h, durable: spool}\n")
		s := in.readyAgent()
		in.must("backup")
		in.synchronous()
		w := in.writers(8)
		in.eventually("many commits were acknowledged", func() bool { return w.count() > 1000 })
		in.loseMachine(s, w)
		again := in.startAgent()
		again.says("the repository has all that was received")
		if code := again.stop(); code != 0 {
			t.Errorf("exit code %d", code)
		}
		in.checkNothingIsMissing(w)
	})
}

// TestSpoolIsShippedWithoutServerAndDataDirectory lets the agent find neither: it still ships what was received.
func TestSpoolIsShippedWithoutServerAndDataDirectory(t *testing.T) {
	t.Parallel()
	in := newStation(t, pgtest.Options{}, "    wal: {stream: true, interval: 1h}\n")
	s := in.readyAgent()
	in.must("backup")
	in.synchronous()
	w := in.writers(2)
	in.eventually("commits were acknowledged", func() bool { return w.count() > 100 })
	in.loseMachine(s, w)
	raw, err := os.ReadFile(in.config)
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for line := range strings.Lines(string(raw)) {
		if !strings.Contains(line, "data_directory") {
			lines = append(lines, line)
		}
	}
	in.write("lifeboat.yaml", strings.Join(lines, ""))
	in.startAgent().says("the repository has all that was received")
	in.checkNothingIsMissing(w)
}
