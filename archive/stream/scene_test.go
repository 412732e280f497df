package stream

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"lifeboat/internal/pgtest"
	"lifeboat/internal/wal"
)

// scene is a server, a vault, and a receiver between them that can be ended and begun at will.
type scene struct {
	t       *testing.T
	cluster atomic.Pointer[pgtest.Cluster] // where Connect leads to
	vault   *vault
	options Options

	receiver *Receiver
	cancel   context.CancelFunc
	ended    chan error
}

// keepAll lets the server keep all WAL, to compare it with, and write hardly any by itself: where its WAL ends is then where a
// transaction of the test ended, and not in the middle of a record.
func keepAll() map[string]string {
	return map[string]string{"wal_keep_size": "2GB", "max_wal_size": "1GB", "autovacuum": "off"}
}

func newScene(t *testing.T, install pgtest.Install, settings map[string]string) *scene {
	t.Helper()
	cluster := pgtest.Start(t, install, pgtest.Options{WALSegmentMB: 1, Settings: settings})
	return sceneAt(t, cluster)
}

func sceneAt(t *testing.T, cluster *pgtest.Cluster) *scene {
	t.Helper()
	s := &scene{t: t, vault: newVault(megabyte)}
	s.cluster.Store(cluster)
	s.options = Options{
		Connect: s.connect, Slot: "lifeboat", Spool: filepath.Join(t.TempDir(), "spool"), Interval: 20 * time.Millisecond,
		SegmentSize: megabyte, Sink: s.vault, Clock: time.Now, Log: slog.New(slog.NewTextHandler(t.Output(), nil)),
	}
	t.Cleanup(func() {
		if s.receiver != nil {
			s.end()
		}
	})
	return s
}

func (s *scene) connect(ctx context.Context) (*pgconn.PgConn, error) {
	return pgconn.Connect(ctx, s.cluster.Load().DSN("postgres")+" replication=true application_name=lifeboat")
}

// beginAt is begin with a receiver that has another server than the rest of the scene.
func (s *scene) beginAt(server *pgtest.Cluster) {
	s.t.Helper()
	others := s.cluster.Swap(server)
	s.begin()
	eventually(s.t, "the receiver streams", func() bool { return s.receiver.Status().Connected })
	s.cluster.Store(others)
}

// begin starts a receiver that knows nothing but its spool.
func (s *scene) begin() {
	s.t.Helper()
	receiver, err := New(s.options)
	if err != nil {
		s.t.Fatal(err)
	}
	s.run(receiver)
}

func (s *scene) run(receiver *Receiver) {
	ctx, cancel := context.WithCancel(s.t.Context())
	s.receiver, s.cancel, s.ended = receiver, cancel, make(chan error, 1)
	ended := s.ended
	go func() { ended <- receiver.Run(ctx) }()
}

// end stops the receiver in the middle of what it does.
func (s *scene) end() {
	s.t.Helper()
	s.cancel()
	s.receiver = nil
	if err := <-s.ended; err != nil {
		s.t.Errorf("the receiver ended with: %v", err)
	}
}

// endedSpool ends the receiver once the vault has all of the server's WAL, and returns where the next one will find that its
// spool ends. That may be further on: the server writes WAL by itself, such as the record of a checkpoint.
func (s *scene) endedSpool() wal.LSN {
	s.t.Helper()
	arrived := s.arrived()
	s.end()
	spool, err := reopen(s.options.Spool)
	if err != nil {
		s.t.Fatal(err)
	}
	defer spool.close()
	end := spool.durableEnd()
	if end < arrived {
		s.t.Errorf("the spool ends at %s, and held WAL up to %s", end, arrived)
	}
	return end
}

// flushed is the end of the server's WAL.
func (s *scene) flushed() wal.LSN {
	s.t.Helper()
	lsn, err := wal.ParseLSN(s.cluster.Load().Value(s.t.Context(), "SELECT pg_current_wal_flush_lsn()"))
	if err != nil {
		s.t.Fatal(err)
	}
	return lsn
}

// arrived waits until the vault has all of the server's WAL, which it has up to the place returned.
func (s *scene) arrived() wal.LSN {
	s.t.Helper()
	target := s.flushed()
	eventually(s.t, fmt.Sprintf("the vault has WAL up to %s", target), func() bool {
		return s.receiver.Status().RepositoryDurable.LSN >= target
	})
	return target
}

// whole waits until the vault has WAL of timeline 1 up to the end of the server's, without a hole that was not told.
func (s *scene) whole() {
	s.t.Helper()
	target := s.flushed()
	eventually(s.t, fmt.Sprintf("the vault has WAL up to %s without a hole", target), func() bool { return s.vault.end(1) >= target })
}

