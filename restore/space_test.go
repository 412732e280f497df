package restore

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"lifeboat/internal/wal"
	"lifeboat/storage/catalog"
)

// TestTooSmallAFileSystem wants more than there is: two sites of one file system are added up, and both go again.
func TestTooSmallAFileSystem(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	probe := &site{path: dir}
	_, free, err := probe.free()
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		need    []int64
		segment wal.SegmentSize
		fits    bool
	}{
		"little":                 {[]int64{4096, 4096}, wal.MinSegmentSize, true},
		"too much":               {[]int64{2 * free, 0}, wal.MinSegmentSize, false},
		"too much for both":      {[]int64{free/4*3 + 1, free/4*3 + 1}, wal.MinSegmentSize, false},
		"no room for WAL itself": {[]int64{0, 0}, wal.SegmentSize(free), false},
	} {
		r := &restorer{
			plan: Plan{
				Directory: filepath.Join(dir, "data"), Tablespaces: []PlannedTablespace{{Target: filepath.Join(dir, "deep", "space")}},
				record: catalog.Record{WALSegmentSize: c.segment},
			},
			layout: &layout{need: c.need}, options: ExecOptions{Logger: slog.New(slog.DiscardHandler)},
		}
		if err := r.openSites(); err != nil {
			t.Fatal(err)
		}
		err := r.checkSpace()
		var small *SpaceError
		if c.fits != (err == nil) || !c.fits && (!errors.As(err, &small) || small.Need <= small.Free || small.Hint() == "") {
			t.Errorf("%s: %v", name, err)
		}
		if err := r.abandon(); err != nil {
			t.Error(err)
		}
		if left, err := os.ReadDir(dir); err != nil || len(left) != 0 {
			t.Errorf("%s: left %v, %v", name, left, err)
		}
	}
}
