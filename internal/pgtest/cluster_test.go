package pgtest_test

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"lifeboat/internal/pgtest"
)

func TestClusterTakesConnections(t *testing.T) {
	t.Parallel()
	pgtest.Each(t, func(t *testing.T, install pgtest.Install) {
		c := pgtest.Start(t, install, pgtest.Options{})
		if got := c.Value(t.Context(), "SHOW server_version_num"); !strings.HasPrefix(got, install.String()[len("postgres"):]) {
			t.Errorf("server_version_num = %s for %s", got, install)
		}
		for name, want := range map[string]string{
			"listen_addresses": "", "fsync": "off", "data_checksums": "off", "wal_segment_size": "16MB", "archive_mode": "off",
		} {
			if got := c.Value(t.Context(), "SHOW "+name); got != want {
				t.Errorf("%s = %q, want %q", name, got, want)
			}
		}
	})
}

func TestOptionsReachTheServer(t *testing.T) {
	t.Parallel()
	pgtest.Each(t, func(t *testing.T, install pgtest.Install) {
		c := pgtest.Start(t, install, pgtest.Options{
			DataChecksums: true, WALSegmentMB: 1, Fsync: true, ArchiveCommand: "test -f '%p'",
			Settings: map[string]string{"application_name": "it's"},
		})
		for name, want := range map[string]string{
			"data_checksums": "on", "wal_segment_size": "1MB", "fsync": "on", "archive_mode": "on",
			"archive_command": "test -f '%p'", "application_name": "it's",
		} {
			if got := c.Value(t.Context(), "SHOW "+name); got != want {
				t.Errorf("%s = %q, want %q", name, got, want)
			}
		}
	})
}

func TestCommittedRowsSurviveStopAndKill(t *testing.T) {
	t.Parallel()
	pgtest.Each(t, func(t *testing.T, install pgtest.Install) {
		c := pgtest.Start(t, install, pgtest.Options{})
		c.Exec(t.Context(), "CREATE TABLE kept (n int)")
		for name, interrupt := range map[string]func(){"restart": c.Restart, "kill": func() { c.Kill(); c.Launch() }} {
			before := c.Value(t.Context(), "SELECT pg_postmaster_start_time()")
			c.Exec(t.Context(), "INSERT INTO kept VALUES (1)")
			interrupt()
			if after := c.Value(t.Context(), "SELECT pg_postmaster_start_time()"); after == before {
				t.Errorf("%s: the server that started at %s still runs", name, before)
			}
		}
		if got := c.Value(t.Context(), "SELECT count(*) FROM kept"); got != "2" {
			t.Errorf("count = %s, want 2", got)
		}
	})
}

func TestKillLeavesNoProcess(t *testing.T) {
	t.Parallel()
	c := pgtest.Start(t, pgtest.Newest(t), pgtest.Options{})
	busy := c.Conn(t.Context())
	failed := make(chan error)
	go func() {
		// A backend that waits notices that its postmaster is gone; one that computes does not.
		_, err := busy.Exec(t.Context(), "SELECT count(*) FROM generate_series(1, 100000) a, generate_series(1, 100000) b")
		failed <- err
	}()
	for c.Value(t.Context(), "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '% b' AND state = 'active'") != "1" {
		time.Sleep(10 * time.Millisecond)
	}
	c.Kill()
	if err := <-failed; err == nil {
		t.Error("a query outlives the server")
	}
	if found := processesNaming(t, c.DataDir); len(found) > 0 {
		t.Errorf("still running: %v", found)
	}
}

func TestOnlyOwnIdentityDiffers(t *testing.T) {
	t.Parallel()
	install := pgtest.Newest(t)
	identity := func(options pgtest.Options) string {
		return pgtest.Start(t, install, options).Value(t.Context(), "SELECT system_identifier FROM pg_control_system()")
	}
	template, copied := identity(pgtest.Options{}), identity(pgtest.Options{})
	if template != copied {
		t.Errorf("copies of one template have the identifiers %s and %s", template, copied)
	}
	if own := identity(pgtest.Options{OwnIdentity: true}); own == template {
		t.Errorf("the identifier %s is not the cluster's own", own)
	}
}

