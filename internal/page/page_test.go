package page_test

import (
	"bytes"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"lifeboat/internal/page"
	"lifeboat/internal/pgtest"
	"lifeboat/internal/relfile"
	"lifeboat/internal/wal"
)

// TestEveryPageOfAServerMatches checks all relation files of stopped servers.
func TestEveryPageOfAServerMatches(t *testing.T) {
	t.Parallel()
	pgtest.Each(t, func(t *testing.T, install pgtest.Install) {
		c := pgtest.Start(t, install, pgtest.Options{DataChecksums: true})
		c.Exec(t.Context(), "CREATE TABLE t AS SELECT g, repeat('x', 200) AS v FROM generate_series(1, 20000) g")
		c.Exec(t.Context(), "VACUUM t")
		table := c.Value(t.Context(), "SELECT pg_relation_filepath('t')")
		c.Stop()
		good := verifyTree(t, c.DataDir)
		if good < 1500 {
			t.Errorf("only %d pages checked", good)
		}
		findsEveryBit(t, filepath.Join(c.DataDir, table))
	})
}

func verifyTree(t *testing.T, root string) (good int) {
	t.Helper()
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		place, err := filepath.Rel(root, path)
		name, ok := relfile.ParseRelation(place)
		if err != nil || !ok {
			return err
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for i := 0; i+page.Size <= len(data); i += page.Size {
			block := page.FirstBlock(name.Segment, 131072) + uint32(i/page.Size)
			switch got := page.Verify(data[i:i+page.Size], block, 1<<60); got {
			case page.Good:
				good++
			case page.New:
			default:
				t.Errorf("%s, block %d: %v", path, block, got)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return good
}

func findsEveryBit(t *testing.T, path string) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	third := data[3*page.Size : 4*page.Size]
	if got := page.Verify(third, 2, 1<<60); got != page.Damaged {
		t.Errorf("page in another block's place: %v", got)
	}
	if got := page.Verify(third, 3, page.LSN(third)); got != page.Recent {
		t.Errorf("page that was changed after the start: %v", got)
	}
	unseen := 0
	for i := range page.Size {
		bit := 0
		for ; bit < 8 && !seesFlip(third, i, (i+bit)%8); bit++ {
			unseen++
		}
		if bit == 8 {
			t.Fatalf("no bit flipped in byte %d is found", i)
		}
	}
	if unseen > 8 { // a checksum of 16 bits is the same for one flip in 65535, of which this were thousands
		t.Errorf("%d flipped bits are not found", unseen)
	}
}

// seesFlip says whether a bit that is flipped in a sound page number 3 is found.
func seesFlip(sound []byte, at, bit int) bool {
	spoilt := bytes.Clone(sound)
	spoilt[at] ^= 1 << bit
	got := page.Verify(spoilt, 3, 1<<60)
	return got == page.Damaged || got == page.Recent
}

func TestNewPages(t *testing.T) {
	t.Parallel()
	empty := make([]byte, page.Size)
	if got := page.Verify(empty, 7, 1); got != page.New {
		t.Errorf("page of zeroes: %v", got)
	}
	empty[5000] = 1
	if got := page.Verify(empty, 7, 1); got != page.Damaged {
		t.Errorf("page without a header, but with content: %v", got)
	}
}

func FuzzVerify(f *testing.F) {
	f.Add([]byte{1, 2, 3}, uint32(0), uint64(1))
	f.Fuzz(func(t *testing.T, start []byte, block uint32, lsn uint64) {
		data := make([]byte, page.Size)
		copy(data, start)
		if page.Checksum(data, block) == 0 {
			t.Error("a checksum is never 0")
		}
		page.Verify(data, block, wal.LSN(lsn))
	})
}

func BenchmarkChecksum(b *testing.B) {
	data := make([]byte, page.Size)
	for i := range data {
		data[i] = byte(rand.Uint32())
	}
	b.SetBytes(page.Size)
	for b.Loop() {
		page.Checksum(data, 1)
	}
}
