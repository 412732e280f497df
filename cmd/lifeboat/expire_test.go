package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"lifeboat/internal/objectstore"
	"lifeboat/internal/pgtest"
)

// retains writes the configuration anew, with further lines for the cluster and for the repository.
func (in *installation) retains(cluster, repository string) {
	in.t.Helper()
	in.configure(in.server.DSN("postgres"), in.server.DataDir)
	raw, err := os.ReadFile(in.config)
	if err != nil {
		in.t.Fatal(err)
	}
	text := strings.Replace(string(raw), "    targets:", cluster+"    targets:", 1)
	in.write("lifeboat.yaml", strings.Replace(text, "clusters:\n", repository+"clusters:\n", 1))
}

const shortly = "    retention: {keep: 500ms, minimum_full: 1}\n"

// history is a server with three backups and WAL between them.
type history struct {
	*installation
	labels []string // of the backups, oldest first
	starts []string // names of the segments in which they begin
	early  string   // a moment between the first two
	late   string   // a moment after the last one
}

// makeHistory puts one row before the first backup, one after each, and one more after the late moment.
func makeHistory(in *installation) *history {
	in.t.Helper()
	h := &history{installation: in}
	ctx := in.t.Context()
	in.server.Exec(ctx, "CREATE TABLE t AS SELECT 0 AS n")
	for n := range 3 {
		time.Sleep(time.Until(time.Now().Truncate(time.Second).Add(time.Second))) // labels tell seconds apart
		made := document(in.t, in.must("backup", "--output", "json"))
		h.labels = append(h.labels, made["label"].(string))
		h.starts = append(h.starts, in.server.Value(ctx, "SELECT pg_walfile_name($1::pg_lsn)", made["start_lsn"]))
		in.server.Exec(ctx, "INSERT INTO t VALUES ($1)", n+1)
		if n == 0 {
			h.early = in.server.Value(ctx, "SELECT clock_timestamp()::text")
		}
		in.switchWAL()
	}
	h.late = in.server.Value(ctx, "SELECT clock_timestamp()::text")
	time.Sleep(600 * time.Millisecond) // retention counts from the last moment of the WAL
	in.server.Exec(ctx, "INSERT INTO t VALUES (9)")
	in.switchWAL()
	return h
}

// fates are those of a dry run, by class and name, with whether they expire; each has a reason.
func (in *installation) fates() map[string]bool {
	in.t.Helper()
	said := has(in.t, "expire", document(in.t, in.must("expire", "--dry-run", "--output", "json")), "cluster", "dry_run", "repositories")
	all := map[string]bool{}
	for _, one := range said["repositories"].([]any) {
		for _, f := range one.(map[string]any)["fates"].([]any) {
			fate := has(in.t, "fate", f, "class", "name", "expires", "reason", "objects", "bytes", "keys")
			if fate["reason"] == "" || len(fate["keys"].([]any)) != int(fate["objects"].(float64)) {
				in.t.Errorf("a fate is %v", fate)
			}
			all[fate["class"].(string)+" "+fate["name"].(string)] = fate["expires"].(bool)
		}
	}
	return all
}

// rowsOf restores and says which rows are there.
func (in *installation) rowsOf(name string, args ...string) string {
	in.t.Helper()
	in.must(append([]string{"restore", "--target-dir", in.path(name), "--archive-mode", "off", "--port", freePort(in.t), "--start"}, args...)...)
	copied := in.second(in.t, in.path(name))
	defer copied.Stop()
	return copied.Value(in.t.Context(), "SELECT string_agg(n::text, ' ' ORDER BY n) FROM t")
}

// placed is an installation whose repository is at the place.
func placed(t *testing.T, install pgtest.Install, place *objectstore.Place) *installation {
	t.Helper()
	in := bareInstallation(t, install)
	in.stored, in.place, in.keys = place, place.YAML(t), place.ReaderYAML()
	in.start(pgtest.Options{DataChecksums: true, WALSegmentMB: 1})
	in.must("init")
	return in
}