func TestStartDirReportsWhyAServerEnded(t *testing.T) {
	t.Parallel()
	install := pgtest.Newest(t)
	c := pgtest.Start(t, install, pgtest.Options{})
	c.Stop()
	if err := os.Remove(filepath.Join(c.DataDir, "global/pg_control")); err != nil {
		t.Fatal(err)
	}
	if _, err := pgtest.StartDir(t, install, c.DataDir, pgtest.Options{}); err == nil || !strings.Contains(err.Error(), "pg_control") {
		t.Errorf("err = %v, want one that quotes the log", err)
	}
}

func TestStartDirTakesSettingsWithoutWritingThem(t *testing.T) {
	t.Parallel()
	install := pgtest.Newest(t)
	made := pgtest.Start(t, install, pgtest.Options{Settings: map[string]string{"work_mem": "1MB"}})
	made.Stop()
	before := modified(t, filepath.Join(made.DataDir, "postgresql.conf"))
	c, err := pgtest.StartDir(t, install, made.DataDir, pgtest.Options{Settings: map[string]string{"work_mem": "2MB"}})
	if err != nil {
		t.Fatal(err)
	}
	if got := c.Value(t.Context(), "SHOW work_mem"); got != "2MB" {
		t.Errorf("work_mem = %s", got)
	}
	if after := modified(t, filepath.Join(made.DataDir, "postgresql.conf")); !after.Equal(before) {
		t.Errorf("postgresql.conf was written at %v", after)
	}
}

func TestPgbenchLoadsEveryVersion(t *testing.T) {
	t.Parallel()
	pgtest.Each(t, func(t *testing.T, install pgtest.Install) {
		c := pgtest.Start(t, install, pgtest.Options{})
		c.Pgbench(t.Context(), 1, 2, 1)
		if got := c.Value(t.Context(), "SELECT count(*) FROM pgbench_accounts"); got != "100000" {
			t.Errorf("count = %s", got)
		}
		if got := c.Value(t.Context(), "SELECT count(*) FROM pgbench_history"); got == "0" {
			t.Error("pgbench ran no transaction")
		}
	})
}

func TestTempDirBelongsToPostgreSQLsUser(t *testing.T) {
	t.Parallel()
	dir := pgtest.TempDir(t)
	install := pgtest.Newest(t)
	cmd := pgtest.Command(t.Context(), install, "/bin/sh", "-c", "touch "+dir+"/written && id -u")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if strings.TrimSpace(string(out)) == "0" {
		t.Error("the command runs as root")
	}
	info, err := os.Stat(filepath.Join(dir, "written"))
	if err != nil {
		t.Fatal(err)
	}
	if user := pgtest.UnprivilegedUser(); user != nil && info.Sys().(*syscall.Stat_t).Uid != user.Uid {
		t.Errorf("the file belongs to %d, want %d", info.Sys().(*syscall.Stat_t).Uid, user.Uid)
	}
}

func modified(t *testing.T, path string) time.Time {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info.ModTime()
}

// processesNaming lists the processes whose command line or working directory has the text.
func processesNaming(t *testing.T, text string) []string {
	t.Helper()
	paths, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, path := range paths {
		line, _ := os.ReadFile(filepath.Join(path, "cmdline"))
		cwd, _ := os.Readlink(filepath.Join(path, "cwd"))
		if strings.Contains(string(line), text) || strings.HasPrefix(cwd, text) {
			found = append(found, path+" "+string(line))
		}
	}
	return found
}

// TestTempDirIsRemovedUnderAWriter has somebody make files in it while it is being removed, as a hook does that outlives its
// server for a moment.
func TestTempDirIsRemovedUnderAWriter(t *testing.T) {
	t.Parallel()
	var dir string
	written := make(chan struct{})
	t.Run("with a writer", func(t *testing.T) {
		dir = pgtest.TempDir(t)
		began := make(chan struct{})
		go func() {
			defer close(written)
			for number := range 20000 {
				if os.WriteFile(filepath.Join(dir, strconv.Itoa(number)), nil, 0o600) != nil {
					return // the directory is gone
				}
				if number == 0 {
					close(began)
				}
			}
		}()
		<-began
	})
	if _, err := os.Stat(dir); !os.IsNotExist(err) {
		t.Errorf("the directory is left: %v", err)
	}
	<-written
}
