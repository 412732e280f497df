package drill_test

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"lifeboat/drill"
	"lifeboat/internal/pgtest"
)

// hostileConfiguration is configuration that a drill must not run: every touch leaves a trace in the directory, and
// neither library nor parameter exist, so that whoever loads them ends.
func hostileConfiguration(traces string) string {
	lines := []string{"data_directory = '" + traces + "'", "hba_file = '" + traces + "/hba'", "ident_file = '" + traces + "/ident'",
		"include_dir = '" + traces + "'", "include_if_exists = '" + traces + "/more'", "unix_socket_directories = '" + traces + "'",
		"dynamic_library_path = '" + traces + "'", "jit_provider = 'no_such_library'", "archive_library = 'no_such_library'",
		"ssl_passphrase_command = 'touch " + traces + "/ssl'", "ssl_passphrase_command_supports_reload = on",
		"primary_conninfo = 'host=127.0.0.1 port=54399'", "primary_slot_name = 'slot'", "archive_mode = always",
		"zero_damaged_pages = on", "ignore_checksum_failure = on", "listen_addresses = '*'", "port = 54399", "ssl = on", "max_connections = 1", "logging_collector = on",
		"log_directory = '" + traces + "'", "external_pid_file = '" + traces + "/pid'", "recovery_target_action = promote",
		"recovery_target_name = 'nowhere'", "default_transaction_read_only = off", "no_such_parameter = 1"}
	for _, command := range []string{"archive_command", "archive_cleanup_command", "recovery_end_command", "restore_command"} {
		lines = append(lines, fmt.Sprintf("%s = 'touch %s/%s'", command, traces, command))
	}
	for _, list := range []string{"shared_preload_libraries", "session_preload_libraries", "local_preload_libraries"} {
		lines = append(lines, list+" = 'no_such_library'")
	}
	return strings.Join(lines, "\n") + "\n"
}

// TestHostileBackupHarmsNobody drills a backup whose configuration, roles and databases are all against it.
func TestHostileBackupHarmsNobody(t *testing.T) {
	t.Parallel()
	pgtest.Each(t, func(t *testing.T, install pgtest.Install) {
		s := newScene(t, install, map[string]string{"wal_level": "logical", "max_logical_replication_workers": "0"})
		traces := pgtest.TempDir(t)
		called := listen(t)
		s.plant(traces, called.port)
		if err := os.WriteFile(filepath.Join(s.server.DataDir, "standby.signal"), nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(traces, filepath.Join(s.server.DataDir, "base", "1", "99999")); err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"postgresql.conf", "postgresql.auto.conf"} {
			appendTo(t, filepath.Join(s.server.DataDir, name), hostileConfiguration(traces))
		}
		if err := os.WriteFile(filepath.Join(s.server.DataDir, "pg_hba.conf"), []byte("local all all reject\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		s.backup()
		s.census()
		s.turnHostile()
		o := s.options(t)
		o.Examination.Amcheck = drill.AmcheckAvailable
		listens, locked := "?", false
		o.Progress = func(phase string, _, _ int64) {
			if phase == drill.PhaseReplay && !locked {
				locked = true
				s.lockWithOwn(t, o.WorkDirectory)
			}
			if strings.HasPrefix(phase, drill.PhaseVerify+" ") && listens == "?" {
				listens = listenAddress(t, o.WorkDirectory)
			}
		}
		r := s.drill(t, o)
		if r.Verdict != drill.Pass || r.Rows.Comparison != "exact" || !hasRow(r, "public.ledger", 100) || !hasRow(r, "public.guarded", 10) {
			tell(t, r)
			t.Errorf("verdict %s, comparison %s", r.Verdict, r.Rows.Comparison)
		}
		if n := called.count.Load(); n > 0 {
			t.Errorf("the scratch server has called %d times", n)
		}
		if listens != "" {
			t.Errorf("the scratch server listens on %q", listens)
		}
		if found, err := os.ReadDir(traces); err != nil || len(found) > 0 {
			t.Errorf("the scratch server has left %v, %v", found, err)
		}
	})
}

// lockWithOwn puts production's postmaster.pid into the restored directory: a process that lives, of the same user, and its
// shared memory.
func (s *scene) lockWithOwn(t *testing.T, work string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(s.server.DataDir, "postmaster.pid"))
	if err != nil {
		t.Fatal(err)
	}
	dirs, err := filepath.Glob(filepath.Join(work, "*", "data"))
	if err != nil || len(dirs) != 1 {
		t.Errorf("scratch directories %v: %v", dirs, err)
		return
	}
	path := filepath.Join(dirs[0], "postmaster.pid")
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Error(err)
	}
	pgtest.GiveAway(t, path)
}

func appendTo(t *testing.T, path, text string) {
	t.Helper()
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := file.WriteString(text); err != nil {
		t.Fatal(err)
	}
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
}

