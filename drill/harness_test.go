package drill_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"lifeboat/archive"
	"lifeboat/drill"
	"lifeboat/drill/sandbox"
	"lifeboat/internal/hookwire"
	"lifeboat/internal/objectstore"
	"lifeboat/internal/pgtest"
	"lifeboat/internal/wal"
	"lifeboat/restore"
	"lifeboat/storage/catalog"
	"lifeboat/verify/census"
)

// The programs that this test binary is when PostgreSQL, or a test, runs it with one of these as its first argument.
const (
	runPush  = "run-push"  // place, path
	runFetch = "run-fetch" // place, name, destination
	runHand  = "receive"   // socket, name, destination
	runDrill = "run-drill" // place, work directory, bin directory, this program where PostgreSQL's user can run it, phase to hold, databases to dump
)

const clusterName = "main"

func TestMain(m *testing.M) {
	sandbox.Enter()
	if len(os.Args) < 2 {
		os.Exit(m.Run())
	}
	programs := map[string]func(ctx context.Context, args []string) int{
		runPush: pushProgram, runFetch: fetchProgram, runHand: receiveProgram, runDrill: drillProgram,
	}
	program, ok := programs[os.Args[1]]
	if !ok {
		os.Exit(m.Run())
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(program(ctx, os.Args[2:]))
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
	_, cluster, err := openRepository(ctx, args[0])
	if err != nil {
		return complain(err, 254)
	}
	outcome, err := restore.Fetch(ctx, cluster, args[1], args[2], restore.FetchOptions{
		Timeout: time.Minute, Logger: slog.New(slog.DiscardHandler),
	})
	switch outcome {
	case restore.Found:
		return 0
	case restore.Absent:
		return complain(err, 1)
	}
	return complain(err, 254)
}

// receiveProgram is what a sandboxed server runs.
func receiveProgram(_ context.Context, args []string) int {
	answer, err := hookwire.Receive(args[0], args[1], args[2])
	switch {
	case err == nil && answer.Outcome == hookwire.Done:
		return 0
	case err == nil && answer.Outcome == hookwire.Absent:
		return 1
	}
	return complain(fmt.Errorf("%s %w", answer.Detail, err), 254)
}

// drillProgram drills to the end of the WAL and prints each phase as it begins. It stays in the phase to hold until it is asked to
// end, or killed. It exits 0 where the drill passed.
func drillProgram(ctx context.Context, args []string) int {
	repository, cluster, err := openRepository(ctx, args[0])
	if err != nil {
		return complain(err, 2)
	}
	o := drillOptions(repository, cluster, args[0], args[3])
	o.WorkDirectory, o.PostgresBin = args[1], args[2]
	hold := args[4]
	o.Dump.Databases = args[5:]
	last := ""
	o.Progress = func(phase string, _, _ int64) {
		if phase != last {
			fmt.Println(phase)
			last = phase
		}
		if phase == hold {
			<-ctx.Done()
		}
	}
	r, err := drill.Run(ctx, o)
	if err != nil {
		return complain(err, 2)
	}
	if err := json.NewEncoder(os.Stdout).Encode(r); err != nil {
		return complain(err, 2)
	}
	if r.Verdict != drill.Pass {
		return 1
	}
	return 0
}

// openRepository opens the repository at the place that a file describes, with all its keys.
func openRepository(ctx context.Context, file string) (*catalog.Repository, *catalog.Cluster, error) {
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

// openWriter opens the cluster without what opens sealed objects.
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

// drillOptions are those of a drill to the end of the WAL, with targets that a sound repository keeps.
func drillOptions(repository *catalog.Repository, cluster *catalog.Cluster, place, program string) drill.Options {
	o := drill.Options{
		Repository: repository, Cluster: cluster, Name: "nightly", Target: restore.Target{Kind: restore.KindLatest},
		FetchCommand: fmt.Sprintf("%s %s %s %%f %%p", program, runFetch, place), HookConfig: []byte("repository: here\n"),
		Targets: drill.Targets{
			RowsPercent: 1, RestorePerTerabyte: 10000 * time.Hour, RPO: time.Hour, WarnAtPercent: 70, MaxBackupAge: 24 * time.Hour,
		},
		Receiver: program, Log: slog.New(slog.DiscardHandler), Now: time.Now, ToolVersion: "test",
		Examination: drill.Examination{Amcheck: drill.AmcheckOff}, // tests that are about it turn it on
	}
	if user := pgtest.UnprivilegedUser(); user != nil {
		o.Owner = &restore.Owner{UID: int(user.Uid), GID: int(user.Gid)}
	}
	return o
}

// store is a repository and what drills it.
type store struct {
	t          testing.TB
	place      *objectstore.Place
	program    string // this test binary, where PostgreSQL's user can run it
	install    pgtest.Install
	repository *catalog.Repository
	cluster    *catalog.Cluster
}

// scene is a server that archives into a repository.
type scene struct {
	store
	server *pgtest.Cluster
}

// newScene starts a server with WAL segments that are small, but not so small that the hooks take all the time.
func newScene(t testing.TB, install pgtest.Install, settings map[string]string) *scene {
	t.Helper()
	return newSceneAt(t, objectstore.NewPlace(t), install, settings)
}

// newSceneAt is newScene with a repository at a place of one's own.
func newSceneAt(t testing.TB, place *objectstore.Place, install pgtest.Install, settings map[string]string) *scene {
	t.Helper()
	s := &scene{store: store{t: t, place: place, program: pgtest.Program(t), install: install}}
	s.repository = place.Create(t, time.Now())
	s.server = pgtest.Start(t, install, pgtest.Options{
		DataChecksums: true, WALSegmentMB: 4, Settings: settings,
		ArchiveCommand: fmt.Sprintf("%s %s %s %%p", s.program, runPush, place.File),
	})
	s.cluster = objectstore.Register(t, s.repository, clusterName, s.server)
	return s
}

func (s *scene) connect(ctx context.Context, database string) (*pgx.Conn, error) {
	if database == "" {
		database = "postgres"
	}
	return s.server.Connect(ctx, database)
}

func (s *scene) backup() catalog.Record {
	s.t.Helper()
	record, err := archive.Backup(s.t.Context(), archive.BackupOptions{
		Cluster:        s.cluster,
		Connect:        func(ctx context.Context) (*pgx.Conn, error) { return s.connect(ctx, "") },
		Workers:        2,
		FastCheckpoint: true,
		WALTimeout:     3 * time.Minute,
		Logger:         slog.New(slog.DiscardHandler),
		Clock:          time.Now,
	})
	if err != nil {
		s.t.Fatalf("backup: %v", err)
	}
	return record
}

// census takes a census and stores it.
func (s *scene) census() *census.Census {
	s.t.Helper()
	c, err := census.Take(s.t.Context(), census.Options{
		Connect: s.connect, Identity: s.cluster.Identity(), ID: catalog.NewID(time.Now()),
		WALDirectory: filepath.Join(s.server.DataDir, "pg_wal"), Logger: slog.New(slog.DiscardHandler), Clock: time.Now,
	})
	if err != nil {
		s.t.Fatalf("census: %v", err)
	}
	s.putCensus(c)
	return c
}

func (s *store) putCensus(c *census.Census) {
	s.t.Helper()
	body, err := json.Marshal(c)
	if err != nil {
		s.t.Fatal(err)
	}
	if err := s.cluster.PutCensus(s.t.Context(), c.ID, body); err != nil {
		s.t.Fatal(err)
	}
}

// archiveAll has all WAL of the server archived.
func (s *scene) archiveAll() {
	s.t.Helper()
	s.awaitSegment(s.server.Value(s.t.Context(), "SELECT pg_walfile_name(pg_switch_wal())"))
}

// awaitSegment waits until a segment is archived.
func (s *scene) awaitSegment(segment string) {
	s.t.Helper()
	name, err := wal.ParseFileName(segment)
	if err != nil {
		s.t.Fatal(err)
	}
	deadline := time.Now().Add(3 * time.Minute) // the archiver tries again after one
	for {
		if _, err := s.cluster.WALHeader(s.t.Context(), name); err == nil {
			return
		}
		if time.Now().After(deadline) {
			s.t.Fatalf("segment %s is not archived", name)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// options are those of a drill to the end of the WAL.
func (s *store) options(t testing.TB) drill.Options {
	o := drillOptions(s.repository, s.cluster, s.place.File, s.program)
	o.WorkDirectory, o.PostgresBin = filepath.Join(pgtest.TempDir(t), "work"), s.install.BinDir
	return o
}

// drill runs a drill, which must have a result, and leave nothing but that.
func (s *store) drill(t testing.TB, o drill.Options) *drill.Result {
	t.Helper()
	r, err := drill.Run(t.Context(), o)
	if err != nil {
		t.Fatalf("drill: %v", err)
	}
	s.wantKept(t, r)
	wantNoLeavings(t, o.WorkDirectory)
	if sockets := filepath.Join(os.TempDir(), "lifeboat-"+r.ID); exists(sockets) {
		t.Errorf("left behind: %s", sockets)
	}
	return r
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

// wantKept wants the result, and a report, in the repository.
func (s *store) wantKept(t testing.TB, r *drill.Result) {
	t.Helper()
	kept, err := drill.Load(context.WithoutCancel(t.Context()), s.cluster, r.ID)
	if err != nil {
		t.Errorf("evidence: %v", err)
		return
	}
	if kept.Verdict != r.Verdict {
		t.Errorf("the evidence says %s, the result %s", kept.Verdict, r.Verdict)
	}
}

// copy is another repository with the same content, to be harmed.
func (s *scene) copy(t testing.TB) *store {
	t.Helper()
	c := &store{t: t, place: s.place.Copy(t), program: s.program, install: s.install}
	c.open()
	return c
}

func (s *store) open() {
	s.t.Helper()
	var err error
	if s.repository, s.cluster, err = openRepository(s.t.Context(), s.place.File); err != nil {
		s.t.Fatal(err)
	}
}

// objects lists the keys of the objects below the cluster that match.
func (s *store) objects(pattern string) []string {
	s.t.Helper()
	found := s.place.Objects(s.t, "clusters/"+clusterName+"/[0-9]*/"+pattern)
	if len(found) == 0 {
		s.t.Fatalf("no objects %s", pattern)
	}
	return found
}

// check is the named check of a result.
func check(t testing.TB, r *drill.Result, name string) drill.Check {
	t.Helper()
	for _, c := range r.Checks {
		if c.Name == name {
			return c
		}
	}
	t.Fatalf("no check %q", name)
	return drill.Check{}
}

// target is the named target of a result; its Result is empty where there is none.
func target(r *drill.Result, name string) drill.Measured {
	for _, m := range r.Targets {
		if m.Name == name {
			return m
		}
	}
	return drill.Measured{}
}

// tell logs a result when the test has failed.
func tell(t testing.TB, r *drill.Result) {
	t.Helper()
	text, err := json.MarshalIndent(r, "", " ")
	t.Logf("%s %v", text, err)
}

// segmentName is the name of the segment that a backup starts in.
func segmentName(r catalog.Record) string {
	return wal.SegmentName(r.Timeline, wal.SegmentOf(r.StartLSN, r.WALSegmentSize), r.WALSegmentSize)
}
