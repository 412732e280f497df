package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"lifeboat/internal/pgtest"
)

// configureCopies writes a configuration with two repositories.
func (in *installation) configureCopies(far string, copies int) {
	in.t.Helper()
	in.write("lifeboat.yaml", fmt.Sprintf(`repositories:
- {name: near, url: %q}
- name: far
%sclusters:
  main:
    connection: %q
    data_directory: %q
    wal: {copies: %d}
    targets: {restore_per_terabyte: 200h}
scheduler: {work_directory: %q, postgres_bin: %q}
state_directory: %q
`, "file://"+in.path("near"), far, in.server.DSN("postgres"), in.server.DataDir, copies, in.path("scratch"), in.install.BinDir, in.path("state")))
}

// move renames a repository's directory: so it is away, and so it is back.
func (in *installation) move(from, to string) {
	in.t.Helper()
	if err := os.Rename(in.path(from), in.path(to)); err != nil {
		in.t.Fatal(err)
	}
}

// state is what list says about the named repository.
func (in *installation) state(name string) map[string]any {
	in.t.Helper()
	for _, one := range document(in.t, in.must("list", "--output", "json"))["repositories"].([]any) {
		if c := one.(map[string]any); c["repository"] == name {
			return c
		}
	}
	in.t.Fatalf("list says nothing about %s", name)
	return nil
}

func (in *installation) farDirectory() string {
	return fmt.Sprintf("  url: %q\n", "file://"+in.path("far"))
}

func TestARepositoryThatIsAwayIsFilledWhenItIsBack(t *testing.T) {
	t.Parallel()
	in := bareInstallation(t, pgtest.Newest(t))
	in.start(pgtest.Options{DataChecksums: true})
	in.configureCopies(in.farDirectory(), 1)
	in.must("init")
	in.server.Exec(t.Context(), "CREATE TABLE t AS SELECT generate_series(1, 1000) AS n")
	in.move("far", "gone")
	in.switchWAL()
	made := document(t, in.must("backup", "--output", "json"))
	states := fmt.Sprint(made["copies"])
	if !strings.Contains(states, "repository:near state:complete") || !strings.Contains(states, "repository:far state:gap") {
		t.Errorf("the backup says %s", states)
	}
	if c := in.state("far"); c["state"] != "away" {
		t.Errorf("far is %v", c)
	}
	in.ends(exitError, "check")
	in.ends(exitError, "sync")
	in.move("gone", "far")
	if c := in.state("far"); c["state"] != "gap" || len(c["backups"].([]any)) != 1 || c["wal_files"].(float64) < 1 {
		t.Errorf("far is %v", c)
	}
	if o := in.run("check"); !strings.Contains(o.out, "gap to be filled") || !strings.Contains(o.out, "lifeboat sync") {
		t.Errorf("check says\n%s", o.out)
	}
	in.must("sync")
	for _, name := range []string{"near", "far"} {
		if c := in.state(name); c["state"] != "complete" {
			t.Errorf("%s is %v", name, c)
		}
	}
	in.must("verify")
	in.must("backup") // to both at once
	if c := in.state("far"); c["state"] != "complete" {
		t.Errorf("far is %v", c)
	}
	// More WAL than recovery looks ahead: a segment beyond the end is not to be asked for.
	in.server.Exec(t.Context(), "INSERT INTO t SELECT generate_series(1, 50000)")
	in.switchWAL()
	in.move("near", "lost")
	if o := in.must("restore", "--target-dir", in.path("paused"), "--to-immediate", "--target-action", "pause", "--start"); !strings.Contains(o, "repository near cannot be reached") {
		t.Errorf("the plan says\n%s", o)
	}
	stopRestored(t, in, "paused")
	in.must("restore", "--target-dir", in.path("restored"), "--repository", "far", "--start")
	stopRestored(t, in, "restored")
	if o := in.run("archive-get", "0000000100000000000000FF", in.path("fetched")); o.code != fetchUnknown {
		t.Errorf("with one away a missing file is %d\n%s", o.code, o.errors)
	}
	in.move("lost", "near")
	if o := in.run("archive-get", "0000000100000000000000FF", in.path("fetched")); o.code != fetchAbsent {
		t.Errorf("with both there a missing file is %d\n%s", o.code, o.errors)
	}
}