func TestExpireKeepsWhatRetentionPromises(t *testing.T) {
	t.Parallel()
	objectstore.Each(t, func(t *testing.T, install pgtest.Install, place *objectstore.Place) {
		h := makeHistory(placed(t, install, place))
		h.must("expire") // by the default retention nothing expires
		h.retains(shortly, "")
		if f := h.fates(); f["backup "+h.labels[0]] || f["backup "+h.labels[1]] || f["backup "+h.labels[2]] {
			t.Errorf("nobody vouches for a backup, and the fates are %v", f)
		}
		h.must("verify")
		before := place.Objects(t, "")
		f := h.fates()
		if !f["backup "+h.labels[0]] || !f["backup "+h.labels[1]] || f["backup "+h.labels[2]] {
			t.Errorf("the fates are %v", f)
		}
		if text := h.must("expire", "--dry-run"); !strings.Contains(text, "would be deleted; nothing was") || !strings.Contains(text, h.labels[0]) {
			t.Errorf("the dry run says\n%s", text)
		}
		if after := place.Objects(t, ""); !slices.Equal(before, after) {
			t.Errorf("the dry run left\n%s\nof\n%s", strings.Join(after, "\n"), strings.Join(before, "\n"))
		}
		h.expires(t, place, before)
		h.must("verify")
		h.ends(exitUnreachable, "restore", "--target-dir", h.path("early"), "--to-time", h.early)
		if rows := h.rowsOf("late", "--to-time", h.late); rows != "0 1 2 3" {
			t.Errorf("at the late moment the rows are %s", rows)
		}
		if rows := h.rowsOf("latest"); rows != "0 1 2 3 9" {
			t.Errorf("the last rows are %s", rows)
		}
	})
}

// expires runs an expiry and looks at each object that was there before.
func (h *history) expires(t *testing.T, place *objectstore.Place, before []string) {
	t.Helper()
	said := document(t, h.must("expire", "--output", "json"))["repositories"].([]any)[0].(map[string]any)
	after := place.Objects(t, "")
	if n := int(said["deleted_objects"].(float64)); n == 0 || said["refused"] != nil {
		t.Errorf("expire says %v", said)
	}
	for _, key := range before {
		name := key[strings.LastIndexByte(key, '/')+1:]
		wal := strings.Contains(key, "/wal/")
		gone := strings.Contains(key, h.labels[0]) || strings.Contains(key, h.labels[1]) || wal && name < h.starts[2]
		if slices.Contains(after, key) == gone && !strings.Contains(key, "/leases/") {
			t.Errorf("%s is left: %t", key, gone)
		}
	}
	again := document(t, h.must("expire", "--output", "json"))["repositories"].([]any)[0].(map[string]any)
	if again["deleted_objects"].(float64) != 0 {
		t.Errorf("once more: %v", again)
	}
}

// TestExpireFollowsTimelines keeps the way to a branch whose server lives, and the backup that its beginning is recovered
// from.
func TestExpireFollowsTimelines(t *testing.T) {
	t.Parallel()
	in := newInstallation(t, pgtest.Newest(t))
	ctx := t.Context()
	in.server.Exec(ctx, "CREATE TABLE t AS SELECT 0 AS n")
	in.must("backup")
	in.server.Exec(ctx, "INSERT INTO t VALUES (1)")
	in.switchWAL()
	time.Sleep(time.Second) // labels tell seconds apart
	in.must("backup")
	in.server.Exec(ctx, "INSERT INTO t VALUES (2)")
	in.switchWAL()
	in.must("restore", "--target-dir", in.path("branch"), "--port", freePort(t), "--start")
	in.server.Stop()
	in.server = in.second(t, in.path("branch"))
	in.configure(in.server.DSN("postgres"), in.server.DataDir)
	time.Sleep(600 * time.Millisecond)
	in.server.Exec(ctx, "INSERT INTO t VALUES (3)")
	in.switchWAL()
	in.must("verify")
	in.retains(shortly, "")
	in.must("expire")
	list := document(t, in.must("list", "--output", "json"))
	if n := len(list["backups"].([]any)); n != 1 {
		t.Errorf("%d backups", n)
	}
	in.must("verify")
	if rows := in.rowsOf("latest"); rows != "0 1 2 3" {
		t.Errorf("the rows on the branch are %s", rows)
	}
}

