package restore_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"lifeboat/archive"
	"lifeboat/internal/objectstore"
	"lifeboat/internal/pgtest"
	"lifeboat/restore"
	"lifeboat/restore/server"
	"lifeboat/storage/catalog"
)

// The programs that this test binary is when PostgreSQL, or a test, runs it with one of these as its first argument.
const (
	runPush    = "run-push"    // place, path
	runFetch   = "run-fetch"   // place, name, destination
	runRestore = "run-restore" // place, directory
)

const clusterName = "main"

// patience bounds what soon happens on a quiet machine. A busy one has a dozen processes for each processor, and a recovery starts
// one for each segment.
const patience = 5 * time.Minute

func TestMain(m *testing.M) {
	if len(os.Args) < 2 {
		os.Exit(m.Run())
	}
	programs := map[string]func(ctx context.Context, args []string) int{
		runPush: pushProgram, runFetch: fetchProgram, runRestore: restoreProgram,
	}
	program, ok := programs[os.Args[1]]
	if !ok {
		os.Exit(m.Run())
	}
	os.Exit(program(context.Background(), os.Args[2:]))
}

func complain(err error, code int) int {
	fmt.Fprintln(os.Stderr, err)
	return code
}

func pushProgram(ctx context.Context, args []string) int {
	cluster, err := openWriter(ctx, args[0])
	if err != nil {
		return complain(err, 1)
	}
	if _, err := archive.Push(ctx, cluster, args[1], archive.PushOptions{Clock: time.Now}); err != nil {
		return complain(err, 1)
	}
	return 0
}

func fetchProgram(ctx context.Context, args []string) int {
	_, cluster, err := openCluster(ctx, args[0])
	if err != nil {
		return complain(err, 254)
	}
	outcome, err := restore.Fetch(ctx, cluster, args[1], args[2], restore.FetchOptions{
		Timeout: patience, Logger: slog.New(slog.DiscardHandler),
	})
	switch outcome {
	case restore.Found:
		return 0
	case restore.Absent:
		return complain(err, 1)
	}
	return complain(err, 254)
}

// restoreProgram restores the newest backup in steps, so that it can be killed at each: it tells of a step, and then reads a byte
// before it goes on.
func restoreProgram(ctx context.Context, args []string) int {
	_, cluster, err := openCluster(ctx, args[0])
	if err != nil {
		return complain(err, 1)
	}
	plan, err := restore.MakePlan(ctx, cluster, restore.Target{Kind: restore.KindLatest},
		restore.PlanOptions{Directory: args[1], FetchCommand: "false", Now: time.Now()})
	if err != nil {
		return complain(err, 1)
	}
	options := execOptions()
	options.Workers = 1
	options.Progress = func(p restore.RestoreProgress) {
		fmt.Printf("%s %d\n", p.Phase, p.Files)
		if _, err := os.Stdin.Read(make([]byte, 1)); err != nil {
			fmt.Fprintln(os.Stderr, "wait for the next step:", err)
		}
	}
	if _, err := restore.Execute(ctx, cluster, plan, options); err != nil {
		return complain(err, 1)
	}
	return 0
}

// openCluster opens the cluster in the repository at the place that a file describes, with all its keys.
func openCluster(ctx context.Context, file string) (*catalog.Repository, *catalog.Cluster, error) {
	place, err := objectstore.Reopen(ctx, file)
	if err != nil {
		return nil, nil, err
	}
	repository, err := place.Open(ctx)
	if err != nil {
		return nil, nil, err
	}
	cluster, err := repository.Cluster(ctx, clusterName)
	return repository, cluster, err
}

// openWriter is openCluster without what opens sealed objects.
func openWriter(ctx context.Context, file string) (*catalog.Cluster, error) {
	place, err := objectstore.Reopen(ctx, file)
	if err != nil {
		return nil, err
	}
	repository, err := place.OpenWith(ctx, place.WriterKeys())
	if err != nil {
		return nil, err
	}
	return repository.Cluster(ctx, clusterName)
}

func execOptions() restore.ExecOptions {
	o := restore.ExecOptions{Workers: 3, Logger: slog.New(slog.DiscardHandler), Config: []byte("repository: here\n")}
	if user := pgtest.UnprivilegedUser(); user != nil {
		o.Owner = &restore.Owner{UID: int(user.Uid), GID: int(user.Gid)}
	}
	return o
}

// scene is a server that archives into a repository.
type scene struct {
	*pgtest.Cluster
	t          testing.TB
	place      *objectstore.Place
	program    string // this test binary, where PostgreSQL's user can run it
	repository *catalog.Repository
	cluster    *catalog.Cluster
}

