package drill_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"lifeboat/archive"
	"lifeboat/drill"
	"lifeboat/internal/pgtest"
	"lifeboat/internal/wal"
	"lifeboat/restore"
	"lifeboat/storage/catalog"
	"lifeboat/storage/file"
	"lifeboat/verify/census"
)

// The programs that this test binary is when PostgreSQL, or a test, runs it with one of these as its first argument.
const (
	runPush  = "run-push"  // repository, path
	runFetch = "run-fetch" // repository, name, destination
	runDrill = "run-drill" // repository, work directory, bin directory, this program where PostgreSQL's user can run it
)

const clusterName = "main"

func TestMain(m *testing.M) {
	if len(os.Args) < 2 {
		os.Exit(m.Run())
	}
	programs := map[string]func(ctx context.Context, args []string) int{
		runPush: pushProgram, runFetch: fetchProgram, runDrill: drillProgram,
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
	_, cluster, err := openRepository(ctx, args[0])
	if err != nil {
		return complain(err, 1)
	}
	if _, err := archive.Push(ctx, cluster, args[1], archive.PushOptions{Clock: time.Now}); err != nil {
		return complain(err, 1)
	}
	return 0
}

func fetchProgram(ctx context.Context, args []string) int {
	repository, cluster, err := openRepository(ctx, args[0])
	if err != nil {
		return complain(err, 254)
	}
	outcome, err := restore.Fetch(ctx, cluster, args[1], args[2], restore.FetchOptions{
		Repository: repository, Timeout: time.Minute, Logger: slog.New(slog.DiscardHandler),
	})
	switch outcome {
	case restore.Found:
		return 0
	case restore.Absent:
		return complain(err, 1)
	}
	return complain(err, 254)
}

// drillProgram drills to the end of the WAL and prints each phase as it begins. It exits 0 where the drill passed.
func drillProgram(ctx context.Context, args []string) int {
	repository, cluster, err := openRepository(ctx, args[0])
	if err != nil {
		return complain(err, 2)
	}
	o := drillOptions(repository, cluster, args[0], args[3])
	o.WorkDirectory, o.PostgresBin = args[1], args[2]
	last := ""
	o.Progress = func(phase string, _, _ int64) {
		if phase != last {
			fmt.Println(phase)
			last = phase
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

func openRepository(ctx context.Context, root string) (*catalog.Repository, *catalog.Cluster, error) {
	bucket, err := file.Open(root, file.Options{})
	if err != nil {
		return nil, nil, err
	}
	repository, err := catalog.Open(ctx, bucket)
	if err != nil {
		return nil, nil, err
	}
	cluster, err := repository.Cluster(ctx, clusterName)
	return repository, cluster, err
}

// drillOptions are those of a drill to the end of the WAL, with targets that a sound repository keeps.
func drillOptions(repository *catalog.Repository, cluster *catalog.Cluster, root, program string) drill.Options {
	o := drill.Options{
		Repository: repository, Cluster: cluster, Name: "nightly", Target: restore.Target{Kind: restore.KindLatest},
		FetchCommand: fmt.Sprintf("%s %s %s %%f %%p", program, runFetch, root), HookConfig: []byte("repository: here\n"),
		Targets: drill.Targets{
			RowsPercent: 1, RestorePerTerabyte: 10000 * time.Hour, RPO: time.Hour, WarnAtPercent: 70, MaxBackupAge: 24 * time.Hour,
		},
		Log: slog.New(slog.DiscardHandler), Now: time.Now, ToolVersion: "test",
	}
	if user := pgtest.UnprivilegedUser(); user != nil {
		o.Owner = &restore.Owner{UID: int(user.Uid), GID: int(user.Gid)}
	}
	return o
}

// store is a repository and what drills it.
type store struct {
	t          testing.TB
	root       string
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
	s := &scene{store: store{t: t, root: filepath.Join(pgtest.TempDir(t), "repository"), program: programCopy(t), install: install}}
	s.createRepository()
	s.server = pgtest.Start(t, install, pgtest.Options{
		DataChecksums: true, WALSegmentMB: 4, Settings: settings,
		ArchiveCommand: fmt.Sprintf("%s %s %s %%p", s.program, runPush, s.root),
	})
	s.register()
	return s
}

func (s *scene) createRepository() {
	s.t.Helper()
	if err := os.Mkdir(s.root, 0o700); err != nil {
		s.t.Fatal(err)
	}
	giveAway(s.t, s.root)
	bucket, err := file.Open(s.root, file.Options{})
	if err != nil {
		s.t.Fatal(err)
	}
	if s.repository, err = catalog.Create(s.t.Context(), bucket, time.Now()); err != nil {
		s.t.Fatal(err)
	}
}

func (s *scene) register() {
	s.t.Helper()
	ctx := s.t.Context()
	id, err := strconv.ParseUint(s.server.Value(ctx, "SELECT system_identifier FROM pg_control_system()"), 10, 64)
	if err != nil {
		s.t.Fatal(err)
	}
	size, err := strconv.ParseInt(s.server.Value(ctx, "SELECT bytes_per_wal_segment FROM pg_control_init()"), 10, 64)
	if err != nil {
		s.t.Fatal(err)
	}
	identity := catalog.Identity{SystemIdentifier: id, WALSegmentSize: wal.SegmentSize(size)}
	if s.cluster, err = s.repository.Register(ctx, clusterName, identity, time.Now()); err != nil {
		s.t.Fatal(err)
	}
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
		WALTimeout:     time.Minute,
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
	deadline := time.Now().Add(time.Minute)
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
	o := drillOptions(s.repository, s.cluster, s.root, s.program)
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
	c := &store{t: t, root: filepath.Join(pgtest.TempDir(t), "repository"), program: s.program, install: s.install}
	if out, err := exec.Command("cp", "-a", s.root, c.root).CombinedOutput(); err != nil {
		t.Fatalf("copy the repository: %v: %s", err, out)
	}
	c.open()
	return c
}

func (s *store) open() {
	s.t.Helper()
	var err error
	if s.repository, s.cluster, err = openRepository(s.t.Context(), s.root); err != nil {
		s.t.Fatal(err)
	}
}

// objects lists the files of the repository whose path below the cluster matches.
func (s *store) objects(pattern string) []string {
	s.t.Helper()
	found, err := filepath.Glob(filepath.Join(s.root, "clusters", clusterName, "[0-9]*", pattern))
	if err != nil || len(found) == 0 {
		s.t.Fatalf("objects %s: %v, %v", pattern, found, err)
	}
	return found
}

// programCopy is a copy of this test binary that PostgreSQL's user can run.
func programCopy(t testing.TB) string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(self)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(pgtest.TempDir(t), "program")
	if err := os.WriteFile(path, content, 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

func giveAway(t testing.TB, dir string) {
	t.Helper()
	user := pgtest.UnprivilegedUser()
	if user == nil {
		return
	}
	err := filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Lchown(path, int(user.Uid), int(user.Gid))
	})
	if err != nil {
		t.Fatal(err)
	}
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
