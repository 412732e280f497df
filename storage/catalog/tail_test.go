package catalog

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"

	"lifeboat/internal/wal"
	"lifeboat/storage"
	"lifeboat/storage/fault"
)

// noops is a segment of records that do nothing, up to about the given number of bytes, and then zeros.
func noops(segment wal.FileName, bytesOfRecords int) []byte {
	start := segment.Start(wal.MinSegmentSize)
	content := make([]byte, 0, wal.MinSegmentSize)
	prev := uint64(start) - 32
	for len(content) < bytesOfRecords {
		if len(content)%wal.PageSize == 0 {
			content = appendPageHeader(content, start+wal.LSN(len(content)), segment.Timeline)
		}
		at := uint64(start) + uint64(len(content))
		if room := wal.PageSize - len(content)%wal.PageSize; room < 64 {
			content = append(content, noop(prev, room)...)
		} else {
			content = append(content, noop(prev, 32)...)
		}
		prev = at
	}
	return append(content, make([]byte, int(wal.MinSegmentSize)-len(content))...)
}

func appendPageHeader(content []byte, at wal.LSN, tli wal.TimelineID) []byte {
	little := binary.LittleEndian
	long := len(content) == 0
	content = little.AppendUint16(content, 0xD110) // PostgreSQL 15
	if long {
		content = little.AppendUint16(content, 2) // XLP_LONG_HEADER
	} else {
		content = little.AppendUint16(content, 0)
	}
	content = little.AppendUint32(content, uint32(tli))
	content = little.AppendUint64(content, uint64(at))
	content = little.AppendUint64(content, 0) // nothing remains of a record before
	if long {
		content = little.AppendUint64(content, sceneIdentity().SystemIdentifier)
		content = little.AppendUint32(content, uint32(wal.MinSegmentSize))
		content = little.AppendUint32(content, wal.PageSize)
	}
	return content
}

// noop is an XLOG_NOOP of the size.
func noop(prev uint64, size int) []byte {
	little := binary.LittleEndian
	data := append([]byte{255, byte(size - 26)}, make([]byte, size-26)...) // XLR_BLOCK_ID_DATA_SHORT
	record := little.AppendUint32(nil, uint32(size))
	record = little.AppendUint32(record, 0)
	record = little.AppendUint64(record, prev)
	record = append(record, 0x20, 0, 0, 0) // XLOG_NOOP
	table := crc32.MakeTable(crc32.Castagnoli)
	record = little.AppendUint32(record, crc32.Update(crc32.Checksum(data, table), table, record))
	return append(record, data...)
}

// unfinished is a segment of which the server has written so many bytes.
type unfinished struct {
	name    wal.FileName
	content []byte
}

func newUnfinished(t *testing.T, name string, written int) unfinished {
	t.Helper()
	segment := must(wal.ParseFileName(name))(t)
	return unfinished{name: segment, content: noops(segment, written)}
}

// piece is the bytes from one offset to another.
func (u unfinished) piece(t *testing.T, from, to uint32) TailPiece {
	t.Helper()
	summary := must(SummarizeTail(bytes.NewReader(u.content), to, u.name, wal.MinSegmentSize))(t)
	return TailPiece{Segment: u.name, From: from, Data: u.content[from:to], Summary: &summary, Secret: sceneSecret}
}

// upTo is what GetTail must give where the tail ends at to.
func (u unfinished) upTo(to uint32) []byte {
	return append(slices.Clone(u.content[:to]), make([]byte, len(u.content)-int(to))...)
}

func (s *scene) putTail(t *testing.T, pieces ...TailPiece) {
	t.Helper()
	for _, p := range pieces {
		if err := s.cluster.PutTail(t.Context(), p, sceneTime); err != nil {
			t.Fatal(err)
		}
	}
}

const tailName = "000000010000000000000004"

