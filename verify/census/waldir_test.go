package census

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"lifeboat/internal/wal"
)

// emptySegments is a pg_wal with files of the given numbers, without content.
func emptySegments(t *testing.T, size wal.SegmentSize, numbers ...wal.SegmentNumber) walDirectory {
	t.Helper()
	d := walDirectory{path: t.TempDir(), timeline: 3, size: size}
	for _, number := range numbers {
		if err := os.WriteFile(filepath.Join(d.path, wal.SegmentName(3, number, size)), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return d
}

func TestScanStarts(t *testing.T) {
	t.Parallel()
	const mib = 1 << 20
	for _, c := range []struct {
		name     string
		size     wal.SegmentSize
		segments []wal.SegmentNumber
		lsn      wal.LSN
		want     []wal.LSN
	}{
		{"deep in a segment", 16 * mib, []wal.SegmentNumber{4, 5}, 94 * mib, []wal.LSN{86 * mib, 80 * mib, 80 * mib}},
		{"early in a segment", 16 * mib, []wal.SegmentNumber{4, 5}, 82 * mib, []wal.LSN{74 * mib, 64 * mib, 80 * mib}},
		{"early in the only segment", 16 * mib, []wal.SegmentNumber{5}, 82 * mib, []wal.LSN{80 * mib, 80 * mib, 80 * mib}},
		{"small segments", mib, []wal.SegmentNumber{50, 52, 53, 54}, 54*mib + 100, []wal.LSN{52 * mib, 52 * mib, 54 * mib}},
		{"the very first segment", mib, []wal.SegmentNumber{1}, mib + 100, []wal.LSN{mib, mib, mib}},
	} {
		d := emptySegments(t, c.size, c.segments...)
		if got := d.scanStarts(c.lsn); !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, not %v", c.name, got, c.want)
		}
	}
}

func TestSegmentThatIsGoneIsNamed(t *testing.T) {
	t.Parallel()
	d := emptySegments(t, wal.MinSegmentSize)
	h := d.readHistory(0x300100, 0x300200)
	if h.unread == nil || !strings.Contains(h.unread.Error(), "000000030000000000000003 is no longer in pg_wal") {
		t.Errorf("%v", h.unread)
	}
}