// files counts the files of the repository in files, but for its leases.
func (in *installation) files() int {
	in.t.Helper()
	n := 0
	err := filepath.WalkDir(in.repository, func(path string, entry os.DirEntry, err error) error {
		if err == nil && !entry.IsDir() && !strings.Contains(path, "/leases/") {
			n++
		}
		if os.IsNotExist(err) {
			return nil // it went away meanwhile
		}
		return err
	})
	if err != nil {
		in.t.Fatal(err)
	}
	return n
}

func TestKilledExpiryLeavesARepositoryThatVerifies(t *testing.T) {
	t.Parallel()
	in := bareInstallation(t, pgtest.Newest(t))
	in.start(pgtest.Options{DataChecksums: true, WALSegmentMB: 1})
	in.must("init")
	for range 20 { // there is more to delete than an expiry can before it is killed, also where the machine is slow to do that
		in.server.Exec(t.Context(), "SELECT pg_create_restore_point('further'), pg_switch_wal()")
	}
	h := makeHistory(in)
	h.must("verify")
	killed := 0
	for _, deletes := range []int{1, 2, 4, 3} {
		h.retains(shortly, "  limits: {requests: 10/s}\n")
		died := h.killAfter(deletes)
		h.retains(shortly, "")
		if died && len(h.due()) > 0 {
			killed++
			h.checkLeft(t)
		}
		h.must("verify")
		if list := document(t, h.must("list", "--output", "json")); len(list["gaps"].([]any)) != 0 || len(list["windows"].([]any)) != 1 {
			t.Errorf("after %d deletes: %v", deletes, list)
		}
	}
	if killed < 3 {
		t.Fatalf("only %d were killed in the middle", killed)
	}
	h.must("expire") // without waiting for the lease of the dead one
	if left := h.due(); len(left) > 0 {
		t.Errorf("left are %q", left)
	}
	h.must("verify")
	if rows := h.rowsOf("latest"); rows != "0 1 2 3 9" {
		t.Errorf("the rows are %s", rows)
	}
}

// due is what expires now, without leases: an expiry's own is still there when it has deleted all else.
func (in *installation) due() (due []string) {
	in.t.Helper()
	for name, expires := range in.fates() {
		if expires && !strings.HasPrefix(name, "lease ") {
			due = append(due, name)
		}
	}
	return due
}

// checkLeft makes sure that another machine waits for the lease of the dead one.
func (h *history) checkLeft(t *testing.T) {
	t.Helper()
	h.move("state/main.expire.lease", "kept")
	h.ends(exitError, "expire").says(t, "the lease is held by", "process", "hint:")
	h.move("kept", "state/main.expire.lease")
}

func TestASecondExpiryOfTheMachineIsRefused(t *testing.T) {
	t.Parallel()
	in := newInstallation(t, pgtest.Newest(t))
	in.must("backup")
	in.must("expire")
	first, err := claimLease(in.path("state/main.expire.lease"))
	if err != nil {
		t.Fatal(err)
	}
	in.ends(exitError, "expire").says(t, "the lease is held by another process of this machine", "hint:")
	first.release()
	in.must("expire")
}

// killAfter kills an expiry when it has made so many deletes. It is false where the expiry ended before.
func (h *history) killAfter(deletes int) bool {
	h.t.Helper()
	cmd := pgtest.Command(h.t.Context(), h.install, filepath.Join(h.bin, "lifeboat"), "--config", h.config, "expire")
	before := h.files()
	if err := cmd.Start(); err != nil {
		h.t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		_ = cmd.Wait() // killed or not
		close(ended)
	}()
	for {
		select {
		case <-ended:
			if code := cmd.ProcessState.ExitCode(); code > 0 {
				h.t.Errorf("expire: exit code %d", code)
			}
			return !cmd.ProcessState.Exited()
		case <-time.After(5 * time.Millisecond):
		}
		if h.files() <= before-deletes {
			_ = cmd.Process.Signal(syscall.SIGKILL)
		}
	}
}

