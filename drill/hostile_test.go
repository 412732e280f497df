package drill_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"lifeboat/drill"
	"lifeboat/internal/pgtest"
)

// hostileConfiguration is configuration that a drill must not run: every touch leaves a trace in the directory, and
// neither library nor parameter exist, so that whoever loads them ends.
func hostileConfiguration(traces string) string {
	lines := []string{"listen_addresses = '*'", "port = 54399", "ssl = on", "max_connections = 1", "logging_collector = on",
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
		s := newScene(t, install, nil)
		traces := pgtest.TempDir(t)
		s.server.Exec(t.Context(), "CREATE TABLE ledger AS SELECT generate_series(1, 100) AS id")
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
		listens := "?"
		o.Progress = func(phase string, _, _ int64) {
			if strings.HasPrefix(phase, drill.PhaseVerify+" ") && listens == "?" {
				listens = listenAddress(t, o.WorkDirectory)
			}
		}
		r := s.drill(t, o)
		if r.Verdict != drill.Pass || r.Rows.Comparison != "exact" {
			tell(t, r)
			t.Errorf("verdict %s, comparison %s", r.Verdict, r.Rows.Comparison)
		}
		if listens != "" {
			t.Errorf("the scratch server listens on %q", listens)
		}
		if found, err := os.ReadDir(traces); err != nil || len(found) > 0 {
			t.Errorf("the scratch server has left %v, %v", found, err)
		}
	})
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
	}
	if s.install.Major >= 17 {
		hostile = append(hostile,
			"CREATE FUNCTION refuse() RETURNS event_trigger LANGUAGE plpgsql AS $$BEGIN RAISE EXCEPTION 'no'; END$$",
			"CREATE EVENT TRIGGER refuse ON login EXECUTE FUNCTION refuse()", "ALTER EVENT TRIGGER refuse ENABLE ALWAYS")
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
