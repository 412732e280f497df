package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"lifeboat/internal/pgtest"
)

var cronLine = regexp.MustCompile(`(?m)^0 6 1 1,4,7,10 \* postgres (.*)$`)

// unattended is the command of the crontab line that the operations page shows, in this installation's places.
func (in *installation) unattended(t *testing.T) string {
	t.Helper()
	page, err := os.ReadFile("../../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	line := cronLine.FindStringSubmatch(string(page))
	if line == nil {
		t.Fatal("the operations page has no line for crontab")
	}
	return strings.ReplaceAll(line[1], "/var/lib/lifeboat/", in.dir+"/")
}

// runUnattended runs it as cron does: by sh, with nothing of this process's environment and nothing to read from.
func (in *installation) runUnattended(t *testing.T) outcome {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "/bin/sh", "-c", in.unattended(t))
	cmd.Dir = "/"
	cmd.Env = []string{"PATH=" + in.bin + ":/usr/bin:/bin", "LIFEBOAT_CONFIG=" + in.config, "HOME=" + in.dir, "SHELL=/bin/sh"}
	return finished(t, cmd)
}

// setQuarterly gives the quarterly drill a target that a repository can reach which is a minute old.
func (in *installation) setQuarterly(t *testing.T) {
	t.Helper()
	text, err := os.ReadFile(in.config)
	if err != nil {
		t.Fatal(err)
	}
	const before = "    targets: {"
	policy := "    policy: {name: Backup and recovery, version: 3, approver: Head of Operations, ticket: OPS-100}\n" +
		"    drills: {quarterly: {schedule: \"0 6 1 1,4,7,10 *\", to: latest, policy: {ticket: OPS-117}}}\n"
	in.write("lifeboat.yaml", strings.Replace(string(text), before, policy+before, 1))
}

// TestQuarterlyDrillRunsFromCronAndLeavesAReport runs the line of the operations page, first as it should be, then with a
// backup that has lost a pack, and last without a repository.
func TestQuarterlyDrillRunsFromCronAndLeavesAReport(t *testing.T) {
	t.Parallel()
	in := newFileInstallation(t, pgtest.Newest(t))
	in.setQuarterly(t)
	in.server.Exec(t.Context(), "CREATE TABLE kept AS SELECT generate_series(1, 1000) AS n")
	in.must("backup")
	in.must("census")
	in.server.Exec(t.Context(), "INSERT INTO kept VALUES (0)")
	in.switchWAL()

	o := in.runUnattended(t)
	if o.code != exitDone || o.out+o.errors != "" {
		t.Fatalf("exit code %d\n%s%s", o.code, o.out, o.errors)
	}
	in.wantUnattendedReport(t, "This backup comes back.", "a scheduler started this drill (cron, as ", "with no one at hand", "Backup and recovery; version 3",
		"Head of Operations", "OPS-117", "Does the last backup restore?", "public.kept", "redo starts at")
	if verified := in.must("verify"); strings.Contains(verified, "evidence of drill") {
		t.Errorf("verify says\n%s", verified)
	}

	packs, err := filepath.Glob(filepath.Join(in.repository, "clusters/*/*/backups/*/packs/*/*"))
	if err != nil || len(packs) == 0 {
		t.Fatalf("packs %v, %v", packs, err)
	}
	for _, pack := range packs {
		if err := os.Remove(pack); err != nil {
			t.Fatal(err)
		}
	}
	if o = in.runUnattended(t); o.code != exitFail || !strings.Contains(o.out, "fail") {
		t.Errorf("without packs: exit code %d\n%s%s", o.code, o.out, o.errors)
	}
	in.wantUnattendedReport(t, "Something is wrong.", "OPS-117")

	if err := os.Rename(in.repository, in.repository+".away"); err != nil {
		t.Fatal(err)
	}
	if o = in.runUnattended(t); o.code == exitDone || o.out == "" {
		t.Errorf("without a repository: exit code %d\n%s%s", o.code, o.out, o.errors)
	}
}

func (in *installation) wantUnattendedReport(t *testing.T, words ...string) {
	t.Helper()
	page, err := os.ReadFile(in.path("quarterly.html"))
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range words {
		if !strings.Contains(string(page), w) {
			t.Errorf("the report does not have %q", w)
		}
	}
}