func TestExpireStopsWhereARecordCannotBeRead(t *testing.T) {
	t.Parallel()
	in := bareInstallation(t, pgtest.Newest(t))
	in.start(pgtest.Options{DataChecksums: true, WALSegmentMB: 1})
	in.must("init")
	h := makeHistory(in)
	h.must("verify")
	h.retains(shortly, "")
	found, err := filepath.Glob(filepath.Join(in.repository, "clusters/main/*/backups", h.labels[0], "record.json"))
	if err != nil || len(found) != 1 {
		t.Fatalf("%v, %v", found, err)
	}
	record, err := os.ReadFile(found[0])
	if err != nil {
		t.Fatal(err)
	}
	record[len(record)/2] ^= 1
	if err := os.WriteFile(found[0], record, 0o600); err != nil {
		t.Fatal(err)
	}
	before := h.files()
	for _, args := range [][]string{{"expire", "--dry-run"}, {"expire"}} {
		h.ends(exitError, args...).says(t, "nothing expires: clusters/main/", "record.json cannot be understood", "lifeboat verify", "nothing was deleted")
	}
	said := document(t, h.ends(exitError, "expire", "--output", "json").out)["repositories"].([]any)[0].(map[string]any)
	if len(said["stopped"].([]any)) != 1 || said["error"] == nil {
		t.Errorf("in JSON: %v", said)
	}
	if after := h.files(); after != before {
		t.Errorf("%d files before, %d after", before, after)
	}
}

func TestWhatMustNotBeDeletedIsCountedAndLeft(t *testing.T) {
	t.Parallel()
	in := bareInstallation(t, pgtest.Newest(t))
	in.start(pgtest.Options{DataChecksums: true, WALSegmentMB: 1})
	in.must("init")
	h := makeHistory(in)
	h.must("verify")
	h.retains(shortly, "")
	locked, err := filepath.Glob(filepath.Join(in.repository, "clusters/main/*/backups", h.labels[0]))
	if err != nil || len(locked) != 1 {
		t.Fatalf("%v, %v", locked, err)
	}
	mode := func(m os.FileMode) {
		if err := os.Chmod(locked[0], m); err != nil {
			t.Fatal(err)
		}
	}
	mode(0o500)
	t.Cleanup(func() { mode(0o700) })
	h.must("expire", "--output", "json")
	h.run("expire").says(t, "refused: 1 objects must not be deleted", "record.json")
	labels := fmt.Sprint(document(t, h.must("list", "--output", "json"))["backups"])
	if !strings.Contains(labels, h.labels[0]) || strings.Contains(labels, h.labels[1]) {
		t.Errorf("left are %s", labels)
	}
	h.must("verify")
	if rows := h.rowsOf("early", "--to-time", h.early); rows != "0 1" {
		t.Errorf("the backup that stays has %s", rows)
	}
}

func TestEachRepositoryExpiresByItself(t *testing.T) {
	t.Parallel()
	in := bareInstallation(t, pgtest.Newest(t))
	in.start(pgtest.Options{DataChecksums: true, WALSegmentMB: 1})
	in.configureCopies(in.farDirectory(), 1)
	in.must("init")
	h := makeHistory(in)
	h.must("verify")
	raw, err := os.ReadFile(in.config)
	if err != nil {
		t.Fatal(err)
	}
	in.write("lifeboat.yaml", strings.Replace(string(raw), "    targets:", shortly+"    targets:", 1))
	h.must("expire", "--repository", "near")
	left := func(repository string) string {
		return fmt.Sprint(document(t, h.must("list", "--repository", repository, "--output", "json"))["backups"])
	}
	if near, far := left("near"), left("far"); strings.Contains(near, h.labels[1]) || !strings.Contains(far, h.labels[0]) {
		t.Errorf("near has %s, and far %s", near, far)
	}
	h.move("near", "gone")
	h.ends(exitError, "expire").says(t, "repository near")
	h.move("gone", "near")
	if far := left("far"); strings.Contains(far, h.labels[1]) || !strings.Contains(far, h.labels[2]) {
		t.Errorf("far has %s", far)
	}
	for _, name := range []string{"near", "far"} {
		if c := h.state(name); c["state"] != "complete" {
			t.Errorf("%s is %v", name, c)
		}
	}
	h.must("verify")
	h.ends(exitUsage, "expire", "--repository", "nowhere")
}
