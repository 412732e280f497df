package restore_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"lifeboat/internal/wal"
	"lifeboat/restore"
	"lifeboat/storage"
	"lifeboat/storage/catalog"
	"lifeboat/storage/fault"
)

// own are the options of a restore for the test's own user.
func own() restore.ExecOptions {
	return restore.ExecOptions{Workers: 3, Logger: quiet(), Config: []byte("repository: here\n")}
}

// smallVault has one backup of the tree.
func smallVault(t *testing.T, content tree, change func(*catalog.Record)) *vault {
	v := newVault(t)
	v.segments(1, 1, 2)
	v.backup("20261122T060000Z-full-aaaaaa", 1, 1, content, change)
	return v
}

func TestExecuteBringsEveryFile(t *testing.T) {
	t.Parallel()
	content := smallTree()
	content["pg_tblspc/16400"], content["pg_tblspc/16400/PG_15_1"] = nil, nil
	content["pg_tblspc/16400/PG_15_1/1"] = []byte("beside")
	content["pg_tblspc/16402"] = nil
	content["pg_tblspc/16402/inside"] = []byte("inside")
	v := smallVault(t, content, func(r *catalog.Record) {
		r.Tablespaces = []catalog.Tablespace{{OID: 16400, Name: "fast", Location: "/srv/fast"}}
	})
	dir := t.TempDir()
	data, space := filepath.Join(dir, "deep", "data"), filepath.Join(dir, "other", "space")
	plan, err := v.planTo(restore.Target{Kind: restore.KindLatest}, func(o *restore.PlanOptions) {
		o.Directory, o.TablespaceMap = data, map[string]string{"fast": space}
	})
	if err != nil {
		t.Fatal(err)
	}
	var last restore.RestoreProgress
	o := own()
	o.Progress = func(p restore.RestoreProgress) { last = p }
	result, err := restore.Execute(t.Context(), v.cluster, plan, o)
	if err != nil {
		t.Fatal(err)
	}
	checkTree(t, data, content)
	checkContent(t, filepath.Join(space, "PG_15_1", "1"), "beside")
	if link, err := os.Readlink(filepath.Join(data, "pg_tblspc", "16400")); link != space {
		t.Errorf("the tablespace's link leads to %q, %v", link, err)
	}
	checkContent(t, filepath.Join(data, restore.ConfigPath), "repository: here\n")
	checkContent(t, filepath.Join(data, "recovery.signal"), "")
	for _, path := range []string{data + "/standby.signal", data + "/tablespace_map", data + "/lifeboat.restore.incomplete",
		space + "/lifeboat.restore.incomplete", data + "/global/pg_control.lifeboat"} {
		nothing(t, path)
	}
	if info, err := os.Stat(data); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the directory has mode %v, %v", info.Mode(), err)
	}
	if last.Bytes != last.BytesTotal || last.Files != result.Files || result.Files == 0 || last.Phase != restore.PhaseSync {
		t.Errorf("progress ended at %+v, result %+v", last, result)
	}
	settings, err := os.ReadFile(filepath.Join(data, "postgresql.auto.conf"))
	if err != nil || !strings.HasPrefix(string(settings), "work_mem = '5MB'\nrecovery_target_name = 'old'\n#") ||
		strings.LastIndex(string(settings), "recovery_target_name = ''") < 0 {
		t.Errorf("settings %v:\n%s", err, settings)
	}
}

// checkTree compares what was restored with the content of the backup.
func checkTree(t *testing.T, dir string, content tree) {
	t.Helper()
	for path, want := range content {
		if slices.Contains([]string{"standby.signal", "tablespace_map", "postgresql.auto.conf"}, path) {
			continue
		}
		info, err := os.Stat(filepath.Join(dir, path))
		if err != nil || info.IsDir() != (want == nil) {
			t.Errorf("%s: %v, %v", path, info, err)
			continue
		}
		if want != nil {
			checkContent(t, filepath.Join(dir, path), string(want))
		}
	}
}

func checkContent(t *testing.T, path, want string) {
	t.Helper()
	got, err := os.ReadFile(path)
	if err != nil || string(got) != want {
		t.Errorf("%s has %d bytes, want %d; %v", path, len(got), len(want), err)
	}
}

