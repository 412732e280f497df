package stream

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"lifeboat/internal/pgtest"
	"lifeboat/internal/wal"
)

// segment is a whole segment of a real server, which begins with the rest of a record, and its name.
type segment struct {
	name    wal.FileName
	content []byte
}

var realSegments = struct {
	mu   sync.Mutex
	list []segment
}{}

// segments are some consecutive ones that a server wrote under load.
func segments(t testing.TB) []segment {
	t.Helper()
	realSegments.mu.Lock()
	defer realSegments.mu.Unlock()
	if realSegments.list != nil {
		return realSegments.list
	}
	cluster := pgtest.Start(t, pgtest.Newest(t), pgtest.Options{WALSegmentMB: 1, Settings: keepAll()})
	cluster.Exec(t.Context(), "CREATE TABLE filler AS SELECT g, string_agg(md5(random()::text), '') FROM generate_series(1, 400) g, generate_series(1, 300) i GROUP BY g")
	last := cluster.Value(t.Context(), "SELECT pg_walfile_name(pg_current_wal_flush_lsn())")
	paths, err := filepath.Glob(filepath.Join(cluster.DataDir, "pg_wal", "0000*[0-9A-F]"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range paths {
		name, err := wal.ParseFileName(filepath.Base(path))
		if err != nil || filepath.Base(path) >= last {
			continue
		}
		content, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		realSegments.list = append(realSegments.list, segment{name, content})
	}
	return realSegments.list
}

// ends lists where the records of a segment end.
func (s segment) ends(t *testing.T) []int64 {
	t.Helper()
	start := s.name.Start(megabyte)
	reader := wal.NewReader(wal.NewSegmentPages(bytes.NewReader(s.content), start, int64(len(s.content))), megabyte)
	if err := reader.FindFrom(start); err != nil {
		t.Fatal(err)
	}
	var ends []int64
	for {
		record, err := reader.Next()
		if err != nil {
			return ends
		}
		ends = append(ends, int64(record.End-start))
	}
}

func TestValidEndIsTheEndOfTheLastWholeRecord(t *testing.T) {
	t.Parallel()
	for _, segment := range segments(t) {
		ends := segment.ends(t)
		start := segment.name.Start(megabyte)
		for cut := int64(0); cut <= int64(megabyte); cut += 1 + cut/7 {
			end, unproven, err := validEnd(bytes.NewReader(segment.content[:cut]), cut, start, megabyte)
			if err != nil {
				t.Fatalf("%s cut at %d: %v", segment.name, cut, err)
			}
			want := int64(0)
			if rest := int64(restOfRecord(bytes.NewReader(segment.content))); cut >= rest {
				want = rest
			}
			for _, e := range ends {
				if e <= cut {
					want = max(want, e)
				}
			}
			if int64(end) > cut || int64(end) < want || !recordsBetween(ends, want, int64(end)) {
				t.Errorf("%s cut at %d: the end is %d, want %d", segment.name, cut, end, want)
			}
			if unproven > end {
				t.Errorf("%s cut at %d: %d bytes unproven of %d", segment.name, cut, unproven, end)
			}
		}
	}
}

// recordsBetween allows that a record is whole although its padding, or its last bytes, which are zeros, are missing.
func recordsBetween(ends []int64, from, to int64) bool {
	return from == to || slices.ContainsFunc(ends, func(e int64) bool { return e >= to && e-to < 64 })
}

func TestDamageBehindTheLastSyncIsCutOff(t *testing.T) {
	t.Parallel()
	segment := segments(t)[2]
	half := len(segment.content) / 2
	ends := segment.ends(t)
	behind, _ := slices.BinarySearch(ends, int64(half))
	header := int(ends[behind]) + 9 // of a record, or of a page: no padding, of which nobody keeps a checksum
	damages := map[string]func(b []byte) (at int){
		"zeros":         func(b []byte) int { clear(b[half:]); return half },
		"a lost page":   func(b []byte) int { clear(b[half : half+wal.PageSize]); return half },
		"a flipped bit": func(b []byte) int { b[header] ^= 1; return header },
		"another's page": func(b []byte) int {
			copy(b[half/wal.PageSize*wal.PageSize:], segments(t)[1].content[:wal.PageSize])
			return half
		},
	}
	for name, damage := range damages {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			content := slices.Clone(segment.content)
			at := damage(content)
			end, _, err := validEnd(bytes.NewReader(content), int64(len(content)), segment.name.Start(megabyte), megabyte)
			if err != nil || int(end) > at || int(end) < at-100000 {
				t.Errorf("the end is %d, %v; the damage is at %d", end, err, at)
			}
			if !bytes.Equal(content[:end], segment.content[:end]) {
				t.Error("damage was believed")
			}
		})
	}
}

