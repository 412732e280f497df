package main

import (
	"path/filepath"
	"slices"
	"testing"

	"lifeboat/internal/pgtest"
	"lifeboat/internal/wal"
	"lifeboat/storage/catalog"
)

func TestFoldsAreFarApart(t *testing.T) {
	t.Parallel()
	segment := wal.SegmentFile(1, 7, wal.MinSegmentSize)
	for name, c := range map[string]struct {
		pieces, size, most int
	}{
		"as fast as a segment a minute": {64, 16 << 10, 1},
		"slow":                          {5000, 200, 30},
		"all but idle":                  {20_000, 40, 45},
		"none":                          {63, 16 << 10, 0},
	} {
		var f folds
		folded, longest := 0, 0
		for i := range c.pieces {
			newest := catalog.TailRange{From: uint32(i * c.size), To: uint32((i + 1) * c.size)}
			if f.due(segment, newest) != nil {
				f.done(segment, newest.To)
				folded++
			}
			longest = max(longest, len(f.pieces))
		}
		if folded > c.most || c.most > 0 && folded == 0 || longest > foldAlways {
			t.Errorf("%s: folded %d times, %d pieces at most", name, folded, longest)
		}
	}
	if f := (folds{pieces: make([]catalog.TailRange, foldAlways), segment: segment}); f.due(segment, catalog.TailRange{To: foldMost + 1}) != nil {
		t.Error("too much to hold in memory is to be folded")
	}
}

func TestPiecesOfASlowSegmentAreFolded(t *testing.T) {
	t.Parallel()
	in := newStation(t, pgtest.Options{}, "    wal: {stream: true, interval: 20ms}\n")
	in.readyAgent()
	db := in.server
	db.Exec(t.Context(), "CREATE TABLE ledger (id bigint GENERATED ALWAYS AS IDENTITY, filler text)")
	starts := map[string]bool{}
	in.eventually("the first piece gives way to a longer one", func() bool {
		db.Exec(t.Context(), "INSERT INTO ledger (filler) SELECT 'x' FROM generate_series(1, 20)")
		found := in.pieces("00000000-*")
		for _, piece := range found {
			starts[piece] = true
		}
		return len(starts) > 1 && len(found) == 1
	})
	if all := in.pieces("*"); len(all) > 2*foldPieces {
		t.Errorf("there are still %d pieces", len(all))
	}
}

// pieces are those of the tails in the repository whose names match.
func (in *installation) pieces(name string) []string {
	in.t.Helper()
	found, err := filepath.Glob(filepath.Join(in.repository, "clusters", "main", "*", "tails", "*", "*", "*", name))
	if err != nil {
		in.t.Fatal(err)
	}
	slices.Sort(found)
	return found
}
