package drill

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// onDisk is how many bytes a file takes on the disk.
func onDisk(t *testing.T, path string) int64 {
	t.Helper()
	info, err := os.Stat(path)
	if errors.Is(err, os.ErrNotExist) {
		return 0
	}
	if err != nil {
		t.Fatal(err)
	}
	return info.Sys().(*syscall.Stat_t).Blocks * 512
}

func TestBallastGivesWayAsTheCopyGrows(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "ballast")
	const total = 64 << 20
	b, err := layBallast(path, total+(16<<20))
	if err != nil {
		t.Fatal(err)
	}
	if b.kept() != 80<<20 || onDisk(t, path) < 80<<20 {
		t.Errorf("%d bytes are set aside, %d on the disk", b.kept(), onDisk(t, path))
	}
	for _, done := range []int64{0, 1 << 20, 30 << 20, total - 1, total, total + 100} {
		if err := b.give(done, total); err != nil {
			t.Fatal(err)
		}
		left := max(0, total-done)
		if b.kept() < left || b.kept() > left+ballastStep {
			t.Errorf("with %d of %d copied %d bytes are set aside", done, int64(total), b.kept())
		}
		if used := onDisk(t, path); used > b.kept()+(1<<20) {
			t.Errorf("%d bytes are on the disk, %d are to be", used, b.kept())
		}
	}
	for range 2 {
		if err := b.drop(); err != nil || onDisk(t, path) != 0 {
			t.Errorf("dropped: %v", err)
		}
	}
}

func TestTooSmallADiskIsToldWithItsSizes(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	_, err := layBallast(filepath.Join(dir, "drill", "..", "ballast"), 1<<60)
	var room *RoomError
	if !errors.As(err, &room) || room.Need != 1<<60 || room.Free <= 0 || !strings.Contains(err.Error(), "are free") || room.Hint() == "" {
		t.Errorf("%v", err)
	}
	if left, _ := os.ReadDir(dir); len(left) != 0 {
		t.Errorf("left: %v", left)
	}
}
