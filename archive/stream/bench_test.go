package stream

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"lifeboat/internal/pgtest"
	"lifeboat/internal/wal"
)

// directorySink keeps what it gets in files that are synced, and notes when it has got how far.
type directorySink struct {
	dir   string
	mu    sync.Mutex
	moves []Position
	tails int
}

func (d *directorySink) keep(name string, content []byte, end wal.LSN) error {
	file, err := os.Create(filepath.Join(d.dir, name))
	if err != nil {
		return err
	}
	defer file.Close()
	if _, err := file.Write(content); err != nil {
		return err
	}
	if err := file.Sync(); err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.moves = append(d.moves, Position{LSN: end, Time: time.Now()})
	return nil
}

func (d *directorySink) Segment(_ context.Context, path string) error {
	content, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	name, err := wal.ParseFileName(filepath.Base(path))
	if err != nil {
		return err
	}
	return d.keep(name.String(), content, name.Start(wal.DefaultSegmentSize)+wal.LSN(len(content)))
}

func (d *directorySink) Tail(_ context.Context, name wal.FileName, from uint32, data []byte) error {
	d.mu.Lock()
	d.tails++
	d.mu.Unlock()
	end := name.Start(wal.DefaultSegmentSize) + wal.LSN(from) + wal.LSN(len(data))
	return d.keep(fmt.Sprintf("%s.%08X", name, from), data, end)
}

func (*directorySink) TailEnd(context.Context, wal.FileName) (uint32, error) { return 0, nil }
func (*directorySink) End(context.Context, wal.TimelineHistory) (wal.LSN, error) {
	return 0, nil
}
func (*directorySink) History(context.Context, wal.TimelineID, []byte) error { return nil }
func (*directorySink) Lost(context.Context, wal.TimelineID, wal.LSN, wal.LSN, string) error {
	return nil
}

// BenchmarkCommitToDurable measures, under pgbench's load, the time from a commit to its being in a repository of local
// files, each synced. An iteration is one commit.
func BenchmarkCommitToDurable(b *testing.B) {
	for _, interval := range []time.Duration{time.Second, 250 * time.Millisecond, 50 * time.Millisecond} {
		b.Run(interval.String(), func(b *testing.B) { benchmarkDelay(b, interval) })
	}
}

func benchmarkDelay(b *testing.B, interval time.Duration) {
	cluster := pgtest.Start(b, pgtest.Debian(b), pgtest.Options{Settings: map[string]string{"max_wal_size": "2GB"}})
	cluster.Pgbench(b.Context(), 10, 1, 0)
	sink := &directorySink{dir: b.TempDir()}
	receiver, err := New(Options{
		Connect: func(ctx context.Context) (*pgconn.PgConn, error) {
			return pgconn.Connect(ctx, cluster.DSN("postgres")+" replication=true")
		},
		Slot: "lifeboat", Spool: filepath.Join(b.TempDir(), "spool"), Interval: interval, SegmentSize: wal.DefaultSegmentSize,
		Sink: sink, Clock: time.Now, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(b.Context())
	var group sync.WaitGroup
	group.Go(func() { _ = receiver.Run(ctx) })
	defer group.Wait()
	defer cancel()
	flushed, err := wal.ParseLSN(cluster.Value(b.Context(), "SELECT pg_current_wal_flush_lsn()"))
	if err != nil {
		b.Fatal(err)
	}
	eventually(b, "the receiver has caught up", func() bool { return receiver.Status().RepositoryDurable.LSN >= flushed })
	seconds := 10
	group.Go(func() { cluster.PgbenchRun(b.Context(), 4, seconds) })
	commits := commitFor(b, cluster, time.Duration(seconds)*time.Second)
	for last := commits[len(commits)-1].LSN; receiver.Status().RepositoryDurable.LSN < last; {
		time.Sleep(time.Millisecond)
	}
	delays := sink.delays(commits)
	b.ReportMetric(0, "ns/op") // the load's length is fixed
	b.ReportMetric(float64(delays[len(delays)/2].Milliseconds()), "p50-ms")
	b.ReportMetric(float64(delays[len(delays)*99/100].Milliseconds()), "p99-ms")
	b.ReportMetric(float64(sink.tails)/float64(seconds), "tails/s")
}

// commitFor commits every few milliseconds and notes where and when.
func commitFor(b *testing.B, cluster *pgtest.Cluster, limit time.Duration) []Position {
	conn := cluster.Conn(b.Context())
	var commits []Position
	for end := time.Now().Add(limit); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		var text string
		if _, err := conn.Exec(b.Context(), "UPDATE pgbench_branches SET filler = now() WHERE bid = 1"); err != nil {
			b.Fatal(err)
		}
		at := time.Now()
		if err := conn.QueryRow(b.Context(), "SELECT pg_current_wal_flush_lsn()::text").Scan(&text); err != nil {
			b.Fatal(err)
		}
		lsn, err := wal.ParseLSN(text)
		if err != nil {
			b.Fatal(err)
		}
		commits = append(commits, Position{LSN: lsn, Time: at})
	}
	return commits
}

// delays are the times from commits to their being durable, sorted.
func (d *directorySink) delays(commits []Position) []time.Duration {
	d.mu.Lock()
	defer d.mu.Unlock()
	var delays []time.Duration
	for _, c := range commits {
		for _, m := range d.moves {
			if m.LSN >= c.LSN {
				delays = append(delays, m.Time.Sub(c.Time))
				break
			}
		}
	}
	slices.Sort(delays)
	return delays
}
