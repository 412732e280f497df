package restore_test

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"lifeboat/restore"
	"lifeboat/storage"
	"lifeboat/storage/catalog"
	"lifeboat/storage/fault"
)

func fetch(t *testing.T, cluster *catalog.Cluster, name, dest string) (restore.Outcome, error) {
	t.Helper()
	return fetchWithin(t, patience, cluster, name, dest)
}

func fetchWithin(t *testing.T, timeout time.Duration, cluster *catalog.Cluster, name, dest string) (restore.Outcome, error) {
	t.Helper()
	return restore.Fetch(t.Context(), cluster, name, dest, restore.FetchOptions{Timeout: timeout, Logger: quiet()})
}

func TestFetchBringsWholeFiles(t *testing.T) {
	t.Parallel()
	v := newVault(t)
	v.segments(1, 1, 2)
	v.history(2, "1\t0/200100\tno recovery target specified\n")
	for name, size := range map[string]int{"000000010000000000000001": int(vaultSegment), "00000002.history": 40} {
		dest := filepath.Join(t.TempDir(), "RECOVERYXLOG")
		outcome, err := fetch(t, v.cluster, name, dest)
		if outcome != restore.Found || err != nil {
			t.Errorf("%s: %v, %v", name, outcome, err)
		}
		if info, err := os.Stat(dest); err != nil || info.Size() != int64(size) || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v; want %d bytes", name, info, err, size)
		}
		alone(t, dest)
	}
}