func TestExecuteWithOnlyOwnSettings(t *testing.T) {
	t.Parallel()
	v := smallVault(t, smallTree(), nil)
	o := own()
	o.OnlyOwnSettings, o.Volatile = true, true
	plan := v.plan(filepath.Join(t.TempDir(), "data"))
	if _, err := restore.Execute(t.Context(), v.cluster, plan, o); err != nil {
		t.Fatal(err)
	}
	settings, err := os.ReadFile(filepath.Join(plan.Directory, "postgresql.auto.conf"))
	if err != nil || strings.Contains(string(settings), "work_mem") || !strings.Contains(string(settings), "restore_command") {
		t.Errorf("%v: %s", err, settings)
	}
}

// TestExecuteOnATimelineWithoutHistory is for a cluster that was promoted before its archive began.
func TestExecuteOnATimelineWithoutHistory(t *testing.T) {
	t.Parallel()
	v := newVault(t)
	v.segments(3, 1, 2)
	v.backup("20261122T060000Z-full-aaaaaa", 3, 1, smallTree(), nil)
	plan := v.plan(filepath.Join(t.TempDir(), "data"))
	if _, err := restore.Execute(t.Context(), v.cluster, plan, own()); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(plan.Directory, "pg_wal", "00000003.history"))
	if err != nil {
		t.Fatal(err)
	}
	if history, err := wal.ParseHistory(3, text); err != nil || len(history.Entries) != 0 {
		t.Errorf("%v, %v", history, err)
	}
}

func TestExecuteRefusesIndexesThatEscape(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(tree){
		"absolute":          func(c tree) { c["/etc/passwd"] = []byte("x") },
		"parent":            func(c tree) { c["base/../../x"] = []byte("x") },
		"parent itself":     func(c tree) { c[".."] = nil },
		"current":           func(c tree) { c["./x"] = []byte("x") },
		"double slash":      func(c tree) { c["base//x"] = []byte("x") },
		"behind tablespace": func(c tree) { c["pg_tblspc/16400/../../x"] = []byte("x") },
		"no pg_control":     func(c tree) { delete(c, "global/pg_control") },
		"pg_control a directory": func(c tree) {
			c["global/pg_control"] = nil
		},
		"no version": func(c tree) { delete(c, "PG_VERSION") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			content := smallTree()
			change(content)
			v := smallVault(t, content, nil)
			dir := t.TempDir()
			_, err := restore.Execute(t.Context(), v.cluster, v.plan(filepath.Join(dir, "data")), own())
			var refused *restore.ContentError
			if !errors.As(err, &refused) {
				t.Errorf("%v, want a ContentError", err)
			}
			untouched(t, dir)
		})
	}
}

// TestExecuteDoesNotFollowLinks puts a link into the directory while the restore is at work.
func TestExecuteDoesNotFollowLinks(t *testing.T) {
	t.Parallel()
	v := smallVault(t, smallTree(), nil)
	dir := t.TempDir()
	outside, data := filepath.Join(dir, "outside"), filepath.Join(dir, "data")
	if err := os.Mkdir(outside, 0o700); err != nil {
		t.Fatal(err)
	}
	o := own()
	o.Progress = func(p restore.RestoreProgress) {
		if p.Phase == restore.PhaseCopy && p.Files == 0 {
			_ = os.Symlink(outside, filepath.Join(data, "base"))
		}
	}
	if _, err := restore.Execute(t.Context(), v.cluster, v.plan(data), o); err == nil {
		t.Error("restored over a link")
	}
	untouched(t, outside)
	nothing(t, data)
}

