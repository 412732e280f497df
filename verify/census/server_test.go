package census

import (
	"testing"

	"lifeboat/internal/wal"
)

func TestEndOfWALLeavesTheNextHeaderOut(t *testing.T) {
	t.Parallel()
	const size = wal.MinSegmentSize
	for _, c := range []struct{ lsn, want wal.LSN }{
		{0x300000 + 100, 0x300000 + 100},
		{0x300000 + wal.LongHeaderSize, 0x300000},
		{0x300000 + wal.LongHeaderSize + 8, 0x300000 + wal.LongHeaderSize + 8},
		{0x302000 + wal.ShortHeaderSize, 0x302000},
		{0x302000 + wal.LongHeaderSize, 0x302000 + wal.LongHeaderSize},
		{0x302000, 0x302000},
	} {
		if got := endOfWAL(c.lsn, size); got != c.want {
			t.Errorf("%s: %s, not %s", c.lsn, got, c.want)
		}
	}
}
