package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"lifeboat/internal/pgtest"
)

// heir is a standby of the stopped server, made from a copy, with an agent of its own. It stays on its timeline until it is
// promoted, and asks the repository which timelines there are.
func (in *installation) heir(directory, settings string) *installation {
	in.t.Helper()
	signal := filepath.Join(directory, "standby.signal")
	if err := os.WriteFile(signal, nil, 0o600); err != nil {
		in.t.Fatal(err)
	}
	pgtest.GiveAway(in.t, signal)
	other := in.besides(nil)
	server, err := pgtest.StartDir(in.t, in.install, directory, pgtest.Options{Settings: map[string]string{
		"archive_command": fmt.Sprintf(`"%s/lifeboat-wal" push --socket "%s" --config "%s" %%p`, other.bin, other.socket(), other.config),
		"restore_command": fmt.Sprintf(`"%s/lifeboat-wal" fetch --config "%s" %%f %%p`, in.bin, in.config), "recovery_target_timeline": "current",
	}})
	if err != nil {
		in.t.Fatal(err)
	}
	other.server = server
	other.addAgent(settings)
	return other
}

// TestTimelinesAreATree promotes two standbys of one primary, one after the other, and restores along all three timelines.
func TestTimelinesAreATree(t *testing.T) {
	t.Parallel()
	const settings = "    wal: {stream: true, interval: 100ms}\n" +
		"    drills: {drill1: {timeline: 1}, drill2: {timeline: 2}, drill3: {timeline: 3}, drilllatest: {timeline: latest}}\n"
	in := newStation(t, pgtest.Options{WALSegmentMB: 1}, settings)
	ctx := t.Context()
	in.server.Exec(ctx, "CREATE TABLE told (word text)")
	in.must("backup")
	in.must("census")
	in.server.Exec(ctx, "INSERT INTO told VALUES ('one')")
	in.switchWAL()
	copies := []string{in.copyOfServer(), in.copyOfServer()}
	in.server.Exec(ctx, "INSERT INTO told VALUES ('last of one')")
	in.switchWAL()
	in.server.Stop()
	words := []string{"two", "three"}
	for n, directory := range copies {
		heir := in.heir(directory, settings)
		s := heir.readyAgent()
		in.eventually("the standby has all", func() bool { return heir.server.Value(ctx, "SELECT count(*)::text FROM told") == "2" })
		heir.server.Exec(ctx, "SELECT pg_promote()")
		heir.server.Exec(ctx, "INSERT INTO told VALUES ('"+words[n]+"')")
		s.streamsAll()
		// The control file says so only after the next checkpoint.
		if file := heir.server.Value(ctx, "SELECT pg_walfile_name(pg_current_wal_insert_lsn())"); !strings.HasPrefix(file, fmt.Sprintf("%08X", n+2)) {
			t.Fatalf("the heir writes %s", file)
		}
		if n == 0 {
			heir.switchWAL()
			continue
		}
		heir.server.Kill() // its last words are in a tail
		s.kill()
	}
	if o := in.run("check"); strings.Contains(o.out, "two servers") {
		t.Errorf("check says\n%s", o.out)
	}
	for timeline, want := range map[string]string{"1": "one,last of one", "2": "one,last of one,two", "3": "one,last of one,three", "latest": "one,last of one,three"} {
		directory := filepath.Join(pgtest.TempDir(t), "restored")
		in.must("restore", "--target-dir", directory, "--timeline", timeline, "--archive-mode", "off")
		restored, err := pgtest.StartDir(t, in.install, directory, pgtest.Options{})
		if err != nil {
			t.Fatal(err)
		}
		in.eventually("recovery ends", func() bool { return restored.Value(ctx, "SELECT pg_is_in_recovery()::text") == "false" })
		if got := restored.Value(ctx, "SELECT string_agg(word, ',' ORDER BY ctid) FROM told"); got != want {
			t.Errorf("along timeline %s: %s, want %s", timeline, got, want)
		}
		restored.Stop()
		in.drillsAlong(timeline)
	}
}

// drillsAlong drills along a timeline, as the configuration says. The server that all came from is gone, so that the
// recovery point may be unproven.
func (in *installation) drillsAlong(timeline string) {
	in.t.Helper()
	r := document(in.t, in.run("drill", "run", "drill"+timeline, "--output", "json").out)
	target, rows := r["target"].(map[string]any), r["rows"].(map[string]any)
	want := strings.Replace(timeline, "latest", "3", 1)
	if target["asked"] != "latest" || fmt.Sprint(target["timeline"]) != want || rows["comparison"] != "exact" {
		in.t.Errorf("drilled along timeline %s: %v, rows %v", timeline, target, rows["comparison"])
	}
	for _, check := range r["checks"].([]any) {
		if c := check.(map[string]any); c["result"] != "pass" {
			in.t.Errorf("along timeline %s: %v", timeline, c)
		}
	}
}
