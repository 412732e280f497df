package archive_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"lifeboat/archive"
	"lifeboat/internal/objectstore"
	"lifeboat/internal/pgtest"
	"lifeboat/internal/wal"
	"lifeboat/storage/catalog"
)

// load runs pgbench, whose first transactions have ended on return, until the returned function is called, which waits for the
// end of its sessions: until then a commit may still come.
func load(ctx context.Context, t *testing.T, s *scene) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(ctx)
	cmd := pgtest.Command(ctx, pgtest.Debian(t), "pgbench", "-n", "-c", "2", "-T", "600",
		"-h", s.SocketDir, "-U", "postgres", "postgres")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	answer := func(query string) func() string { return func() string { return s.Value(t.Context(), query) } }
	until(t, "pgbench runs", "t", answer("SELECT count(*) > 0 FROM pgbench_history"))
	return func() {
		cancel()
		_ = cmd.Wait() // it was told to end
		until(t, "pgbench's sessions end", "0", answer("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'pgbench'"))
	}
}

// until waits until a query says what it must.
func until(t testing.TB, what, want string, query func() string) {
	t.Helper()
	for deadline := time.Now().Add(patience); query() != want; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("never: %s", what)
		}
	}
}

// archived waits until all WAL of this moment is in the repository.
func (s *scene) archived(ctx context.Context) {
	s.t.Helper()
	s.Exec(ctx, "SELECT pg_create_restore_point('archived')") // so that there is something to switch from
	name := s.Value(ctx, "SELECT pg_walfile_name(pg_switch_wal())")
	until(s.t, "segment "+name+" is archived", "0", func() string {
		return s.Value(ctx, "SELECT count(*) FROM pg_ls_archive_statusdir() WHERE name LIKE '%.ready' AND name <= $1 || '.ready'", name)
	})
}

func TestBackupUnderLoadIsRestoredWhole(t *testing.T) {
	t.Parallel()
	objectstore.Each(t, func(t *testing.T, install pgtest.Install, place *objectstore.Place) {
		ctx := t.Context()
		s := newSceneAt(t, place, install, pgtest.Options{DataChecksums: true})
		s.Pgbench(ctx, 5, 0, 0)
		stop := load(ctx, t, s)
		record := s.backup(ctx)
		time.Sleep(200 * time.Millisecond)
		stop()
		s.archived(ctx)
		const sums = `SELECT (SELECT sum(abalance) FROM pgbench_accounts), (SELECT sum(tbalance) FROM pgbench_tellers),
			(SELECT sum(bbalance) FROM pgbench_branches), (SELECT sum(delta) FROM pgbench_history),
			(SELECT count(*) FROM pgbench_history)`
		want := s.Query(ctx, sums)[0]

		dir := s.restore(ctx, record)
		s.verify(ctx, dir)
		s.verifyManifest(dir)
		restored := s.recover(ctx, dir)
		got := restored.Query(ctx, sums)[0]
		if !slices.Equal(got, want) || got[0] != got[1] || got[1] != got[2] || got[2] != got[3] {
			t.Errorf("the restored server has %v, the original %v", got, want)
		}
		s.checkRecord(ctx, record)
	})
}

// checkRecord compares a record with what the server says.
func (s *scene) checkRecord(ctx context.Context, record catalog.Record) {
	s.t.Helper()
	version := strconv.Itoa(record.PostgresVersion)
	if want := s.Value(ctx, "SHOW server_version_num"); version != want {
		s.t.Errorf("version is %s, want %s", version, want)
	}
	if record.Settings["max_connections"] != s.Value(ctx, "SHOW max_connections") || record.Superuser != "postgres" {
		s.t.Errorf("settings are %v, superuser %q", record.Settings, record.Superuser)
	}
	if len(record.DamagedPages) != 0 || !record.DataChecksums || record.GeneratedConfig {
		s.t.Errorf("damaged pages %v, checksums %v, generated config %v",
			record.DamagedPages, record.DataChecksums, record.GeneratedConfig)
	}
	if record.StopLSN <= record.StartLSN || record.CheckpointLSN < record.StartLSN || record.StopTime.Before(record.StartTime) {
		s.t.Errorf("positions and times are out of order: %+v", record)
	}
	stored, err := s.cluster.Record(ctx, record.Label)
	if err != nil || stored.StopLSN != record.StopLSN {
		s.t.Errorf("stored record: %+v, %v", stored, err)
	}
}

