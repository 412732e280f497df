package restore_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"lifeboat/internal/wal"
	"lifeboat/restore"
	"lifeboat/storage"
	"lifeboat/storage/fault"
)

func TestFetchAheadBringsWholeSegmentsOrNothing(t *testing.T) {
	t.Parallel()
	v := newVault(t)
	v.segments(1, 1, 1)
	there, absent := wal.SegmentFile(1, 1, vaultSegment), wal.SegmentFile(1, 2, vaultSegment)
	path := filepath.Join(t.TempDir(), "ahead")
	if err := restore.FetchAhead(t.Context(), v.cluster, there, path); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Size() != int64(vaultSegment) || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
	alone(t, path)
	if err := restore.FetchAhead(t.Context(), v.cluster, there, path); !errors.Is(err, os.ErrExist) {
		t.Errorf("over a file: %v", err)
	}
	dir := t.TempDir()
	if err := restore.FetchAhead(t.Context(), v.cluster, absent, filepath.Join(dir, "x")); !errors.Is(err, storage.ErrNotFound) {
		t.Errorf("of what is not there: %v", err)
	}
	damaged, _ := v.failing(fault.Rule{Op: fault.Get, Key: "clusters/*/*/wal/*/*/*", Action: fault.FlipByte(900)})
	if err := restore.FetchAhead(t.Context(), damaged, there, filepath.Join(dir, "x")); err == nil {
		t.Error("a damaged segment was brought")
	}
	untouched(t, dir)
}