// TestFetchReplacesAndSweeps writes over what an earlier recovery left, and removes what a killed fetch left.
func TestFetchReplacesAndSweeps(t *testing.T) {
	t.Parallel()
	v := newVault(t)
	v.segments(1, 1, 1)
	dest := filepath.Join(t.TempDir(), "RECOVERYXLOG")
	dead := exec.CommandContext(t.Context(), "true")
	if err := dead.Run(); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{dest, dest + ".lifeboat-" + strconv.Itoa(dead.Process.Pid) + "-123"} {
		if err := os.WriteFile(path, []byte("old"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if outcome, err := fetch(t, v.cluster, "000000010000000000000001", dest); outcome != restore.Found {
		t.Fatalf("%v, %v", outcome, err)
	}
	if content, err := os.ReadFile(dest); err != nil || !bytes.Equal(content, make([]byte, vaultSegment)) {
		t.Errorf("%d bytes, %v", len(content), err)
	}
	alone(t, dest)
}

// alone fails the test where anything but dest is in its directory, or dest is not.
func alone(t *testing.T, dest string) {
	t.Helper()
	entries, err := os.ReadDir(filepath.Dir(dest))
	if err != nil || len(entries) != 1 || entries[0].Name() != filepath.Base(dest) {
		t.Errorf("beside %s: %v, %v", dest, entries, err)
	}
}

// untouched fails the test where a directory is not empty.
func untouched(t *testing.T, dir string) {
	t.Helper()
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 0 {
		t.Errorf("left in %s: %v, %v", dir, entries, err)
	}
}

func TestFetchTellsAbsenceFromTheUnknown(t *testing.T) {
	t.Parallel()
	v := newVault(t)
	v.segments(1, 1, 3)
	v.segments(1, 5, 5)
	v.segments(2, 4, 4)
	for name, want := range map[string]restore.Outcome{
		"000000010000000000000006":                 restore.Absent,  // after the last one
		"000000010000000000000004":                 restore.Unknown, // a gap
		"000000020000000000000005":                 restore.Absent,  // timeline 1 is none of its business
		"000000030000000000000001":                 restore.Absent,
		"00000002.history":                         restore.Absent,
		"000000010000000000000001.00000028.backup": restore.Absent,
		"000000010000000000000006.partial":         restore.Absent,
		"00000001000000000000FFFF":                 restore.Unknown, // no segment of this size
		"RECOVERYXLOG":                             restore.Unknown,
		"../000000010000000000000001":              restore.Unknown,
		"":                                         restore.Unknown,
	} {
		dir := t.TempDir()
		outcome, err := fetch(t, v.cluster, name, filepath.Join(dir, "RECOVERYXLOG"))
		if outcome != want || err == nil {
			t.Errorf("%q: %v, %v; want %v", name, outcome, err, want)
		}
		if outcome == restore.Absent && !errors.Is(err, storage.ErrNotFound) {
			t.Errorf("%q: absent, but %v", name, err)
		}
		untouched(t, dir)
	}
	if _, err := fetch(t, v.cluster, "000000010000000000000004", "x"); !errors.Is(err, restore.ErrGap) {
		t.Errorf("a gap gave %v", err)
	}
}

func TestFetchThroughFaultsIsUnknown(t *testing.T) {
	t.Parallel()
	v := newVault(t)
	v.segments(1, 1, 3)
	const there, absent = "000000010000000000000001", "000000010000000000000009"
	segment := "clusters/*/*/wal/*/*/*"
	for damage, c := range map[string]struct {
		name string
		rule fault.Rule
	}{
		"outage":                        {there, fault.Rule{Op: fault.Get, Key: segment, Action: fault.Fail(storage.ErrUnavailable)}},
		"refused permission":            {there, fault.Rule{Op: fault.Get, Key: segment, Action: fault.Fail(fs.ErrPermission)}},
		"flipped byte in the header":    {there, fault.Rule{Op: fault.Get, Key: segment, Action: fault.FlipByte(60)}},
		"flipped byte in the trailer":   {there, fault.Rule{Op: fault.Get, Key: segment, Action: fault.FlipByte(900)}},
		"truncated object":              {there, fault.Rule{Op: fault.Get, Key: segment, Action: fault.Truncate(500, nil)}},
		"cut connection":                {there, fault.Rule{Op: fault.Get, Key: segment, Action: fault.Truncate(500, storage.ErrUnavailable)}},
		"stalled body":                  {there, fault.Rule{Op: fault.Get, Key: segment, Action: fault.StallBody(500)}},
		"absent, repository is gone":    {absent, fault.Rule{Op: fault.Get, Key: "clusters/main/cluster.json", Action: fault.Fail(storage.ErrNotFound)}},
		"absent, repository in outage":  {absent, fault.Rule{Op: fault.Get, Key: "clusters/main/cluster.json", Action: fault.Fail(storage.ErrUnavailable)}},
		"absent, repository is damaged": {absent, fault.Rule{Op: fault.Get, Key: "clusters/main/cluster.json", Action: fault.FlipByte(30)}},
		"absent, no listing":            {absent, fault.Rule{Op: fault.List, Action: fault.Fail(fs.ErrPermission)}},
		"refused permission, absent":    {absent, fault.Rule{Op: fault.Get, Key: segment, Action: fault.Fail(fs.ErrPermission)}},
	} {
		t.Run(damage, func(t *testing.T) {
			t.Parallel()
			cluster, set := v.failing(c.rule)
			dir := t.TempDir()
			// What stalls lasts as long as it may. On a busy machine a short time is over before the fault has come: it takes a longer one.
			for timeout := time.Second; timeout < patience; timeout *= 4 {
				outcome, err := fetchWithin(t, timeout, cluster, c.name, filepath.Join(dir, "RECOVERYXLOG"))
				if outcome != restore.Unknown || err == nil {
					t.Errorf("%v, %v", outcome, err)
				}
				untouched(t, dir)
				if set.AllFired() == nil {
					return
				}
			}
			t.Error(set.AllFired())
		})
	}
}

// TestFetchOfMisplacedObjects finds an object under another's key, and one of another cluster.
func TestFetchOfMisplacedObjects(t *testing.T) {
	t.Parallel()
	v := newVault(t)
	v.segments(1, 1, 1)
	const from = "clusters/main/7000000000000000001/wal/00000001/00000000/000000010000000000000001"
	body, err := v.bucket.Get(t.Context(), from, 0, -1)
	if err != nil {
		t.Fatal(err)
	}
	defer body.Close()
	to := from[:len(from)-1] + "2"
	if err := v.bucket.Put(t.Context(), to, body, storage.PutOptions{IfAbsent: true, Size: -1}); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	outcome, err := fetch(t, v.cluster, "000000010000000000000002", filepath.Join(dir, "x"))
	if outcome != restore.Unknown || err == nil {
		t.Errorf("%v, %v", outcome, err)
	}
	untouched(t, dir)
}

func TestFetchWithoutRoomOrTime(t *testing.T) {
	t.Parallel()
	v := newVault(t)
	v.segments(1, 1, 1)
	missing := filepath.Join(t.TempDir(), "missing", "x")
	if outcome, err := fetch(t, v.cluster, "000000010000000000000001", missing); outcome != restore.Unknown {
		t.Errorf("into a directory that does not exist: %v, %v", outcome, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	dir := t.TempDir()
	for _, name := range []string{"000000010000000000000001", "000000010000000000000002"} {
		outcome, err := restore.Fetch(ctx, v.cluster, name, filepath.Join(dir, "x"), restore.FetchOptions{Logger: quiet()})
		if outcome != restore.Unknown || !errors.Is(err, context.Canceled) {
			t.Errorf("cancelled fetch of %s: %v, %v", name, outcome, err)
		}
	}
	untouched(t, dir)
	if outcome := restore.Outcome(0); outcome != restore.Unknown {
		t.Error("the zero outcome concludes something")
	}
}
