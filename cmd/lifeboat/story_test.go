package main

import (
	"context"
	"encoding/xml"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"lifeboat/internal/pgtest"
)

func TestABackupIsTakenRestoredAndDrilled(t *testing.T) {
	t.Parallel()
	pgtest.Each(t, func(t *testing.T, install pgtest.Install) {
		in := newInstallation(t, install)
		ctx := t.Context()
		in.server.Exec(ctx, "CREATE TABLE kept AS SELECT generate_series(1, 10000) AS n")
		backup := document(t, in.must("backup", "--output", "json"))
		has(t, "backup", backup, "label", "type", "start_time", "stop_time", "start_lsn", "stop_lsn", "timeline", "cluster_bytes", "stored_bytes")

		in.server.Exec(ctx, "INSERT INTO kept SELECT generate_series(10001, 20000)")
		census := document(t, in.must("census", "--output", "json"))
		if census["comparison"] != "exact" || census["reachable"] != true {
			t.Errorf("census: %v", census)
		}
		moment := in.server.Value(ctx, "SELECT clock_timestamp()::text")
		in.server.Exec(ctx, "DROP TABLE kept")
		in.switchWAL()

		in.checkListing(t)
		in.checkPlan(t, moment)
		in.checkRecovered(t, moment)
		in.checkDrill(t)
		if out := in.must("verify"); !strings.Contains(out, "ok") {
			t.Errorf("verify says %s", out)
		}
		in.checkFindings(t)
	})
}

func (in *installation) checkListing(t *testing.T) {
	list := has(t, "list", document(t, in.must("list", "--output", "json")), "cluster", "system_identifier", "backups", "wal", "gaps", "windows")
	for field, keys := range map[string][]string{
		"backups": {"label", "type", "start_time", "stop_time", "start_lsn", "stop_lsn", "timeline", "cluster_bytes", "stored_bytes"},
		"wal":     {"timeline", "from_lsn", "to_lsn"},
		"windows": {"timeline", "from_time", "to_time", "from_lsn", "to_lsn"},
	} {
		entries, ok := list[field].([]any)
		if !ok || len(entries) != 1 {
			t.Fatalf("list: %s is %v", field, list[field])
		}
		has(t, "list: "+field, entries[0], keys...)
	}
	if gaps, ok := list["gaps"].([]any); !ok || len(gaps) != 0 {
		t.Errorf("list: gaps are %v", list["gaps"])
	}
	if text := in.must("list"); !strings.Contains(text, "reachable") {
		t.Errorf("list says\n%s", text)
	}
}

func (in *installation) checkPlan(t *testing.T, moment string) {
	target := in.path("planned")
	text := in.must("restore", "--target-dir", target, "--to-time", moment, "--dry-run")
	if !strings.Contains(text, "recovery_target_time") || !strings.Contains(text, "nothing was written") {
		t.Errorf("the plan says\n%s", text)
	}
	if _, err := os.Stat(target); err == nil {
		t.Error("a dry run made its directory")
	}
}

func (in *installation) checkRecovered(t *testing.T, moment string) {
	target := in.path("recovered")
	result := document(t, in.must("restore", "--target-dir", target, "--to-time", moment, "--archive-mode", "off", "--port", freePort(t), "--start", "--output", "json"))
	t.Cleanup(func() {
		_ = pgtest.Command(context.Background(), in.install, "pg_ctl", "stop", "-D", target, "-m", "immediate").Run()
	})
	has(t, "restore: reached", result["reached"], "stop_reason", "reached_lsn", "new_timeline")
	copied := in.second(t, target)
	defer copied.Stop()
	if rows := copied.Value(t.Context(), "SELECT count(*)::text FROM kept"); rows != "20000" {
		t.Errorf("%s rows", rows)
	}
}

// freePort is a port that nothing listens on. It is held until the test ends, so that the kernel gives it to no other program by the
// time when it is used: a socket that does not listen keeps nobody from it who names it, as PostgreSQL does.
func freePort(t *testing.T) string {
	t.Helper()
	holder, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Close(holder) })
	if err := unix.SetsockoptInt(holder, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1); err != nil {
		t.Fatal(err)
	}
	if err := unix.Bind(holder, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	address, err := unix.Getsockname(holder)
	if err != nil {
		t.Fatal(err)
	}
	return strconv.Itoa(address.(*unix.SockaddrInet4).Port)
}

// second stops a server that restore has started and starts it again in the harness's hands, as an operator would with
// pg_ctl.
func (in *installation) second(t *testing.T, dir string) *pgtest.Cluster {
	t.Helper()
	if out, err := pgtest.Command(t.Context(), in.install, "pg_ctl", "stop", "-D", dir, "-m", "fast").CombinedOutput(); err != nil {
		t.Fatalf("pg_ctl stop: %v\n%s", err, out)
	}
	cluster, err := pgtest.StartDir(t, in.install, dir, pgtest.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return cluster
}

func (in *installation) checkDrill(t *testing.T) {
	drill := has(t, "drill", document(t, in.must("drill", "run", "--output", "json", "--ticket", "OPS-1", "--approver", "A Person", "--scheduler", "cron")),
		"id", "cluster", "drill", "verdict", "target", "backup", "phases", "rto_seconds", "rpo_seconds", "rows", "checks", "targets", "evidence")
	rows := has(t, "drill: rows", drill["rows"], "comparison", "why", "tables")
	if drill["verdict"] != "pass" || rows["comparison"] != "exact" {
		t.Errorf("drill: %v", drill)
	}
	for _, table := range rows["tables"].([]any) {
		object := has(t, "drill: table", table, "database", "table", "expected", "actual", "fingerprint", "result")
		if object["table"] == "public.kept" && (object["expected"] != 20000.0 || object["fingerprint"] != "match") {
			t.Errorf("drill: %v", object)
		}
	}
	id := drill["id"].(string)
	if shown := document(t, in.must("drill", "show", id, "--output", "json")); shown["id"] != id {
		t.Errorf("drill show: %v", shown["id"])
	}
	if list := in.must("drill", "list"); !strings.Contains(list, id) {
		t.Errorf("drill list says\n%s", list)
	}
	page := in.must("drill", "report", id, "--format", "html")
	if !strings.Contains(page, "<html") || strings.Contains(page, "src=\"http") || strings.Contains(page, "href=\"http") {
		t.Error("the HTML report is not a page of its own")
	}
	var suite struct{}
	if err := xml.Unmarshal([]byte(in.must("drill", "report", id, "--format", "junit")), &suite); err != nil {
		t.Errorf("JUnit: %v", err)
	}
	in.checkKept(t, id)
	if left, err := filepath.Glob(in.path("scratch/*")); err != nil || len(left) > 0 {
		t.Errorf("the drill left %v, %v", left, err)
	}
}

func (in *installation) checkFindings(t *testing.T) {
	o := in.run("check", "--output", "json")
	if o.code != 0 || strings.Contains(o.out, `"fail"`) {
		t.Errorf("check: exit code %d\n%s%s", o.code, o.out, o.errors)
	}
}