// ledger is a load whose acknowledged transactions are known.
type ledger struct {
	mu    sync.Mutex
	acked []wal.TransactionID
	stop  context.CancelFunc
	done  sync.WaitGroup
}

// load runs transactions of several sizes until it is stopped or the server is gone.
func (s *scene) load(clients int) *ledger {
	s.t.Helper()
	s.exec("CREATE TABLE IF NOT EXISTS ledger (id bigint, filler text)")
	ctx, cancel := context.WithCancel(s.t.Context())
	l := &ledger{stop: cancel}
	cluster := s.cluster.Load()
	for range clients {
		conn, err := cluster.Connect(ctx, "postgres")
		if err != nil {
			s.t.Fatal(err)
		}
		l.done.Go(func() {
			defer conn.Close(context.Background())
			for l.transaction(ctx, conn) == nil {
			}
		})
	}
	s.t.Cleanup(l.end)
	return l
}

func (l *ledger) transaction(ctx context.Context, conn *pgx.Conn) error {
	size := rand.N(200)
	if rand.N(20) == 0 {
		size = rand.N(40000)
	}
	var xid string
	err := conn.QueryRow(ctx, `INSERT INTO ledger SELECT g, string_agg(md5(random()::text), '') FROM generate_series(1, 2) g, generate_series(1, $1::int) i
		GROUP BY g RETURNING pg_current_xact_id()::text`, 1+size/32).Scan(&xid)
	if err != nil {
		return err
	}
	number, err := strconv.ParseUint(xid, 10, 64)
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.acked = append(l.acked, wal.TransactionID(number))
	return nil
}

func (l *ledger) end() {
	l.stop()
	l.done.Wait()
}

func (l *ledger) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.acked)
}

// missing lists acknowledged transactions that are not among the commits.
func (l *ledger) missing(commits map[wal.TransactionID]bool) []wal.TransactionID {
	l.mu.Lock()
	defer l.mu.Unlock()
	var missing []wal.TransactionID
	for _, xid := range l.acked {
		if !commits[xid] {
			missing = append(missing, xid)
		}
	}
	return missing
}

func (s *scene) exec(sql string) {
	s.t.Helper()
	s.cluster.Load().Exec(s.t.Context(), sql)
}

// fill writes about so many bytes of WAL.
func (s *scene) fill(bytes int) {
	s.t.Helper()
	s.exec("CREATE TABLE IF NOT EXISTS filler (content text)")
	for range bytes / 100000 {
		s.exec("INSERT INTO filler SELECT string_agg(md5(random()::text), '') FROM generate_series(1, 60) g, generate_series(1, 50) i GROUP BY g")
	}
}

// standby makes a standby of the scene's server, which is stopped and started again for that. It streams: only then does the
// primary send it everything before it shuts down.
func (s *scene) standby() *pgtest.Cluster {
	s.t.Helper()
	primary := s.cluster.Load()
	primary.Stop()
	data := filepath.Join(pgtest.TempDir(s.t), "data")
	run(s.t, pgtest.Command(s.t.Context(), primary.Install, "/bin/cp", "-a", primary.DataDir, data))
	primary.Launch()
	run(s.t, pgtest.Command(s.t.Context(), primary.Install, "/usr/bin/touch", filepath.Join(data, "standby.signal")))
	standby, err := pgtest.StartDir(s.t, primary.Install, data, pgtest.Options{Settings: map[string]string{
		"wal_keep_size": "2GB", "max_wal_size": "1GB",
		"primary_conninfo": primary.DSN("postgres"), "recovery_target_timeline": "latest",
	}})
	if err != nil {
		s.t.Fatal(err)
	}
	eventually(s.t, "the standby streams", func() bool {
		return primary.Value(s.t.Context(), "SELECT count(*) FROM pg_stat_replication WHERE application_name <> 'lifeboat' AND state = 'streaming'") == "1"
	})
	return standby
}

func run(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", cmd, err, out)
	}
}

func promote(t *testing.T, standby *pgtest.Cluster) {
	t.Helper()
	if standby.Value(t.Context(), "SELECT pg_promote(true, 180)") != "t" {
		t.Fatal("the standby was not promoted")
	}
}

// spoolFiles lists a spool's segments, whole or not.
func spoolFiles(t *testing.T, dir string, suffix string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, entry := range entries {
		if strings.HasSuffix(entry.Name(), suffix) {
			names = append(names, entry.Name())
		}
	}
	return names
}

func refusal(t *testing.T, err error, words string) {
	t.Helper()
	var refused *RefusedError
	if !errors.As(err, &refused) || !strings.Contains(err.Error(), words) {
		t.Errorf("the error is %v, want a refusal that says %q", err, words)
	}
}