func TestTailIsAssembledFromItsPieces(t *testing.T) {
	t.Parallel()
	inEachForm(t, func(t *testing.T, form form) {
		for name, c := range map[string]struct {
			pieces [][2]uint32
			end    uint32
		}{
			"one":                  {[][2]uint32{{0, 5000}}, 5000},
			"a few":                {[][2]uint32{{0, 5000}, {5000, 8192}, {8192, 30001}}, 30001},
			"stored twice":         {[][2]uint32{{0, 5000}, {5000, 9000}, {5000, 9000}}, 9000},
			"overlapping":          {[][2]uint32{{0, 5000}, {3000, 9000}, {0, 7000}, {8999, 10000}}, 10000},
			"one in another":       {[][2]uint32{{0, 9000}, {100, 200}}, 9000},
			"hole":                 {[][2]uint32{{0, 5000}, {6000, 9000}}, 5000},
			"hole of one byte":     {[][2]uint32{{0, 5000}, {5001, 9000}}, 5000},
			"the whole segment":    {[][2]uint32{{0, 5000}, {5000, 1 << 20}}, 1 << 20},
			"no start":             {[][2]uint32{{5000, 9000}}, 0},
			"nothing":              {nil, 0},
			"less than a record":   {[][2]uint32{{0, 41}}, 41},
			"in the middle of one": {[][2]uint32{{0, 5003}, {5003, 5004}}, 5004},
		} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				s := form.scene(t)
				u := newUnfinished(t, tailName, 200_000)
				for _, p := range c.pieces {
					s.putTail(t, u.piece(t, p[0], p[1]))
				}
				var got bytes.Buffer
				end, err := s.cluster.GetTail(t.Context(), u.name, &got)
				if c.end == 0 {
					if !errors.Is(err, storage.ErrNotFound) || got.Len() != 0 {
						t.Errorf("%d bytes, %v", got.Len(), err)
					}
					return
				}
				if err != nil || end != c.end || !bytes.Equal(got.Bytes(), u.upTo(c.end)) {
					t.Errorf("tail to %d of %d bytes, %v", end, got.Len(), err)
				}
			})
		}
	})
}

