package archive_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"lifeboat/archive"
	"lifeboat/internal/objectstore"
	"lifeboat/internal/pgtest"
	"lifeboat/internal/wal"
	"lifeboat/storage/catalog"
)

// The programs that this test binary is when PostgreSQL, or a test, runs it with one of these as its first argument.
const (
	runPush   = "run-push"   // place, path
	runFetch  = "run-fetch"  // place, name, destination
	runBackup = "run-backup" // place, connection string
)

const clusterName = "main"

// patience is with what must happen, on a machine with much else to do.
const patience = 5 * time.Minute

func TestMain(m *testing.M) {
	if len(os.Args) < 2 {
		os.Exit(m.Run())
	}
	programs := map[string]func(ctx context.Context, args []string) error{
		runPush: pushProgram, runFetch: fetchProgram, runBackup: backupProgram,
	}
	program, ok := programs[os.Args[1]]
	if !ok {
		os.Exit(m.Run())
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	if err := program(ctx, os.Args[2:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func pushProgram(ctx context.Context, args []string) error {
	cluster, err := openCluster(ctx, args[0], false)
	if err != nil {
		return err
	}
	_, err = archive.Push(ctx, cluster, args[1], archive.PushOptions{Clock: time.Now})
	return err
}

func fetchProgram(ctx context.Context, args []string) error {
	cluster, err := openCluster(ctx, args[0], true)
	if err != nil {
		return err
	}
	name, err := wal.ParseFileName(args[1])
	if err != nil {
		return err
	}
	dst, err := os.Create(args[2])
	if err != nil {
		return err
	}
	if _, err := cluster.GetWAL(ctx, name, dst); err != nil {
		_ = os.Remove(args[2])
		return err
	}
	return dst.Close()
}

// backupProgram prints a line for every step of progress.
func backupProgram(ctx context.Context, args []string) error {
	cluster, err := openCluster(ctx, args[0], false)
	if err != nil {
		return err
	}
	options := backupOptions(cluster, func(ctx context.Context) (*pgx.Conn, error) { return pgx.Connect(ctx, args[1]) })
	options.Progress = func(p archive.BackupProgress) { fmt.Println(p.Phase) }
	_, err = archive.Backup(ctx, options)
	return err
}

// openCluster opens the cluster in the repository at the place that a file describes. Only what reads has the identity of a
// sealed one.
func openCluster(ctx context.Context, file string, reads bool) (*catalog.Cluster, error) {
	place, err := objectstore.Reopen(ctx, file)
	if err != nil {
		return nil, err
	}
	keys := place.WriterKeys()
	if reads {
		keys = place.Keys
	}
	repository, err := place.OpenWith(ctx, keys)
	if err != nil {
		return nil, err
	}
	return repository.Cluster(ctx, clusterName)
}

func backupOptions(cluster *catalog.Cluster, connect func(context.Context) (*pgx.Conn, error)) archive.BackupOptions {
	return archive.BackupOptions{
		Cluster:        cluster,
		Connect:        connect,
		Host:           "test",
		Tool:           "test",
		Workers:        3,
		FastCheckpoint: true,
		WALTimeout:     patience,
		Logger:         slog.New(slog.DiscardHandler),
		Clock:          time.Now,
	}
}

// scene is a server that archives into a repository by this package's Push.
type scene struct {
	*pgtest.Cluster
	t          testing.TB
	place      *objectstore.Place
	hooks      string // this program, where PostgreSQL's user can run it
	repository *catalog.Repository
	cluster    *catalog.Cluster
}

// newScene starts a server and registers it.
func newScene(t testing.TB, install pgtest.Install, options pgtest.Options) *scene {
	t.Helper()
	return newSceneAt(t, objectstore.NewPlace(t), install, options)
}

// newSceneAt is newScene with a repository at a place of one's own.
func newSceneAt(t testing.TB, place *objectstore.Place, install pgtest.Install, options pgtest.Options) *scene {
	t.Helper()
	s := &scene{t: t, place: place, hooks: pgtest.Program(t)}
	s.repository = place.Create(t, time.Now())
	s.start(install, options)
	return s
}

// start starts the server and registers it.
func (s *scene) start(install pgtest.Install, options pgtest.Options) {
	s.t.Helper()
	if options.ArchiveCommand == "" {
		options.ArchiveCommand = s.pushCommand()
	}
	s.Cluster = pgtest.Start(s.t, install, options)
	s.cluster = objectstore.Register(s.t, s.repository, clusterName, s.Cluster)
}

func (s *scene) pushCommand() string {
	return fmt.Sprintf("%s %s %s %%p", s.hooks, runPush, s.place.File)
}

func (s *scene) fetchCommand() string {
	return fmt.Sprintf("%s %s %s %%f %%p", s.hooks, runFetch, s.place.File)
}

// connectAs opens sessions of a role that may log in.
func (s *scene) connectAs(role string) func(context.Context) (*pgx.Conn, error) {
	return func(ctx context.Context) (*pgx.Conn, error) {
		config, err := pgx.ParseConfig(s.DSN("postgres"))
		if err != nil {
			return nil, err
		}
		config.User = role
		return pgx.ConnectConfig(ctx, config)
	}
}

// options back the server up as its superuser.
func (s *scene) options() archive.BackupOptions {
	return backupOptions(s.cluster, func(ctx context.Context) (*pgx.Conn, error) { return s.Connect(ctx, "postgres") })
}

// backup takes a backup that must succeed.
func (s *scene) backup(ctx context.Context) catalog.Record {
	s.t.Helper()
	record, err := archive.Backup(ctx, s.options())
	if err != nil {
		s.t.Fatalf("backup: %v", err)
	}
	return record
}

// noBackups fails the test where the repository shows a backup or leavings of one.
func (s *scene) noBackups(ctx context.Context) {
	s.t.Helper()
	inventory, err := s.cluster.Inventory(ctx)
	if err != nil {
		s.t.Fatal(err)
	}
	if len(inventory.Backups) != 0 || len(inventory.Unfinished) != 0 {
		s.t.Errorf("the repository has backups %v and leavings %v", inventory.Backups, inventory.Unfinished)
	}
}

// restore writes a backup's files into a new directory of PostgreSQL's user, tablespaces beside it, ready to recover.
func (s *scene) restore(ctx context.Context, record catalog.Record) string {
	s.t.Helper()
	dir := filepath.Join(pgtest.TempDir(s.t), "data")
	index, err := s.cluster.OpenIndex(ctx, record)
	if err != nil {
		s.t.Fatal(err)
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		s.t.Fatal(err)
	}
	for entry, err := range index.Files(ctx) {
		if err == nil {
			err = restoreEntry(ctx, index, entry, dir)
		}
		if err != nil {
			s.t.Fatal(err)
		}
	}
	s.linkTablespaces(record, dir)
	pgtest.GiveAway(s.t, filepath.Dir(dir))
	return dir
}

func restoreEntry(ctx context.Context, index *catalog.Index, entry catalog.FileEntry, dir string) error {
	path := filepath.Join(dir, entry.Path)
	if entry.Directory {
		return os.MkdirAll(path, 0o700)
	}
	content := make([]byte, entry.Size)
	if _, err := index.ReadAt(ctx, entry.Path, content, 0); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	return os.WriteFile(path, content, 0o600)
}

// linkTablespaces moves the tablespaces' files out of the directory and puts links in their places.
func (s *scene) linkTablespaces(record catalog.Record, dir string) {
	s.t.Helper()
	for _, tablespace := range record.Tablespaces {
		oid := strconv.FormatUint(uint64(tablespace.OID), 10)
		link, place := filepath.Join(dir, "pg_tblspc", oid), filepath.Join(filepath.Dir(dir), "tablespace-"+oid)
		if err := os.Rename(link, place); err != nil {
			s.t.Fatal(err)
		}
		if err := os.Symlink(place, link); err != nil {
			s.t.Fatal(err)
		}
	}
}

// recover starts a restored directory, which recovers to the end of the archive, and waits until it takes writes.
// Further settings are names and values in turn.
func (s *scene) recover(ctx context.Context, dir string, further ...string) *pgtest.Cluster {
	s.t.Helper()
	if err := os.WriteFile(filepath.Join(dir, "recovery.signal"), nil, 0o600); err != nil {
		s.t.Fatal(err)
	}
	pgtest.GiveAway(s.t, dir)
	settings := map[string]string{"restore_command": s.fetchCommand(), "archive_mode": "off"}
	for i := 0; i < len(further); i += 2 {
		settings[further[i]] = further[i+1]
	}
	restored, err := pgtest.StartDir(s.t, s.Install, dir, pgtest.Options{Settings: settings})
	if err != nil {
		s.t.Fatalf("start the restored server: %v", err)
	}
	until(s.t, "the restored server ends its recovery", "f", func() string { return restored.Value(ctx, "SELECT pg_is_in_recovery()") })
	return restored
}

// verify lets pg_verifybackup compare a restored directory with its manifest.
func (s *scene) verify(ctx context.Context, dir string) {
	s.t.Helper()
	if !s.Install.HasTool("pg_verifybackup") {
		return // the manifest is compared with the files by verifyManifest, for every version
	}
	out, err := pgtest.Command(ctx, s.Install, "pg_verifybackup", "--no-parse-wal", dir).CombinedOutput()
	if err != nil {
		s.t.Errorf("pg_verifybackup: %v: %s", err, out)
	}
}

// hint is the hint of an operator's error, which err must be.
func hint(t *testing.T, err error) string {
	t.Helper()
	var operator *archive.OperatorError
	if !errors.As(err, &operator) {
		t.Fatalf("%v is not an OperatorError", err)
	}
	return operator.Hint
}