func TestExecuteRefusesOccupiedDirectories(t *testing.T) {
	t.Parallel()
	v := smallVault(t, smallTree(), nil)
	for name, put := range map[string]func(dir string) error{
		"a file":           func(dir string) error { return os.WriteFile(dir+"/x", []byte("x"), 0o600) },
		"a hidden file":    func(dir string) error { return os.WriteFile(dir+"/.x", nil, 0o600) },
		"a data directory": func(dir string) error { return os.WriteFile(dir+"/PG_VERSION", []byte("15\n"), 0o600) },
		"a strange marker": func(dir string) error {
			return os.WriteFile(dir+"/lifeboat.restore.incomplete", []byte("x"), 0o600)
		},
		"an empty marker and more": func(dir string) error {
			return errors.Join(os.WriteFile(dir+"/lifeboat.restore.incomplete", nil, 0o600), os.WriteFile(dir+"/x", nil, 0o600))
		},
	} {
		dir := t.TempDir()
		if err := put(dir); err != nil {
			t.Fatal(err)
		}
		before, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		_, err = restore.Execute(t.Context(), v.cluster, v.plan(dir), own())
		var occupied *restore.NotEmptyError
		if !errors.As(err, &occupied) || occupied.Hint() == "" {
			t.Errorf("%s: %v, want a NotEmptyError", name, err)
		}
		after, err := os.ReadDir(dir)
		if err != nil || len(after) != len(before) {
			t.Errorf("%s: %v became %v, %v", name, before, after, err)
		}
		if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o755 {
			t.Errorf("%s: the directory's mode became %v, %v", name, info.Mode(), err)
		}
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := restore.Execute(t.Context(), v.cluster, v.plan(file), own()); err == nil {
		t.Error("restored over a file")
	}
	checkContent(t, file, "x")
}

// TestExecuteThroughFaultsLeavesNothing damages the repository under a restore; an existing directory stays, empty.
func TestExecuteThroughFaultsLeavesNothing(t *testing.T) {
	t.Parallel()
	v := smallVault(t, smallTree(), nil)
	const packs, index = "clusters/*/*/backups/*/packs/*/*", "clusters/*/*/backups/*/index"
	all := v.place.Objects(t, packs)
	last := all[len(all)-1]
	for damage, rule := range map[string]fault.Rule{
		"outage of the index":  {Op: fault.Get, Key: index, Action: fault.Fail(storage.ErrUnavailable)},
		"flipped index":        {Op: fault.Get, Key: index, Action: fault.FlipByte(20)},
		"outage of a pack":     {Op: fault.Get, Key: packs, Action: fault.Fail(storage.ErrUnavailable)},
		"outage of the last":   {Op: fault.Get, Key: last, Action: fault.Fail(storage.ErrUnavailable)},
		"missing pack":         {Op: fault.Get, Key: packs, After: 1, Action: fault.Fail(storage.ErrNotFound)},
		"refused permission":   {Op: fault.Get, Key: packs, Action: fault.Fail(fs.ErrPermission)},
		"flipped pack":         {Op: fault.Get, Key: packs, Action: fault.FlipByte(2)},
		"truncated pack":       {Op: fault.Get, Key: packs, Action: fault.Truncate(2, nil)},
		"connection cut short": {Op: fault.Get, Key: packs, Action: fault.Truncate(2, io.ErrUnexpectedEOF)},
	} {
		t.Run(damage, func(t *testing.T) {
			t.Parallel()
			cluster, set := v.failing(rule)
			dir := t.TempDir()
			_, err := restore.Execute(t.Context(), cluster, v.plan(dir), own())
			if err == nil {
				t.Error("restored from a damaged repository")
			}
			untouched(t, dir)
			if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o755 {
				t.Errorf("the directory's mode became %v, %v", info.Mode(), err)
			}
			if err := set.AllFired(); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestExecuteOfABackupThatExpires removes the backup, its record first, when the restore comes to a pack.
func TestExecuteOfABackupThatExpires(t *testing.T) {
	t.Parallel()
	v := smallVault(t, smallTree(), nil)
	packs := v.place.Objects(t, "clusters/*/*/backups/*/packs/*/*")
	plan := v.plan(t.TempDir())
	cluster, set := v.failing(fault.Rule{Op: fault.Get, Key: packs[0], Action: fault.Crash(func() {
		for _, key := range append(v.place.Objects(t, "clusters/*/*/backups/*/record.json"), packs...) {
			v.place.Remove(t, key)
		}
	})})
	_, err := restore.Execute(t.Context(), cluster, plan, own())
	gone := (*restore.GoneError)(nil)
	damaged := (*catalog.DamagedError)(nil)
	if !errors.As(err, &gone) || gone.Label != plan.Backup.Label || gone.Hint() == "" || errors.As(err, &damaged) {
		t.Errorf("it says %v", err)
	}
	untouched(t, plan.Directory)
	if err := set.AllFired(); err != nil {
		t.Error(err)
	}
}

// TestExecuteCancelled stops a restore at every step of its progress.
func TestExecuteCancelled(t *testing.T) {
	t.Parallel()
	v := smallVault(t, smallTree(), nil)
	for step := 0; ; step++ {
		ctx, cancel := context.WithCancel(t.Context())
		dir := t.TempDir()
		seen := 0
		o := own()
		o.Progress = func(restore.RestoreProgress) {
			if seen++; seen > step {
				cancel()
			}
		}
		_, err := restore.Execute(ctx, v.cluster, v.plan(filepath.Join(dir, "data")), o)
		cancel()
		if err == nil {
			if step < 8 {
				t.Errorf("only %d steps", step)
			}
			return
		}
		if !errors.Is(err, context.Canceled) {
			t.Errorf("step %d: %v", step, err)
		}
		untouched(t, dir)
	}
}

// TestExecuteTwiceAtOnce lets two restores into one directory race: one of them wins.
func TestExecuteTwiceAtOnce(t *testing.T) {
	t.Parallel()
	v := smallVault(t, smallTree(), nil)
	data := filepath.Join(t.TempDir(), "data")
	second := make(chan error, 1)
	once := false
	o := own()
	o.Progress = func(p restore.RestoreProgress) {
		if p.Phase == restore.PhaseCopy && !once {
			once = true
			_, err := restore.Execute(t.Context(), v.cluster, v.plan(data), own())
			second <- err
		}
	}
	if _, err := restore.Execute(t.Context(), v.cluster, v.plan(data), o); err != nil {
		t.Errorf("the first: %v", err)
	}
	var busy *restore.BusyError
	if err := <-second; !errors.As(err, &busy) {
		t.Errorf("the second: %v, want a BusyError", err)
	}
	checkTree(t, data, smallTree())
}

// TestKilledRestoreIsRedone kills restores with SIGKILL at many moments. What is left never has pg_control without being
// whole, and the next restore clears it.
func TestKilledRestoreIsRedone(t *testing.T) {
	t.Parallel()
	v := smallVault(t, smallTree(), nil)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	startable := 0
	for step := 0; ; step++ {
		data := filepath.Join(t.TempDir(), "data")
		ended := killAt(t, exec.CommandContext(t.Context(), self, runRestore, v.place.File, data), step)
		_, err := os.Lstat(filepath.Join(data, "global", "pg_control"))
		if err == nil {
			startable++
			checkRecoverable(t, data)
		}
		if ended {
			break
		}
		_, again := restore.Execute(t.Context(), v.cluster, v.plan(data), own())
		var occupied *restore.NotEmptyError
		if (err == nil) != errors.As(again, &occupied) || err != nil && again != nil {
			t.Errorf("step %d: pg_control: %v, the next restore: %v", step, err, again)
		}
		checkRecoverable(t, data)
	}
	if startable < 2 {
		t.Error("no restore was killed right behind pg_control")
	}
}

// checkRecoverable looks for all that a restored directory consists of.
func checkRecoverable(t *testing.T, data string) {
	t.Helper()
	checkTree(t, data, smallTree())
	checkContent(t, filepath.Join(data, "recovery.signal"), "")
	settings, err := os.ReadFile(filepath.Join(data, "postgresql.auto.conf"))
	if err != nil || !strings.Contains(string(settings), "recovery_target_timeline = '1'") {
		t.Errorf("settings %v: %s", err, settings)
	}
}

// killAt lets the command make that many steps and kills it at the next one. It says whether it had ended by itself.
func killAt(t *testing.T, cmd *exec.Cmd, steps int) (ended bool) {
	t.Helper()
	in, inErr := cmd.StdinPipe()
	out, outErr := cmd.StdoutPipe()
	if err := errors.Join(inErr, outErr); err != nil {
		t.Fatal(err)
	}
	var complaint bytes.Buffer
	cmd.Stderr = &complaint
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	scanner := bufio.NewScanner(out)
	for range steps {
		if !scanner.Scan() {
			break
		}
		_, _ = in.Write([]byte{'\n'}) // it waits for that
	}
	if scanner.Scan() {
		_ = cmd.Process.Kill()
	}
	_, _ = io.Copy(io.Discard, out)
	err := cmd.Wait()
	if err == nil {
		return true
	}
	if complaint.Len() > 0 {
		t.Fatalf("the restore failed: %s", complaint.String())
	}
	return false
}

// TestFinishedRestoreIsNeverCleared takes a directory that looks like one whose restore was killed at the very end.
func TestFinishedRestoreIsNeverCleared(t *testing.T) {
	t.Parallel()
	v := smallVault(t, smallTree(), nil)
	data := filepath.Join(t.TempDir(), "data")
	marker := filepath.Join(data, "lifeboat.restore.incomplete")
	var saved []byte
	o := own()
	o.Progress = func(p restore.RestoreProgress) {
		if p.Phase == restore.PhaseCopy && saved == nil {
			saved, _ = os.ReadFile(marker)
		}
	}
	if _, err := restore.Execute(t.Context(), v.cluster, v.plan(data), o); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(marker, saved, 0o600); err != nil || len(saved) == 0 {
		t.Fatal(err, len(saved))
	}
	_, err := restore.Execute(t.Context(), v.cluster, v.plan(data), own())
	var occupied *restore.NotEmptyError
	if !errors.As(err, &occupied) {
		t.Errorf("%v, want a NotEmptyError", err)
	}
	checkTree(t, data, smallTree())
}