// stopRestored ends the server that a restore has started.
func stopRestored(t *testing.T, in *installation, name string) {
	t.Helper()
	ctx := t.Context()
	cmd := pgtest.Command(ctx, in.install, filepath.Join(in.install.BinDir, "pg_ctl"), "stop", "-m", "immediate", "-D", in.path(name))
	if o := finished(t, cmd); o.code != 0 {
		t.Error(o.out, o.errors)
	}
}

func TestPushesOweWhatARepositoryMissed(t *testing.T) {
	t.Parallel()
	in := bareInstallation(t, pgtest.Newest(t))
	in.start(pgtest.Options{})
	in.configureCopies(in.farDirectory(), 1)
	in.must("init")
	in.move("far", "gone")
	in.server.Exec(t.Context(), "CREATE TABLE t (n int)")
	for range 3 {
		in.server.Exec(t.Context(), "INSERT INTO t VALUES (1)")
		in.switchWAL()
	}
	owed, err := filepath.Glob(in.path("state/main.owed/far/0*"))
	if err != nil || len(owed) < 3 {
		t.Fatalf("owed: %v, %v", owed, err)
	}
	in.move("gone", "far")
	if err := os.Remove(in.path("state/main.owed/far/" + awayMark)); err != nil { // a minute has passed
		t.Fatal(err)
	}
	in.server.Exec(t.Context(), "INSERT INTO t VALUES (1)")
	in.switchWAL()
	if owed, _ := filepath.Glob(in.path("state/main.owed/far/*")); len(owed) != 0 {
		t.Errorf("still owed: %v", owed)
	}
	if c := in.state("far"); c["state"] != "complete" {
		t.Errorf("far is %v", c)
	}
}

func TestTwoCopiesAreTwoCopies(t *testing.T) {
	t.Parallel()
	in := bareInstallation(t, pgtest.Newest(t))
	in.start(pgtest.Options{})
	in.configureCopies(in.farDirectory(), 2)
	in.must("init")
	in.server.Exec(t.Context(), "CREATE TABLE t (n int)")
	in.switchWAL()
	segment := filepath.Join(in.server.DataDir, "pg_wal", "000000010000000000000001")
	in.must("archive-push", segment) // again
	in.move("far", "gone")
	if o := in.ends(exitError, "archive-push", segment); !strings.Contains(o.errors, "durable in 1 repositories, and 2 are asked for") {
		t.Errorf("says %s", o.errors)
	}
	in.move("gone", "far")
	if err := os.RemoveAll(in.path("state")); err != nil {
		t.Fatal(err)
	}
	in.must("archive-push", segment)
	in.ends(exitUsage, "list", "--repository", "middle")
	in.must("list", "--repository", "far")
	in.must("verify", "--repository", "far")
}

func TestRepositoriesOfDifferentClustersAreRefused(t *testing.T) {
	t.Parallel()
	in := bareInstallation(t, pgtest.Newest(t))
	in.start(pgtest.Options{})
	in.configureCopies(in.farDirectory(), 1)
	in.must("init")
	document := in.path("far/clusters/main/cluster.json")
	if err := os.Remove(document); err != nil {
		t.Fatal(err)
	}
	other := bareInstallation(t, in.install)
	other.start(pgtest.Options{})
	other.repository = in.path("far")
	other.configure(other.server.DSN("postgres"), other.server.DataDir)
	other.must("init")
	in.server.Exec(t.Context(), "CREATE TABLE t (n int)")
	in.server.Exec(t.Context(), "SELECT pg_switch_wal()")
	for _, command := range [][]string{{"list"}, {"backup"}, {"archive-push", filepath.Join(in.server.DataDir, "pg_wal", "000000010000000000000001")}} {
		if o := in.ends(exitError, command...); !strings.Contains(o.errors, "system identifier") {
			t.Errorf("%v says %s", command, o.errors)
		}
	}
}
