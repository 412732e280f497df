package main

import (
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"lifeboat/internal/pgtest"
)

var update = flag.Bool("update", false, "write the sample repository anew")

// sample is a repository that the first version of the format wrote: a PostgreSQL 15 with a backup, a census and the WAL
// to reach it. Every later version must still restore it to the row.
const sample = "testdata/sample"

func TestTheFrozenSampleStillRestoresToTheRow(t *testing.T) {
	t.Parallel()
	if *update {
		writeSample(t)
	}
	in := bareInstallation(t, postgres15(t))
	in.configure("host=/nowhere", "")
	copyTree(t, sample, in.repository)
	in.must("verify")
	drill := document(t, in.run("drill", "run", "--output", "json").out)
	rows := has(t, "rows", drill["rows"], "comparison", "tables")
	if rows["comparison"] != "exact" {
		t.Errorf("rows: %v", rows)
	}
	for _, check := range drill["checks"].([]any) {
		c := check.(map[string]any)
		// The sample's backup is as old as the format, which that one check says.
		if c["result"] != "pass" && c["name"] != "last night's backup restores" {
			t.Errorf("%v", c)
		}
	}
	counted := 0.0
	for _, table := range rows["tables"].([]any) {
		counted += has(t, "table", table, "actual")["actual"].(float64)
	}
	if counted != 1500 {
		t.Errorf("%v rows, not 1500", counted)
	}
}

func postgres15(t *testing.T) pgtest.Install {
	t.Helper()
	for _, install := range pgtest.Versions(t) {
		if install.Major == 15 {
			return install
		}
	}
	t.Fatal("the sample is of PostgreSQL 15, which is not here")
	return pgtest.Install{}
}

func copyTree(t *testing.T, from, to string) {
	t.Helper()
	if out, err := exec.Command("cp", "-r", from, to).CombinedOutput(); err != nil {
		t.Fatalf("cp: %v\n%s", err, out)
	}
	user := pgtest.UnprivilegedUser()
	err := filepath.WalkDir(to, func(path string, entry os.DirEntry, err error) error {
		if err != nil || user == nil {
			return err
		}
		return os.Chown(path, int(user.Uid), int(user.Gid))
	})
	if err != nil {
		t.Fatal(err)
	}
}

func writeSample(t *testing.T) {
	t.Helper()
	in := bareInstallation(t, postgres15(t))
	in.start(pgtest.Options{DataChecksums: true, WALSegmentMB: 1})
	in.must("init")
	ctx := t.Context()
	in.server.Exec(ctx, "CREATE TABLE ledger (id bigint PRIMARY KEY, note text)")
	in.server.Exec(ctx, "INSERT INTO ledger SELECT n, 'before ' || n FROM generate_series(1, 1000) AS n")
	in.must("backup")
	in.server.Exec(ctx, "INSERT INTO ledger SELECT n, 'after ' || n FROM generate_series(1001, 1500) AS n")
	in.must("census")
	if err := os.MkdirAll(filepath.Dir(sample), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(sample); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("cp", "-r", in.repository, sample).CombinedOutput(); err != nil {
		t.Fatalf("cp: %v\n%s", err, out)
	}
	if err := os.RemoveAll(sample + "/.tmp"); err != nil {
		t.Fatal(err)
	}
}