// spoolWith makes a spool of files.
func spoolWith(t *testing.T, files map[string][]byte) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func reopen(dir string) (*spool, error) { return openSpool(dir, megabyte, 0, time.Now) }

func TestSpoolThatACrashLeftIsRecovered(t *testing.T) {
	t.Parallel()
	list := segments(t)
	one, two := list[1], list[2]
	next := wal.SegmentFile(1, two.name.SegmentNumber(megabyte)+1, megabyte).String()
	cases := map[string]struct {
		files map[string][]byte
		want  []string
	}{
		"before a full segment got its name": {
			map[string][]byte{one.name.String() + partialSuffix: one.content, two.name.String() + partialSuffix: nil},
			[]string{one.name.String(), two.name.String() + partialSuffix},
		},
		"before the next segment was begun": {
			map[string][]byte{one.name.String(): one.content, two.name.String(): two.content},
			[]string{one.name.String(), two.name.String(), next + partialSuffix},
		},
		"in a note": {
			map[string][]byte{"identity.tmp": []byte("sys"), "00000002.history": []byte("1\t0/3000000\tx\n"), two.name.String() + partialSuffix: two.content[:50000]},
			[]string{two.name.String() + partialSuffix, "00000002.history"},
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := spoolWith(t, c.files)
			for range 2 {
				s, err := reopen(dir)
				if err != nil {
					t.Fatal(err)
				}
				s.close()
			}
			if got := spoolFiles(t, dir, ""); !slices.Equal(got, c.want) {
				t.Errorf("the spool holds %v, want %v", got, c.want)
			}
		})
	}
}

// Power that is cut may leave zeros where the rest of a record from the segment before was: no checksum in the segment tells.
func TestTheRestOfARecordIsComparedBeforeItIsShipped(t *testing.T) {
	t.Parallel()
	list := segments(t)
	i := slices.IndexFunc(list, func(s segment) bool { return restOfRecord(bytes.NewReader(s.content)) > 0 })
	segment, half := list[i], len(list[i].content)/2
	content := slices.Clone(segment.content[:half])
	clear(content[wal.LongHeaderSize:min(restOfRecord(bytes.NewReader(content)), wal.PageSize)])
	for _, c := range []struct {
		what string
		do   func(s *spool) error
	}{
		{"the server has sent it", func(s *spool) error {
			return errors.Join(s.settle(), s.put(s.current.start, segment.content[:half]), s.sync())
		}},
		{"there is no server to ask", func(s *spool) error { s.believe(); return nil }},
	} {
		s, err := reopen(spoolWith(t, map[string][]byte{segment.name.String() + partialSuffix: content}))
		if err != nil {
			t.Fatal(err)
		}
		if s.waiting().current != nil {
			t.Errorf("it is shipped before %s", c.what)
		}
		if err := c.do(s); err != nil || s.waiting().current == nil {
			t.Errorf("%s, and it is not shipped: %v", c.what, err)
		}
		got := make([]byte, s.current.durable)
		if err := s.read(segment.name, got, 0); err != nil || s.unproven == 0 && !bytes.Equal(got, segment.content[:len(got)]) {
			t.Errorf("%s, and the spool holds something else: %v", c.what, err)
		}
		s.close()
	}
}