func TestBackupTakesTablespaces(t *testing.T) {
	t.Parallel()
	pgtest.Each(t, func(t *testing.T, install pgtest.Install) {
		ctx := t.Context()
		s := newScene(t, install, pgtest.Options{})
		location := filepath.Join(pgtest.TempDir(t), `odd name\`)
		if err := os.Mkdir(location, 0o700); err != nil {
			t.Fatal(err)
		}
		foreign := filepath.Join(location, "PG_9.6_201608131")
		if err := os.Mkdir(foreign, 0o700); err != nil {
			t.Fatal(err)
		}
		pgtest.GiveAway(t, location)
		s.Exec(ctx, "CREATE TABLESPACE beside LOCATION '"+location+"'")
		s.Exec(ctx, "CREATE TABLE there TABLESPACE beside AS SELECT generate_series(1, 10000) AS n")
		record := s.backup(ctx)
		if len(record.Tablespaces) != 1 || record.Tablespaces[0].Name != "beside" || record.Tablespaces[0].Location != location {
			t.Errorf("tablespaces are %+v", record.Tablespaces)
		}
		if strings.Contains(strings.Join(s.paths(ctx, record), "\n"), "PG_9.6") {
			t.Error("another version's directory was taken")
		}
		dir := s.restore(ctx, record)
		s.verify(ctx, dir)
		s.verifyManifest(dir)
		if got := s.recover(ctx, dir).Value(ctx, "SELECT sum(n) FROM there"); got != "50005000" {
			t.Errorf("sum is %s", got)
		}
	})
}

// paths are the paths of all of a backup's entries.
func (s *scene) paths(ctx context.Context, record catalog.Record) []string {
	s.t.Helper()
	index, err := s.cluster.OpenIndex(ctx, record)
	if err != nil {
		s.t.Fatal(err)
	}
	var paths []string
	for entry, err := range index.Files(ctx) {
		if err != nil {
			s.t.Fatal(err)
		}
		paths = append(paths, entry.Path)
	}
	return paths
}

func TestBackupLeavesOutWhatRecoveryMakesAnew(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	s := newScene(t, pgtest.Newest(t), pgtest.Options{})
	s.Exec(ctx, "CREATE UNLOGGED TABLE unlogged AS SELECT generate_series(1, 1000) AS n")
	s.Exec(ctx, "CREATE TABLE logged AS SELECT generate_series(1, 1000) AS n")
	session := s.Conn(ctx) // keeps its temporary table
	if _, err := session.Exec(ctx, "CREATE TEMPORARY TABLE temporary AS SELECT generate_series(1, 1000) AS n"); err != nil {
		t.Fatal(err)
	}
	var temporary string
	if err := session.QueryRow(ctx, "SELECT pg_relation_filepath('temporary')").Scan(&temporary); err != nil {
		t.Fatal(err)
	}
	unlogged := s.Value(ctx, "SELECT pg_relation_filepath('unlogged')")
	logged := s.Value(ctx, "SELECT pg_relation_filepath('logged')")
	for _, name := range []string{"backup_label.old", "pg_wal/garbage", "base/pgsql_tmp/x", "pg_replslot/s/state"} {
		path := filepath.Join(s.DataDir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	paths := s.paths(ctx, s.backup(ctx))
	for _, path := range []string{
		unlogged, temporary, "postmaster.pid", "postmaster.opts", "pg_wal/garbage", "base/pgsql_tmp/x", "pg_replslot/s",
		"pg_replslot/s/state", "backup_label.old", "tablespace_map",
	} {
		if slices.Contains(paths, path) {
			t.Errorf("%s was taken", path)
		}
	}
	for _, path := range []string{
		unlogged + "_init", logged, "pg_wal", "pg_wal/archive_status", "pg_replslot", "pg_notify", "pg_tblspc",
		"global/pg_control", "backup_label", "backup_manifest", "PG_VERSION", "postgresql.auto.conf",
	} {
		if !slices.Contains(paths, path) {
			t.Errorf("%s is missing", path)
		}
	}
}

func TestBackupNamesDamagedPages(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	settings := map[string]string{"autovacuum": "off"} // which may write the pages anew, and mend them
	s := newScene(t, pgtest.Debian(t), pgtest.Options{DataChecksums: true, Settings: settings})
	s.Exec(ctx, "CREATE TABLE victim AS SELECT generate_series(1, 100000) AS n")
	s.Exec(ctx, "CHECKPOINT")
	path := s.Value(ctx, "SELECT pg_relation_filepath('victim')")
	flipByte(t, filepath.Join(s.DataDir, path), 3*8192+5000)
	flipByte(t, filepath.Join(s.DataDir, path), 200*8192+5000)
	record := s.backup(ctx)
	want := []catalog.DamagedPage{{Path: path, Block: 3}, {Path: path, Block: 200}}
	if !slices.Equal(record.DamagedPages, want) {
		t.Errorf("damaged pages are %v, want %v", record.DamagedPages, want)
	}
}

func flipByte(t *testing.T, path string, at int64) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var b [1]byte
	if _, err := f.ReadAt(b[:], at); err != nil {
		t.Fatal(err)
	}
	b[0] ^= 1
	if _, err := f.WriteAt(b[:], at); err != nil {
		t.Fatal(err)
	}
}

// Without backup_label, a restored directory must not start as after a crash, from whatever checkpoint pg_control names,
// not even with all the WAL in place.
func TestBackupWithoutItsLabelDoesNotStart(t *testing.T) {
	t.Parallel()
	pgtest.Each(t, func(t *testing.T, install pgtest.Install) {
		ctx := t.Context()
		s := newScene(t, install, pgtest.Options{})
		record := s.backup(ctx)
		s.controlIsLast(ctx, record)
		dir := s.restore(ctx, record)
		if err := os.Remove(filepath.Join(dir, "backup_label")); err != nil {
			t.Fatal(err)
		}
		s.Kill()
		if err := os.RemoveAll(filepath.Join(dir, "pg_wal")); err != nil {
			t.Fatal(err)
		}
		if err := os.CopyFS(filepath.Join(dir, "pg_wal"), os.DirFS(filepath.Join(s.DataDir, "pg_wal"))); err != nil {
			t.Fatal(err)
		}
		pgtest.GiveAway(t, dir)
		if _, err := pgtest.StartDir(t, install, dir, pgtest.Options{}); err == nil {
			t.Error("it started")
		}
	})
}

// controlIsLast fails the test unless pg_control lies in a pack behind all others.
func (s *scene) controlIsLast(ctx context.Context, record catalog.Record) {
	s.t.Helper()
	index, err := s.cluster.OpenIndex(ctx, record)
	if err != nil {
		s.t.Fatal(err)
	}
	last := map[bool]uint32{} // greatest ordinal of a pack, by whether it holds pg_control
	for entry, err := range index.Files(ctx) {
		if err != nil {
			s.t.Fatal(err)
		}
		isControl := entry.Path == "global/pg_control"
		for _, frame := range entry.Frames {
			last[isControl] = max(last[isControl], frame.Pack)
		}
	}
	if last[true] <= last[false] {
		s.t.Errorf("pg_control lies in pack %d, other files up to pack %d", last[true], last[false])
	}
}

func TestBackupOfAnIdleServerWithSmallSegments(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	s := newScene(t, pgtest.Newest(t), pgtest.Options{WALSegmentMB: 1, OwnIdentity: true})
	for range 2 { // the second one finds nothing written since the first
		record := s.backup(ctx)
		if record.WALSegmentSize != 1<<20 {
			t.Errorf("segment size is %d", record.WALSegmentSize)
		}
		s.hasWAL(ctx, record)
	}
	dir := s.restore(ctx, s.backup(ctx))
	s.verifyManifest(dir)
	s.recover(ctx, dir)
}

// hasWAL fails the test where a segment that the record needs is not in the repository.
func (s *scene) hasWAL(ctx context.Context, record catalog.Record) {
	s.t.Helper()
	last := wal.LastSegmentOf(record.StopLSN, record.WALSegmentSize)
	for segno := wal.SegmentOf(record.StartLSN, record.WALSegmentSize); segno <= last; segno++ {
		name := wal.SegmentFile(record.Timeline, segno, record.WALSegmentSize)
		if _, err := s.cluster.WALHeader(ctx, name); err != nil {
			s.t.Errorf("segment %s: %v", name, err)
		}
	}
}

func TestBackupGeneratesConfigurationThatTheDirectoryLacks(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	s := newScene(t, pgtest.Debian(t), pgtest.Options{Settings: map[string]string{"max_connections": "77"}})
	for _, name := range []string{"postgresql.conf", "pg_hba.conf", "pg_ident.conf"} {
		if err := os.Remove(filepath.Join(s.DataDir, name)); err != nil {
			t.Fatal(err)
		}
	}
	record := s.backup(ctx)
	if !record.GeneratedConfig {
		t.Error("the record does not say that the configuration was generated")
	}
	dir := s.restore(ctx, record)
	s.verify(ctx, dir)
	out, err := pgtest.Command(ctx, s.Install, "postgres", "-D", dir, "-C", "max_connections").Output()
	if err != nil || strings.TrimSpace(string(out)) != "77" {
		t.Errorf("max_connections is %q, %v", out, err)
	}
	trusting := filepath.Join(pgtest.TempDir(t), "pg_hba.conf") // the generated one lets in by user
	if err := os.WriteFile(trusting, []byte("local all all trust\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	s.recover(ctx, dir, "hba_file", trusting)
}

func TestBackupWithoutSuperuser(t *testing.T) {
	t.Parallel()
	pgtest.Each(t, func(t *testing.T, install pgtest.Install) {
		ctx := t.Context()
		s := newScene(t, install, pgtest.Options{})
		s.Exec(ctx, `CREATE ROLE "odd ""role" LOGIN`)
		options := s.options()
		options.Connect = s.connectAs(`odd "role`)
		_, err := archive.Backup(ctx, options)
		for _, grant := range strings.Split(hint(t, err), "\n")[1:] {
			s.Exec(ctx, grant)
		}
		if _, err := archive.Backup(ctx, options); err != nil {
			t.Errorf("with the grants of the hint: %v", err)
		}
	})
}

func TestGrantsAreAllAccepted(t *testing.T) {
	t.Parallel()
	pgtest.Each(t, func(t *testing.T, install pgtest.Install) {
		c := pgtest.Start(t, install, pgtest.Options{})
		c.Exec(t.Context(), "CREATE ROLE lifeboat")
		for _, grant := range archive.Grants(install.Major, "lifeboat") {
			c.Exec(t.Context(), grant)
		}
	})
}

func TestBackupRefusesAServerThatDoesNotArchive(t *testing.T) {
	t.Parallel()
	s := newScene(t, pgtest.Newest(t), pgtest.Options{Settings: map[string]string{"archive_mode": "off"}})
	_, err := archive.Backup(t.Context(), s.options())
	if h := hint(t, err); !strings.Contains(h, "archive_command = ") || !strings.Contains(h, "archive_mode = on") {
		t.Errorf("hint is %q", h)
	}
	s.noBackups(t.Context())
}

func TestBackupRefusesAnotherDataDirectory(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	s := newScene(t, pgtest.Debian(t), pgtest.Options{})
	twin := pgtest.Start(t, pgtest.Debian(t), pgtest.Options{})                   // of the same system identifier
	other := pgtest.Start(t, pgtest.Debian(t), pgtest.Options{OwnIdentity: true}) // and one of another
	for dir, why := range map[string]string{
		twin.DataDir: "the backup's checkpoint", other.DataDir: "its system identifier",
	} {
		options := s.options()
		options.DataDirectory = dir
		_, err := archive.Backup(ctx, options)
		if h := hint(t, err); !strings.Contains(h, s.DataDir) || !strings.Contains(err.Error(), why) {
			t.Errorf("%v, hint %q", err, h)
		}
	}
	options := s.options()
	options.DataDirectory = t.TempDir()
	if _, err := archive.Backup(ctx, options); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("empty directory: %v", err)
	}
	s.noBackups(ctx)
}

