package main

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"lifeboat/internal/pgtest"
)

// processes lists those of this test's own programs whose command line has all the words.
func (in *installation) processes(words ...string) []int {
	paths, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		in.t.Fatal(err)
	}
	var found []int
	for _, path := range paths {
		raw, err := os.ReadFile(path)
		if err != nil || !strings.Contains(string(raw), in.config) {
			continue
		}
		all := true
		for _, word := range words {
			all = all && strings.Contains(string(raw), word)
		}
		if pid, err := strconv.Atoi(filepath.Base(filepath.Dir(path))); err == nil && all {
			found = append(found, pid)
		}
	}
	return found
}

func TestKilledPushesLoseNoSegment(t *testing.T) {
	t.Parallel()
	in := newInstallation(t, pgtest.Newest(t))
	ctx := t.Context()
	in.must("backup")
	in.server.Exec(ctx, "CREATE TABLE t (n int, filler text)")
	killed := 0
	for round := 0; round < 24 || killed == 0 && round < 1000; round++ { // a fast machine may push before it is looked
		in.server.Exec(ctx, "INSERT INTO t SELECT n, repeat(md5(n::text), 20) FROM generate_series(1, 2000) AS n")
		in.server.Exec(ctx, "SELECT pg_switch_wal()")
		time.Sleep(time.Duration(rand.IntN(60)) * time.Millisecond)
		for _, pid := range in.processes([]string{"archive-push", "push"}[round%2]) {
			if syscall.Kill(pid, syscall.SIGKILL) == nil {
				killed++
			}
		}
	}
	if killed == 0 {
		t.Fatal("no push was met to be killed")
	}
	in.server.Kill() // a fresh archiver does not wait out its pause, and a shutdown would wait for all that is to be archived
	in.server.Launch()
	in.switchWAL()
	in.must("verify")
	list := document(t, in.must("list", "--output", "json"))
	if gaps := list["gaps"].([]any); len(gaps) != 0 {
		t.Errorf("gaps: %v", gaps)
	}
	if spans := list["wal"].([]any); len(spans) != 1 {
		t.Errorf("WAL: %v", spans)
	}
	t.Logf("%d killed", killed)
}

func TestKilledCommandsLeaveARepositoryThatVerifiesAndNothingElse(t *testing.T) {
	t.Parallel()
	in := newInstallation(t, pgtest.Newest(t))
	in.server.Exec(t.Context(), "CREATE TABLE kept AS SELECT generate_series(1, 1000) AS n")
	in.must("backup")
	in.must("census")
	in.must("drill", "run")
	for round := range 4 {
		for _, command := range [][]string{
			{"backup"}, {"restore", "--target-dir", in.path("killed")}, {"drill", "run"}, {"census"},
		} {
			in.killDuring(time.Duration(50+rand.IntN(1200))*time.Millisecond, command...)
		}
		if round%2 == 1 {
			in.must("verify")
		}
	}
	in.must("backup")
	in.must("restore", "--target-dir", in.path("killed"))
	in.must("census")
	in.must("drill", "run")
	in.must("verify")
	list := document(t, in.must("list", "--output", "json"))
	if left := list["unfinished"].([]any); len(left) > 0 {
		t.Errorf("unfinished backups: %v", left)
	}
	if left, err := filepath.Glob(in.path("scratch/*")); err != nil || len(left) > 0 {
		t.Errorf("scratch: %v, %v", left, err)
	}
	in.eventually("no process is left", func() bool { return len(in.processes("lifeboat")) == 0 })
}

// killDuring starts a command and kills it after a while, if it has not ended by then.
func (in *installation) killDuring(after time.Duration, args ...string) {
	in.t.Helper()
	cmd := pgtest.Command(in.t.Context(), in.install, filepath.Join(in.bin, "lifeboat"), append([]string{"--config", in.config}, args...)...)
	if err := cmd.Start(); err != nil {
		in.t.Fatal(err)
	}
	time.AfterFunc(after, func() { _ = cmd.Process.Kill() }) // it may have ended
	_ = cmd.Wait()                                           // killed or not: both are meant
	if _, err := os.Stat(filepath.Join(in.path("killed"), "global/pg_control")); err == nil {
		if err := os.RemoveAll(in.path("killed")); err != nil { // that restore was quicker
			in.t.Fatal(err)
		}
	}
}
