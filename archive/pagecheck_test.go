package archive

import (
	"context"
	"encoding/binary"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"lifeboat/internal/page"
	"lifeboat/internal/wal"
	"lifeboat/storage/catalog"
)

// dataPage is a page of a relation, sound as block number block.
func dataPage(block uint32, lsn wal.LSN) []byte {
	p := pattern(page.Size)
	binary.LittleEndian.PutUint32(p, uint32(lsn>>32))
	binary.LittleEndian.PutUint32(p[4:], uint32(lsn))
	binary.LittleEndian.PutUint16(p[8:], page.Checksum(p, block))
	return p
}

func newPageCheck() *pageCheck {
	return &pageCheck{enabled: true, start: 1000, blocksPerSegment: 131072, logger: slog.New(slog.DiscardHandler)}
}

// readChecked reads a file as a backup does and returns the damaged pages.
func readChecked(t *testing.T, c *pageCheck, path string, file io.ReaderAt, size int64) []catalog.DamagedPage {
	t.Helper()
	check := c.file(path, file)
	r := newReader(file, size)
	r.inspect = func(chunk []byte, offset int64) error { return check(context.Background(), chunk, offset) }
	if _, err := io.Copy(io.Discard, r); err != nil {
		t.Fatal(err)
	}
	return c.damaged
}

// A relation of more than a gigabyte has several files, and its blocks are counted through them. Pages that were never
// used are sound.
func TestDamagedPageIsNamedByItsBlockInTheRelation(t *testing.T) {
	t.Parallel()
	const size = 64 << 20
	f, err := os.Create(filepath.Join(t.TempDir(), "16390.2"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	const sound, broken, last = 2*131072 + 7, 2*131072 + 4000, 2*131072 + size/page.Size - 1
	for block, p := range map[int64][]byte{
		sound: dataPage(sound, 1), broken: dataPage(broken-131072, 1), last: dataPage(last+1, 1),
	} {
		if _, err := f.WriteAt(p, (block-2*131072)*page.Size); err != nil {
			t.Fatal(err)
		}
	}
	const path = "base/5/16390.2"
	want := []catalog.DamagedPage{{Path: path, Block: broken}, {Path: path, Block: last}}
	if got := readChecked(t, newPageCheck(), path, f, size); !slices.Equal(got, want) {
		t.Errorf("damaged pages are %v, want %v", got, want)
	}
}

// torn is a file in which one page is whole only when it is read again.
type torn struct {
	pages    []byte
	attempts int // reads of a single page until it is whole
}

func (f *torn) ReadAt(p []byte, offset int64) (int, error) {
	n := copy(p, f.pages[offset:])
	if len(p) == page.Size {
		f.attempts--
	}
	if f.attempts > 0 {
		p[page.Size-int(offset)%page.Size-1] ^= 1
	}
	return n, nil
}

func TestTornPageIsReadAgain(t *testing.T) {
	t.Parallel()
	pages := slices.Concat(dataPage(0, 1), dataPage(1, 1))
	for attempts, damaged := range map[int]int{0: 0, 1: 0, pageRereads: 0, pageRereads + 1: 1} {
		c := newPageCheck()
		got := readChecked(t, c, "base/5/16390", &torn{pages: pages, attempts: attempts}, int64(len(pages)))
		if len(got) != damaged {
			t.Errorf("whole at reading %d: %v", attempts, got)
		}
	}
}

func TestPagesThatTheWALBringsAreNotJudged(t *testing.T) {
	t.Parallel()
	pages := slices.Concat(dataPage(9, 1000), dataPage(9, 999), make([]byte, page.Size), []byte("the server is writing"))
	file := &torn{pages: pages}
	got := readChecked(t, newPageCheck(), "base/5/16390", file, int64(len(pages)))
	if want := []catalog.DamagedPage{{Path: "base/5/16390", Block: 1}}; !slices.Equal(got, want) {
		t.Errorf("damaged pages are %v, want %v", got, want)
	}
	off := newPageCheck()
	off.enabled = false
	for name, c := range map[string]*pageCheck{"base/5/pg_filenode.map": newPageCheck(), "base/5/16390": off} {
		if got := readChecked(t, c, name, file, int64(len(pages))); len(got) != 0 {
			t.Errorf("%s: %v", name, got)
		}
	}
}