func TestBackupRefusesAForeignServer(t *testing.T) {
	t.Parallel()
	s := newScene(t, pgtest.Debian(t), pgtest.Options{})
	other := pgtest.Start(t, pgtest.Debian(t), pgtest.Options{OwnIdentity: true, ArchiveCommand: "false"})
	options := s.options()
	options.Connect = (&scene{Cluster: other}).options().Connect
	_, err := archive.Backup(t.Context(), options)
	var foreign *catalog.ForeignError
	if !errors.As(err, &foreign) {
		t.Errorf("%v, want a ForeignError", err)
	}
}

func TestBackupRefusesAStandby(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	s := newScene(t, pgtest.Debian(t), pgtest.Options{})
	dir := s.restore(ctx, s.backup(ctx))
	if err := os.WriteFile(filepath.Join(dir, "standby.signal"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	pgtest.GiveAway(t, dir)
	standby, err := pgtest.StartDir(t, s.Install, dir, pgtest.Options{Settings: map[string]string{
		"restore_command": s.fetchCommand(), "hot_standby": "on",
	}})
	if err != nil {
		t.Fatal(err)
	}
	options := s.options()
	options.Connect = (&scene{Cluster: standby}).options().Connect
	_, err = archive.Backup(ctx, options)
	if h := hint(t, err); !strings.Contains(h, "primary") {
		t.Errorf("hint is %q", h)
	}
}