func TestFilesThatDoNotBelongIntoASpoolAreNotTouched(t *testing.T) {
	t.Parallel()
	name := segments(t)[1].name.String()
	for _, files := range []map[string][]byte{
		{"notes.txt": []byte("mine")},
		{name: []byte("short")},
		{name + partialSuffix: make([]byte, megabyte+1)},
		{name + ".backup": nil},
		{"00000001-0000000000000001-X.gap": nil},
		{identityName: []byte("nonsense")},
		{identityName: []byte("system identifier 7\nsegment size 16777216\n")},
	} {
		dir := spoolWith(t, files)
		if s, err := reopen(dir); err == nil {
			s.close()
			t.Errorf("a spool with %v was accepted", spoolFiles(t, dir, ""))
		}
		if len(spoolFiles(t, dir, "")) != 1 {
			t.Errorf("%v: the file is gone", files)
		}
	}
}

func TestGapsSurviveARestart(t *testing.T) {
	t.Parallel()
	dir := spoolWith(t, nil)
	s, err := reopen(dir)
	if err != nil {
		t.Fatal(err)
	}
	g := gap{timeline: 26, from: 0x12_3456_789A, to: 0xFF_0000_0000, why: "gone"}
	if err := s.addGap(g); err != nil {
		t.Fatal(err)
	}
	s.close()
	if s, err = reopen(dir); err != nil {
		t.Fatal(err)
	}
	defer s.close()
	if !slices.Equal(s.gaps, []gap{g}) {
		t.Errorf("the gaps are %v, want %v", s.gaps, g)
	}
}

func TestLostRangesFollowTheTimelines(t *testing.T) {
	t.Parallel()
	history := wal.TimelineHistory{Timeline: 4, Entries: []wal.HistoryEntry{{Timeline: 1, SwitchLSN: 100}, {Timeline: 3, SwitchLSN: 200}}}
	cases := []struct {
		last, first wal.TimelineID
		from, to    wal.LSN
		want        []gap
	}{
		{1, 1, 10, 50, []gap{{1, 10, 50, ""}}},
		{3, 1, 10, 150, []gap{{1, 10, 100, ""}, {3, 100, 150, ""}}},
		{4, 1, 10, 300, []gap{{1, 10, 100, ""}, {3, 100, 200, ""}, {4, 200, 300, ""}}},
		{4, 3, 120, 150, []gap{{3, 120, 150, ""}}},
		{4, 1, 110, 300, []gap{{3, 110, 200, ""}, {4, 200, 300, ""}}}, // more was received than the next timeline took over
		{4, 4, 300, 300, nil},
	}
	for _, c := range cases {
		if got := lostRanges(history, c.last, c.first, c.from, c.to); !slices.Equal(got, c.want) {
			t.Errorf("from %s to %s, timelines %s to %s: %v, want %v", c.from, c.to, c.first, c.last, got, c.want)
		}
	}
}

func TestSegmentSizesAsTheServerShowsThem(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]wal.SegmentSize{
		"1MB": 1 << 20, "16MB": 16 << 20, "512MB": 512 << 20, "1GB": 1 << 30,
		"": 0, "16": 0, "16kB": 0, "3MB": 0, "2GB": 0, "MB": 0, "-1MB": 0, "16MB ": 0,
	} {
		if got, err := parseSegmentSize(text); got != want || (err == nil) != (want != 0) {
			t.Errorf("%q: %d, %v; want %d", text, got, err, want)
		}
	}
}