func newScene(t testing.TB, install pgtest.Install, options pgtest.Options) *scene {
	t.Helper()
	return newSceneAt(t, objectstore.NewPlace(t), install, options)
}

// newSceneAt is newScene with a repository at a place of one's own.
func newSceneAt(t testing.TB, place *objectstore.Place, install pgtest.Install, options pgtest.Options) *scene {
	t.Helper()
	s := &scene{t: t, place: place, program: pgtest.Program(t)}
	s.repository = place.Create(t, time.Now())
	options.ArchiveCommand = fmt.Sprintf("%s %s %s %%p", s.program, runPush, place.File)
	s.Cluster = pgtest.Start(t, install, options)
	s.cluster = objectstore.Register(t, s.repository, clusterName, s.Cluster)
	return s
}

func (s *scene) backup(ctx context.Context) catalog.Record {
	s.t.Helper()
	record, err := archive.Backup(ctx, archive.BackupOptions{
		Cluster:        s.cluster,
		Connect:        func(ctx context.Context) (*pgx.Conn, error) { return s.Connect(ctx, "postgres") },
		Workers:        2,
		FastCheckpoint: true,
		WALTimeout:     patience,
		Logger:         slog.New(slog.DiscardHandler),
		Clock:          time.Now,
	})
	if err != nil {
		s.t.Fatalf("backup: %v", err)
	}
	return record
}

// archiveAll has all WAL of the server archived.
func (s *scene) archiveAll(ctx context.Context, c *pgtest.Cluster) {
	s.t.Helper()
	segment := c.Value(ctx, "SELECT pg_walfile_name(pg_switch_wal())")
	s.awaitSegment(ctx, segment)
}

func (s *scene) planOptions(t testing.TB) restore.PlanOptions {
	return restore.PlanOptions{
		Directory:    filepath.Join(pgtest.TempDir(t), "data"),
		Action:       restore.ActionPause,
		FetchCommand: fmt.Sprintf("%s %s %s %%f %%p", s.program, runFetch, s.place.File),
		Now:          time.Now(),
	}
}

// restore makes and carries out a plan that must work.
func (s *scene) restore(t testing.TB, target restore.Target, o restore.PlanOptions) restore.Plan {
	t.Helper()
	plan, err := restore.MakePlan(t.Context(), s.cluster, target, o)
	if err != nil {
		t.Fatalf("plan to recover to %s: %v", target, err)
	}
	options := execOptions()
	options.Volatile = true
	if _, err := restore.Execute(t.Context(), s.cluster, plan, options); err != nil {
		t.Fatalf("restore to %s: %v", target, err)
	}
	return plan
}

// run starts a server on a restored directory, which stops when the test ends.
func (s *scene) run(t testing.TB, plan restore.Plan) *server.Server {
	t.Helper()
	dir := pgtest.TempDir(t)
	running, err := server.Start(t.Context(), server.Options{
		BinDir: s.Install.BinDir, DataDir: plan.Directory, SocketDir: dir, User: "postgres",
		Settings:   [][2]string{{"fsync", "off"}, {"dynamic_shared_memory_type", "mmap"}}, // which a killed server leaves in its directory
		LogFile:    filepath.Join(dir, "log"),
		Credential: pgtest.UnprivilegedUser(), Pdeathsig: syscall.SIGQUIT,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := running.Stop(ctx, server.Immediate); err != nil {
			t.Error(err, running.Kill())
		}
		if t.Failed() {
			log, err := running.Log()
			t.Logf("%v the restored server's log:\n%s", err, log)
		}
	})
	return running
}

// recover starts the server and waits for the proof of the plan's target.
func (s *scene) recover(t testing.TB, plan restore.Plan) (*server.Server, server.Proof) {
	t.Helper()
	running := s.run(t, plan)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	proof, err := running.AwaitTarget(ctx)
	if err != nil {
		t.Fatalf("recover: %v", err)
	}
	if err := plan.CheckReached(restore.Reached{StopReason: proof.StopReason, LSN: proof.ReachedLSN}); err != nil {
		t.Fatalf("%v; proof %+v", err, proof)
	}
	return running, proof
}

// value is the first column of the first row of a query in a restored server.
func value(t testing.TB, running *server.Server, sql string) string {
	t.Helper()
	conn, err := running.Connect(t.Context(), "postgres", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	var text string
	if err := conn.QueryRow(t.Context(), sql).Scan(&text); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	return text
}

// makeOwned makes a directory that belongs to PostgreSQL's user.
func makeOwned(t testing.TB, dir string) {
	t.Helper()
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	pgtest.GiveAway(t, dir)
}