// plant makes tables whose every use by a careless reader would run a program, and a subscription to a server that counts who
// calls.
func (s *scene) plant(traces string, port int) {
	s.t.Helper()
	program := "COPY (SELECT 1) TO PROGRAM 'touch " + traces + "/program'"
	for _, sql := range []string{
		"CREATE TABLE ledger AS SELECT generate_series(1, 100) AS id",
		"CREATE TABLE guarded (id int, twice int GENERATED ALWAYS AS (id * 2) STORED)",
		"INSERT INTO guarded SELECT generate_series(1, 10)", "ANALYZE",
		"CREATE FUNCTION run(n int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS $$BEGIN " + program + "; RETURN n; END$$",
		"CREATE FUNCTION run() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN " + program + "; RETURN NULL; END$$",
		"CREATE FUNCTION text(ledger) RETURNS text LANGUAGE sql AS $$SELECT public.run(1)::text$$",
		"CREATE CAST (ledger AS text) WITH FUNCTION text(ledger) AS IMPLICIT",
		"CREATE FUNCTION hashtextextended(text, bigint) RETURNS bigint LANGUAGE sql AS $$SELECT public.run(1)::bigint$$",
		"CREATE FUNCTION same(int, int) RETURNS bool LANGUAGE sql AS $$SELECT public.run(1) > 0$$",
		"CREATE OPERATOR = (LEFTARG = int, RIGHTARG = int, FUNCTION = same)",
		"CREATE VIEW looks AS SELECT public.run(id) FROM ledger",
		"CREATE TABLE indexed AS SELECT 1 AS id WHERE false", "CREATE INDEX ON indexed (run(id))",
		"CREATE POLICY shown ON guarded USING (public.run(id) > 0)", "ALTER TABLE guarded ENABLE ROW LEVEL SECURITY", "ALTER TABLE guarded FORCE ROW LEVEL SECURITY",
		"CREATE RULE looking AS ON UPDATE TO ledger DO ALSO SELECT public.run(1)",
		"CREATE TRIGGER writing AFTER INSERT ON ledger EXECUTE FUNCTION run()",
		fmt.Sprintf("CREATE SUBSCRIPTION calls CONNECTION 'host=127.0.0.1 port=%d dbname=x' PUBLICATION p WITH (connect = false)", port),
		"ALTER SUBSCRIPTION calls ENABLE",
	} {
		s.server.Exec(s.t.Context(), sql)
	}
}

// caller counts who calls a port of this machine.
type caller struct {
	port  int
	count atomic.Int32
}

func listen(t *testing.T) *caller {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	_, port, _ := strings.Cut(listener.Addr().String(), ":")
	c := &caller{}
	c.port, _ = strconv.Atoi(port)
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			c.count.Add(1)
			_ = conn.Close()
		}
	}()
	return c
}

// turnHostile makes roles and databases such that no ordinary session can be had any more, and archives that.
func (s *scene) turnHostile() {
	s.t.Helper()
	ctx := s.t.Context()
	conn := s.server.Conn(ctx)
	hostile := []string{
		"ALTER ROLE postgres SET session_preload_libraries = 'no_such_library'",
		"ALTER DATABASE postgres SET local_preload_libraries = 'no_such_library'",
		"ALTER ROLE postgres SET statement_timeout = 1",
		"ALTER ROLE postgres SET search_path = 'nowhere'",
		"ALTER DATABASE template1 SET default_transaction_read_only = off",
		"CREATE ROLE nobody", "ALTER ROLE postgres SET role = 'nobody'", "ALTER DATABASE postgres SET row_security = on",
		"ALTER ROLE postgres SET default_transaction_isolation = 'serializable'", "ALTER ROLE postgres SET lock_timeout = 1",
		"ALTER ROLE postgres SET zero_damaged_pages = on", "ALTER ROLE postgres SET ignore_checksum_failure = on",
		"ALTER ROLE postgres SET idle_in_transaction_session_timeout = 1", "ALTER ROLE postgres SET exit_on_error = on",
		"ALTER ROLE postgres SET session_replication_role = replica", "ALTER ROLE postgres SET client_min_messages = 'error'",
		"ALTER DATABASE postgres SET dynamic_library_path = '/tmp'",
	}
	if s.install.Major >= 17 {
		hostile = append(hostile,
			"CREATE FUNCTION refuse() RETURNS event_trigger LANGUAGE plpgsql AS $$BEGIN RAISE EXCEPTION 'no'; END$$",
			"CREATE EVENT TRIGGER refuse ON login EXECUTE FUNCTION refuse()", "ALTER EVENT TRIGGER refuse ENABLE ALWAYS",
			"ALTER ROLE postgres SET event_triggers = on", "ALTER ROLE postgres SET transaction_timeout = 1000")
	}
	for _, sql := range hostile {
		if _, err := conn.Exec(ctx, sql); err != nil {
			s.t.Fatalf("%s: %v", sql, err)
		}
	}
	var segment string
	if err := conn.QueryRow(ctx, "SELECT pg_walfile_name(pg_switch_wal())").Scan(&segment); err != nil {
		s.t.Fatal(err)
	}
	s.awaitSegment(segment)
	if other, err := s.server.Connect(ctx, "postgres"); err == nil {
		_ = other.Close(ctx)
		s.t.Error("an ordinary session can be had: the test shows nothing")
	}
}

// listenAddress is what the scratch server's postmaster.pid says that it listens on.
func listenAddress(t *testing.T, work string) string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(work, "*", "data", "postmaster.pid"))
	if err != nil || len(files) != 1 {
		t.Errorf("scratch servers %v: %v", files, err)
		return "?"
	}
	text, err := os.ReadFile(files[0])
	lines := strings.Split(string(text), "\n")
	if err != nil || len(lines) < 6 {
		t.Errorf("%q: %v", text, err)
		return "?"
	}
	return lines[5]
}