func TestOptionsThatCannotWorkAreRefused(t *testing.T) {
	t.Parallel()
	good := Options{Slot: "a_1", Spool: filepath.Join(t.TempDir(), "spool"), SegmentSize: megabyte, Clock: time.Now}
	for _, change := range []func(o *Options){
		func(o *Options) { o.Slot = `a"; DROP` },
		func(o *Options) { o.Slot = "" },
		func(o *Options) { o.Slot = strings.Repeat("a", 64) },
		func(o *Options) { o.SegmentSize = 3 << 20 },
		func(o *Options) { o.SpoolLimit = 2<<20 - 1 },
		func(o *Options) { o.Spool = filepath.Join(o.Spool, "no", "parent") },
	} {
		o := good
		change(&o)
		if _, err := New(o); err == nil {
			t.Errorf("accepted: %+v", o)
		}
	}
}

func FuzzMessage(f *testing.F) {
	f.Add(binary.BigEndian.AppendUint64([]byte{'w'}, 7))
	f.Add(append([]byte{'w'}, make([]byte, 30)...))
	f.Add(append([]byte{'w'}, bytes.Repeat([]byte{255}, 30)...))
	f.Add(append([]byte{'k'}, make([]byte, 17)...))
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := parseMessage(b)
		if err != nil {
			return
		}
		if uint64(m.start) > math.MaxUint64-uint64(len(m.data)) || len(m.data) > len(b) {
			t.Errorf("%x: %+v", b, m)
		}
		if b[0] == 'w' && (len(m.data) != len(b)-dataHeader || m.reply) || b[0] == 'k' && (len(m.data) > 0 || m.reply != (b[17] != 0)) {
			t.Errorf("%x: %+v", b, m)
		}
	})
}

func FuzzGapName(f *testing.F) {
	f.Add(gap{timeline: 1, from: 2, to: 3}.file())
	f.Add("00000001-0000000000000001-0000000000000002.gap.gap")
	f.Fuzz(func(t *testing.T, name string) {
		if g, err := parseGap(name); err == nil && g.file() != name {
			t.Errorf("%q became %q", name, g.file())
		}
	})
}

func FuzzIdentity(f *testing.F) {
	f.Add("system identifier 7\nsegment size 1048576\n")
	f.Add("system identifier 7\nsegment size 1048576")
	f.Fuzz(func(t *testing.T, text string) {
		if system, _, err := parseIdentity(text); err == nil && system == 0 {
			t.Errorf("%q was accepted", text)
		}
	})
}

func FuzzValidEnd(f *testing.F) {
	segment := segments(f)[2]
	start := segment.name.Start(megabyte)
	f.Add(uint32(20000), uint32(100), byte(1))
	f.Add(uint32(8192), uint32(16), byte(255))
	f.Add(uint32(60000), uint32(40), byte(7))
	f.Fuzz(func(t *testing.T, size, at uint32, flip byte) {
		content := slices.Clone(segment.content[:size%uint32(megabyte)])
		if len(content) > 0 {
			content[int(at)%len(content)] ^= flip
		}
		end, unproven, err := validEnd(bytes.NewReader(content), int64(len(content)), start, megabyte)
		if err != nil || int(end) > len(content) || unproven > end {
			t.Errorf("end %d, unproven %d, %v", end, unproven, err)
		}
		if !bytes.Equal(content[unproven:end], segment.content[unproven:end]) && at%uint32(len(content)) >= wal.LongHeaderSize {
			t.Error("damage was believed")
		}
	})
}

func FuzzPadded(f *testing.F) {
	f.Add([]byte("abc"), 2, 5)
	f.Fuzz(func(t *testing.T, content []byte, offset, length int) {
		if offset < 0 || length < 0 || length > 1<<20 || offset > 1<<20 {
			return
		}
		p := padded{file: bytes.NewReader(content), size: int64(len(content))}
		b := make([]byte, length)
		if _, err := p.ReadAt(b, int64(offset)); err != nil && !errors.Is(err, io.EOF) {
			t.Error(err)
		}
	})
}