func TestTailThatCannotBeIsRefused(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	u := newUnfinished(t, tailName, 20_000)
	for name, change := range map[string]func(*TailPiece){
		"no bytes":         func(p *TailPiece) { p.Data = nil },
		"beyond the end":   func(p *TailPiece) { p.From = 1<<20 - 10 },
		"no summary":       func(p *TailPiece) { p.Summary = nil },
		"another cluster":  func(p *TailPiece) { other := *p.Summary; other.SystemIdentifier++; p.Summary = &other },
		"a history file":   func(p *TailPiece) { p.Segment = wal.HistoryFile(2) },
		"no such segment":  func(p *TailPiece) { p.Segment.Seg = 1 << 20 },
		"a partial's name": func(p *TailPiece) { p.Segment.Kind = wal.Partial },
	} {
		p := u.piece(t, 0, 5000)
		change(&p)
		if err := s.cluster.PutTail(t.Context(), p, sceneTime); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
	if pieces := must(s.cluster.Tail(t.Context(), u.name))(t); len(pieces) != 0 {
		t.Errorf("stored: %v", pieces)
	}
}

// Two servers that write one timeline must not make one tail together.
func TestTailOfTwoServersIsDamage(t *testing.T) {
	t.Parallel()
	inEachForm(t, func(t *testing.T, form form) {
		one := newUnfinished(t, tailName, 20_000)
		two := one
		two.content = slices.Clone(one.content)
		copy(two.content[4040:], noop(uint64(one.name.Start(wal.MinSegmentSize))+4008, 64))
		edited := one.piece(t, 4000, 5000)
		edited.Data = slices.Clone(edited.Data)
		edited.Data[10] ^= 1
		for name, pieces := range map[string][]TailPiece{
			"only bytes that both hold differ": {one.piece(t, 0, 4500), edited},
			"they differ where they overlap":   {one.piece(t, 0, 4500), two.piece(t, 4000, 5000)},
			"one goes on where the other is":   {one.piece(t, 0, 4500), two.piece(t, 4500, 5000)},
		} {
			s := form.scene(t)
			s.putTail(t, pieces...)
			var got bytes.Buffer
			if _, err := s.cluster.GetTail(t.Context(), one.name, &got); !isDamaged(err) || got.Len() > 0 {
				t.Errorf("%s: %d bytes, %v", name, got.Len(), err)
			}
			if report := must(s.repo.Scrub(t.Context(), ScrubOptions{}))(t); len(report.Damaged) != 1 {
				t.Errorf("%s: scrub says %+v", name, report)
			}
		}
		s := form.scene(t)
		s.putTail(t, one.piece(t, 0, 4500))
		for who, c := range map[string]*Cluster{"with identity": s.cluster, "agent": s.agent(t).cluster} {
			var conflict *ConflictError
			if err := c.PutTail(t.Context(), two.piece(t, 0, 4500), sceneTime); !errors.As(err, &conflict) {
				t.Errorf("%s: the same piece of another server: %v", who, err)
			}
			if err := c.PutTail(t.Context(), one.piece(t, 0, 4500), sceneTime); err != nil {
				t.Errorf("%s: the same piece once more: %v", who, err)
			}
		}
		if found := must(s.cluster.Findings(t.Context()))(t); len(found) != 1 || found[0].Kind != FindingConflict {
			t.Errorf("findings: %+v", found)
		}
	})
}

// An object under another's key is found, be it that of another piece, of a whole segment or of another segment.
func TestMisplacedPiecesAreDamage(t *testing.T) {
	t.Parallel()
	inEachForm(t, func(t *testing.T, form form) {
		s := form.scene(t)
		u := newUnfinished(t, tailName, 200_000)
		s.putTail(t, u.piece(t, 0, 5000), u.piece(t, 5000, 10000), u.piece(t, 0, 1<<20))
		s.put(t, soundSegment(t, "000000010000000000000003"))
		first := s.cluster.tailKey(u.name, TailRange{0, 5000})
		sound := s.object(t, first)
		next := must(wal.ParseFileName("000000010000000000000005"))(t)
		all := s.object(t, s.cluster.tailKey(u.name, TailRange{0, 1 << 20}))
		mustDo(t, os.Remove(s.path(s.cluster.tailKey(u.name, TailRange{0, 1 << 20})))) // else the others are not needed
		for name, content := range map[string][]byte{
			"another piece":   s.object(t, s.cluster.tailKey(u.name, TailRange{5000, 10000})),
			"the whole piece": all,
			"whole segment":   s.object(t, s.cluster.walKey(must(wal.ParseFileName("000000010000000000000003"))(t))),
		} {
			s.overwrite(t, first, content)
			if _, err := s.cluster.GetTail(t.Context(), u.name, io.Discard); !isDamaged(err) {
				t.Errorf("%s in its place: %v", name, err)
			}
			if _, err := s.cluster.pieceHeader(t.Context(), u.name, TailRange{0, 5000}); !isDamaged(err) {
				t.Errorf("header of %s in its place: %v", name, err)
			}
		}
		s.overwrite(t, first, sound)
		s.overwrite(t, s.cluster.tailKey(next, TailRange{0, 5000}), sound)
		if _, err := s.cluster.GetTail(t.Context(), next, io.Discard); !isDamaged(err) {
			t.Errorf("piece of another segment: %v", err)
		}
		s.overwrite(t, s.cluster.walKey(next), all)
		if _, err := s.cluster.GetWAL(t.Context(), next, io.Discard); !isDamaged(err) {
			t.Errorf("piece as a segment: %v", err)
		}
	})
}

func TestDropTailWaitsForTheSegment(t *testing.T) {
	t.Parallel()
	inEachForm(t, func(t *testing.T, form form) {
		s := form.scene(t)
		u := newUnfinished(t, tailName, 20_000)
		s.putTail(t, u.piece(t, 0, 5000), u.piece(t, 5000, 10000))
		if err := s.cluster.DropTail(t.Context(), u.name); !errors.Is(err, storage.ErrNotFound) {
			t.Errorf("segment is not there: %v", err)
		}
		s.put(t, segment(t, tailName, ""))
		refused := s.faulty(t, fault.Rule{Op: fault.Delete, Times: -1, Action: fault.Fail(os.ErrPermission)})
		if err := refused.DropTail(t.Context(), u.name); err != nil {
			t.Errorf("without the right to delete: %v", err)
		}
		if pieces := must(s.cluster.Tail(t.Context(), u.name))(t); len(pieces) != 2 {
			t.Errorf("left: %v", pieces)
		}
		if err := s.cluster.DropTail(t.Context(), u.name); err != nil {
			t.Error(err)
		}
		if pieces := must(s.cluster.Tail(t.Context(), u.name))(t); len(pieces) != 0 {
			t.Errorf("left: %v", pieces)
		}
	})
}

func TestInventoryEndsWithTheTail(t *testing.T) {
	t.Parallel()
	inEachForm(t, func(t *testing.T, form form) {
		for name, c := range map[string]struct {
			tails map[string]uint32 // ends, by segment
			runs  []string
			tail  wal.LSN // of the last run
		}{
			"behind the last segment":  {map[string]uint32{"000000010000000000000004": 5000}, []string{"1: 2-5"}, at(4) + 5000},
			"of a stored segment":      {map[string]uint32{"000000010000000000000003": 5000}, []string{"1: 2-4"}, 0},
			"behind a hole":            {map[string]uint32{"000000010000000000000006": 5000}, []string{"1: 2-4", "1: 6-7"}, at(6) + 5000},
			"before a segment":         {map[string]uint32{"000000010000000000000001": 5000}, []string{"1: 2-4"}, 0},
			"whole before a segment":   {map[string]uint32{"000000010000000000000001": 1 << 20}, []string{"1: 1-4"}, 0},
			"two":                      {map[string]uint32{"000000010000000000000004": 5000, "000000010000000000000005": 5000}, []string{"1: 2-4", "1: 5-6"}, at(5) + 5000},
			"a whole one and a second": {map[string]uint32{"000000010000000000000004": 1 << 20, "000000010000000000000005": 5000}, []string{"1: 2-6"}, at(5) + 5000},
			"of another timeline":      {map[string]uint32{"000000020000000000000003": 5000}, []string{"1: 2-4", "2: 3-4"}, at(3) + 5000},
		} {
			s := form.scene(t)
			s.archive(t, 1, 2, 3)
			for name, end := range c.tails {
				s.putTail(t, newUnfinished(t, name, 200_000).piece(t, 0, end))
			}
			for who, cluster := range map[string]*Cluster{"with identity": s.cluster, "agent": s.agent(t).cluster} {
				inv := must(cluster.Inventory(t.Context()))(t)
				last := inv.Runs[len(inv.Runs)-1]
				if got := shown(inv.Runs); !slices.Equal(got, c.runs) || last.Tail != c.tail {
					t.Errorf("%s, %s: runs %q with a tail to %s, want %q and %s", name, who, got, last.Tail, c.runs, c.tail)
				}
				if c.tail != 0 && (last.LastRecordEnd == 0 || last.LastRecordEnd > c.tail || last.LastRecordEnd < c.tail-64) {
					t.Errorf("%s, %s: last record ends at %s, the tail at %s", name, who, last.LastRecordEnd, c.tail)
				}
			}
		}
	})
}

func TestGetSegmentServesTheTailAtTheEnd(t *testing.T) {
	t.Parallel()
	inEachForm(t, func(t *testing.T, form form) {
		s := form.scene(t)
		s.archive(t, 1, 2, 3)
		u := newUnfinished(t, tailName, 20_000)
		s.putTail(t, u.piece(t, 0, 5000), u.piece(t, 5000, 10000))
		var got bytes.Buffer
		h, err := s.cluster.GetSegment(t.Context(), u.name, &got)
		if err != nil || h.Name != tailName || h.Size != 1<<20 || !bytes.Equal(got.Bytes(), u.upTo(10000)) {
			t.Errorf("%d bytes, %+v, %v", got.Len(), h, err)
		}
		if h, err := s.cluster.SegmentHeader(t.Context(), u.name); err != nil || h.Summary.LastRecordEnd != at(4)+9976 {
			t.Errorf("header %+v, %v", h.Summary, err)
		}
		absent := must(wal.ParseFileName("000000010000000000000005"))(t)
		if _, err := s.cluster.GetSegment(t.Context(), absent, io.Discard); !errors.Is(err, storage.ErrNotFound) {
			t.Errorf("behind the tail: %v", err)
		}
		if later := must(s.cluster.HasLaterWAL(t.Context(), must(wal.ParseFileName("000000010000000000000003"))(t)))(t); !later {
			t.Error("the tail is no later WAL")
		}
		s.putTail(t, newUnfinished(t, absent.String(), 20_000).piece(t, 0, 5000))
		for call, err := range map[string]error{
			"GetSegment":    errOf(s.cluster.GetSegment(t.Context(), u.name, io.Discard)),
			"SegmentHeader": errOf(s.cluster.SegmentHeader(t.Context(), u.name)),
		} {
			if !errors.Is(err, ErrUnfinished) || errors.Is(err, storage.ErrNotFound) {
				t.Errorf("%s with later WAL: %v", call, err)
			}
		}
		s.put(t, segment(t, tailName, ""))
		if h, err := s.cluster.GetSegment(t.Context(), u.name, io.Discard); err != nil || h.SHA256 == "" {
			t.Errorf("when it is whole: %+v, %v", h, err)
		}
	})
}

func TestOutageOfTheTailIsNoAbsence(t *testing.T) {
	t.Parallel()
	inEachForm(t, func(t *testing.T, form form) {
		s := form.scene(t)
		u := newUnfinished(t, tailName, 20_000)
		s.putTail(t, u.piece(t, 0, 5000))
		for name, rule := range map[string]fault.Rule{
			"list":  {Op: fault.List, Key: "clusters/*/*/tails/*/*/*/*", Action: fault.Fail(errOutage)},
			"get":   {Op: fault.Get, Key: "clusters/*/*/tails/*/*/*/*", Action: fault.Fail(errOutage)},
			"body":  {Op: fault.Get, Key: "clusters/*/*/tails/*/*/*/*", Action: fault.Truncate(300, errOutage)},
			"later": {Op: fault.List, After: 1, Times: -1, Action: fault.Fail(errOutage)},
		} {
			c := s.faulty(t, rule)
			_, err := c.GetSegment(t.Context(), u.name, io.Discard)
			if !errors.Is(err, errOutage) || errors.Is(err, storage.ErrNotFound) || isProblem(err) {
				t.Errorf("%s: %v", name, err)
			}
		}
	})
}

// A tail may be dropped because its segment came, at any moment while somebody reads it.
func TestSegmentThatComesWhileItsTailIsReadIsServed(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	u := newUnfinished(t, tailName, 20_000)
	s.putTail(t, u.piece(t, 0, 5000), u.piece(t, 5000, 10000))
	whole := segment(t, tailName, "")
	var came error
	arrive := fault.Crash(func() {
		_, came = s.cluster.PutWAL(t.Context(), whole, sceneTime)
		came = errors.Join(came, s.cluster.DropTail(t.Context(), u.name))
	})
	c := s.faulty(t, fault.Rule{Op: fault.Get, Key: "clusters/*/*/tails/*/*/*/*", Action: arrive})
	var got bytes.Buffer
	if _, err := c.GetSegment(t.Context(), u.name, &got); err != nil || came != nil || !bytes.Equal(got.Bytes(), contentOf(t, whole)) {
		t.Errorf("%d bytes, %v, %v", got.Len(), err, came)
	}
}

func TestFoldedTailIsOneObjectWithTheSameBytes(t *testing.T) {
	t.Parallel()
	inEachForm(t, func(t *testing.T, form form) {
		s := form.scene(t)
		u := newUnfinished(t, tailName, 200_000)
		for at := uint32(0); at < 50_000; at += 1000 {
			s.putTail(t, u.piece(t, at, at+1000))
		}
		fold := u.piece(t, 0, 49_000)                             // the last piece came while it was made
		held := must(s.cluster.Tail(t.Context(), u.name))(t)[:48] // one is another server's
		for range 2 {
			if err := s.cluster.FoldTail(t.Context(), fold, held, sceneTime); err != nil {
				t.Fatal(err)
			}
		}
		if pieces := must(s.cluster.Tail(t.Context(), u.name))(t); len(pieces) != 3 {
			t.Errorf("left are %v", pieces)
		}
		var got bytes.Buffer
		if end, err := s.cluster.GetTail(t.Context(), u.name, &got); err != nil || end != 50_000 || !bytes.Equal(got.Bytes(), u.upTo(50_000)) {
			t.Errorf("tail to %d, %v", end, err)
		}
		for _, p := range []TailPiece{u.piece(t, 1000, 50_000), u.piece(t, 0, 47_999), u.piece(t, 0, 1000)} {
			if err := s.cluster.FoldTail(t.Context(), p, held, sceneTime); err == nil {
				t.Errorf("pieces were folded into %v, which does not hold them", p.span())
			}
		}
	})
}

// To take pieces that make room for one that holds them all for the end of the WAL would lose what they hold.
func TestTailThatIsFoldedWhileItIsReadIsRead(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	u := newUnfinished(t, tailName, 20_000)
	s.putTail(t, u.piece(t, 0, 5000), u.piece(t, 5000, 9000))
	var folded error
	fold := fault.Crash(func() {
		folded = s.cluster.FoldTail(t.Context(), u.piece(t, 0, 9000), []TailRange{{0, 5000}, {5000, 9000}}, sceneTime)
	})
	c := s.faulty(t, fault.Rule{Op: fault.Get, Key: "clusters/*/*/tails/*/*/*/*", Action: fold})
	var got bytes.Buffer
	if _, err := c.GetSegment(t.Context(), u.name, &got); err != nil || folded != nil || !bytes.Equal(got.Bytes(), u.upTo(9000)) {
		t.Errorf("%d bytes, %v, %v", got.Len(), err, folded)
	}
	absent := s.faulty(t, fault.Rule{Op: fault.Get, Key: "clusters/*/*/tails/*/*/*/*", Times: -1, Action: fault.Fail(storage.ErrNotFound)})
	if _, err := absent.GetSegment(t.Context(), u.name, io.Discard); err == nil || errors.Is(err, storage.ErrNotFound) {
		t.Errorf("pieces that are listed and cannot be read are %v", err)
	}
}

func TestCoverLeavesNoByteOutAndTakesNoPieceInVain(t *testing.T) {
	t.Parallel()
	for range 2000 {
		var ranges []TailRange
		for range rand.IntN(9) {
			from := uint32(rand.IntN(30))
			ranges = append(ranges, TailRange{from, from + 1 + uint32(rand.IntN(20))})
		}
		slices.SortFunc(ranges, func(a, b TailRange) int { return cmp.Or(cmp.Compare(a.From, b.From), cmp.Compare(a.To, b.To)) })
		_, want := contiguous(ranges)
		chosen := cover(ranges)
		again, got := contiguous(chosen)
		if got != want || len(again) != len(chosen) {
			t.Fatalf("%v of %v reach to %d, not %d", chosen, ranges, got, want)
		}
		for i := range chosen {
			if _, without := contiguous(slices.Delete(slices.Clone(chosen), i, i+1)); without == want {
				t.Fatalf("%v is not needed in %v", chosen[i], chosen)
			}
		}
	}
}

// TestRandomTails stores pieces in any order, of any overlap, some of them again, and reads what is contiguous.
func TestRandomTails(t *testing.T) {
	t.Parallel()
	inEachForm(t, func(t *testing.T, form form) {
		for seed := range uint64(8) {
			r := rand.New(rand.NewPCG(seed, 5))
			s := form.scene(t)
			u := newUnfinished(t, tailName, 100_000)
			known := make([]bool, 101_000)
			for range 3 + r.IntN(6) {
				from := uint32(r.IntN(3)) * uint32(r.IntN(30_000))
				p := u.piece(t, from, from+100+uint32(r.IntN(40_000)))
				s.putTail(t, p)
				for i := p.span().From; i < p.span().To; i++ {
					known[i] = true
				}
			}
			want := slices.Index(known, false)
			var got bytes.Buffer
			end, err := s.cluster.GetTail(t.Context(), u.name, &got)
			if want == 0 && errors.Is(err, storage.ErrNotFound) {
				continue
			}
			if err != nil || int(end) != want || !bytes.Equal(got.Bytes(), u.upTo(end)) {
				t.Errorf("seed %d: tail to %d, want %d: %v", seed, end, want, err)
			}
		}
	})
}

// FuzzParseTailKey holds that a key is read back to the same key, or not at all.
func FuzzParseTailKey(f *testing.F) {
	c := &Cluster{identity: sceneIdentity(), root: "clusters/main/1/"}
	for _, name := range []string{"00000000-00001388", "00000000-00100000", "00000001-00000001", "0-1", "00000000-00001388/x"} {
		f.Add("clusters/main/1/tails/00000001/00000000/000000010000000000000004/" + name)
	}
	f.Fuzz(func(t *testing.T, key string) {
		segment, r, ok := c.parseTailKey(key)
		if ok && (c.tailKey(segment, r) != key || r.check(wal.MinSegmentSize) != nil) {
			t.Errorf("%q is read as %s, %v", key, segment, r)
		}
	})
}

func TestKeysOfTailsSortByOffset(t *testing.T) {
	t.Parallel()
	var names []string
	for _, from := range []uint32{0, 9, 10, 255, 4096, 1 << 20, 1 << 29} {
		names = append(names, TailRange{from, from + 1}.name())
	}
	if !slices.IsSorted(names) {
		t.Error(fmt.Sprint(strings.Join(names, " ")))
	}
}

func errOf[T any](_ T, err error) error { return err }
