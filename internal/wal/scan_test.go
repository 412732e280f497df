package wal

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

var testName = SegmentFile(testTimeline, 5, testSize)

func scanBytes(data []byte, name FileName) (Summary, error) {
	return ScanSegment(bytes.NewReader(data), int64(len(data)), name, ScanOptions{})
}

func TestScanSummary(t *testing.T) {
	t.Parallel()
	b := newBuilder(testStart)
	first := b.record(RmgrXact, 0, commitBody())
	last := b.record(RmgrXLOG, xlogSwitch, nil)
	got, err := scanBytes(b.segment(), testName)
	if err != nil {
		t.Fatal(err)
	}
	if got.FirstRecord != first || got.LastRecord != last || got.LastRecordEnd != testStart+LSN(testSize) || !got.Switched {
		t.Errorf("records: %+v", got)
	}
	if got.Version != 15 || got.SystemIdentifier != testSystem || got.SegmentSize != testSize || got.Timeline != testTimeline {
		t.Errorf("identity: %+v", got)
	}
	when := time.UnixMicro(0x0002060504030201 + 946684800e6).UTC()
	if got.FirstXactTime != when || got.LastXactTime != when || got.MinXID != 700 || got.MaxXID != 700 {
		t.Errorf("transactions: %+v, want time %v", got, when)
	}
}

func TestScanNamesTheResourceManagersOfExtensions(t *testing.T) {
	t.Parallel()
	b := newBuilder(testStart)
	for _, rmgr := range []RmgrID{200, RmgrXLOG, 128, 200} {
		b.record(rmgr, 0, longBody(100))
	}
	b.record(RmgrXLOG, xlogSwitch, nil)
	got, err := scanBytes(b.segment(), testName)
	if err != nil || !slices.Equal(got.CustomManagers, []int{128, 200}) {
		t.Errorf("%v, %v", got.CustomManagers, err)
	}
}

func TestScanOfFullSegmentAndItsSuccessor(t *testing.T) {
	t.Parallel()
	b := newBuilder(testStart)
	data := b.full()
	got, err := scanBytes(data, testName)
	if err != nil || got.Switched || got.LastRecordEnd != b.prev {
		t.Fatalf("full segment: %+v, %v; want the last record to end at %v", got, err, b.prev)
	}
	next := b.at()
	b.record(RmgrXLOG, xlogSwitch, nil)
	successor := make([]byte, testSize)
	copy(successor, b.data[testSize:])
	got, err = scanBytes(successor, SegmentFile(testTimeline, 6, testSize))
	if err != nil || got.FirstRecord != next {
		t.Errorf("segment that starts inside a record: %+v, %v; want the first at %v", got, err, next)
	}
}

func TestScanOfSegmentInsideOneRecord(t *testing.T) {
	t.Parallel()
	b := newBuilder(testStart)
	b.record(10, 0, longBody(3*int(testSize)))
	got, err := scanBytes(b.data[testSize:2*testSize], SegmentFile(testTimeline, 6, testSize))
	if err != nil || got.FirstRecord != 0 || got.LastRecord != 0 {
		t.Errorf("%+v, %v; want no records and no error", got, err)
	}
}

func TestScanRefusesWhatIsNoSegment(t *testing.T) {
	t.Parallel()
	full := newBuilder(testStart).full()
	noise := make([]byte, testSize)
	random := rand.New(rand.NewPCG(1, 2))
	for i := range noise {
		noise[i] = byte(random.Uint32())
	}
	spoilt := func(at int, value byte) []byte {
		data := bytes.Clone(full)
		data[at] = value
		return data
	}
	forward := newBuilder(testStart)
	forward.prev = testStart + PageSize
	halfZero := bytes.Clone(full)
	clear(halfZero[testSize/2:])
	for damage, c := range map[string]struct {
		data []byte
		name FileName
	}{
		"empty":               {nil, testName},
		"shorter than a page": {full[:100], testName},
		"zeroes":              {make([]byte, testSize), testName},
		"noise":               {noise, testName},
		"half a segment":      {full[:testSize/2], testName},
		"too long":            {append(bytes.Clone(full), full...), testName},
		"zeroes in the end":   {halfZero, testName},
		"under another name":  {full, SegmentFile(testTimeline, 6, testSize)},
		"other segment size":  {spoilt(34, 0x20), testName},
		"other block size":    {spoilt(37, 0x40), testName},
		"older timeline":      {spoilt(4, 9), testName},
		"newer timeline":      {spoilt(int(testSize)-PageSize+4, 9), testName},
		"first link forward":  {forward.full(), testName},
		"unknown version":     {spoilt(1, 0xD2), testName},
		"no long header":      {spoilt(2, 0), testName},
	} {
		_, err := scanBytes(c.data, c.name)
		var corrupt *CorruptError
		if !errors.As(err, &corrupt) || corrupt.Name != c.name.String() {
			t.Errorf("%s: %v, want a CorruptError with the name", damage, err)
		}
	}
}

func TestScanRefusesOtherKindsOfNames(t *testing.T) {
	t.Parallel()
	var nameErr *NameError
	if _, err := scanBytes(newBuilder(testStart).full(), HistoryFile(2)); !errors.As(err, &nameErr) {
		t.Errorf("history name: %v, want a NameError", err)
	}
	big := FileName{Kind: Segment, Timeline: 1, Seg: 4095}
	b := newBuilder(big.Start(testSize))
	if _, err := scanBytes(b.full(), big); err != nil {
		t.Errorf("last segment of 4 GiB: %v", err)
	}
}

func TestUnfinishedSegmentIsReadToItsLastRecord(t *testing.T) {
	t.Parallel()
	b := newBuilder(testStart)
	b.record(RmgrXact, 0, commitBody())
	b.record(RmgrXact, 0, longBody(10000))
	data, last := b.segment(), b.prev
	for i := len(b.data); i < len(data); i++ {
		data[i] = byte(i * 7)
	}
	partial := testName
	partial.Kind = Partial
	for what, c := range map[string]struct {
		name    FileName
		options ScanOptions
		size    int64
	}{
		"partial":          {partial, ScanOptions{}, int64(testSize)},
		"told unfinished":  {testName, ScanOptions{Unfinished: true}, int64(testSize)},
		"partial, cut off": {partial, ScanOptions{}, 3 * PageSize},
	} {
		got, err := ScanSegment(bytes.NewReader(data), c.size, c.name, c.options)
		if err != nil || got.LastRecord != last || got.LastRecordEnd != b.at() {
			t.Errorf("%s: %+v, %v; want the last record at %v", what, got, err, last)
		}
	}
	var corrupt *CorruptError
	if _, err := scanBytes(data, testName); !errors.As(err, &corrupt) || corrupt.LSN != b.at() {
		t.Errorf("as a whole segment: %v, want an error at %v", err, b.at())
	}
	if _, err := scanBytes(make([]byte, testSize), partial); !errors.As(err, &corrupt) {
		t.Errorf("zeroes as a partial segment: %v, want a CorruptError", err)
	}
}

func TestEveryFlippedBitInARecordIsFound(t *testing.T) {
	t.Parallel()
	b := newBuilder(testStart)
	var records []LSN
	b.fill(300) // the second record crosses the page's end
	for range 4 {
		records = append(records, b.record(10, 0, longBody(160)))
	}
	b.record(RmgrXLOG, xlogSwitch, nil)
	data := b.segment()
	for _, lsn := range records {
		for i := range recordHeaderSize + 160 {
			at := int(lsn-testStart) + i
			if at/PageSize != int(lsn-testStart)/PageSize {
				break
			}
			data[at] ^= 1 << (i % 8)
			var corrupt *CorruptError
			if _, err := scanBytes(data, testName); !errors.As(err, &corrupt) {
				t.Fatalf("byte %d of the record at %v: %v, want a CorruptError", i, lsn, err)
			}
			data[at] ^= 1 << (i % 8)
		}
	}
}

func FuzzScanSegment(f *testing.F) {
	base := newBuilder(testStart).full()
	f.Add(uint32(0), []byte{}, false)
	f.Add(uint32(PageSize+2), []byte{8}, false)
	f.Add(uint32(40), []byte{255, 255, 0}, true)
	f.Add(uint32(testSize)-PageSize, make([]byte, 64), false)
	f.Fuzz(func(t *testing.T, at uint32, patch []byte, unfinished bool) {
		data := bytes.Clone(base)
		copy(data[int(at)%len(data):], patch)
		got, err := ScanSegment(bytes.NewReader(data), int64(len(data)), testName, ScanOptions{Unfinished: unfinished})
		var corrupt *CorruptError
		var name *NameError
		if err != nil && !errors.As(err, &corrupt) && !errors.As(err, &name) {
			t.Errorf("untyped error: %v", err)
		}
		if err == nil && (got.LastRecord < got.FirstRecord || got.LastRecordEnd > testStart+LSN(testSize)) {
			t.Errorf("summary %+v", got)
		}
	})
}

func FuzzScanNoise(f *testing.F) {
	f.Add(newBuilder(testStart).full()[:2*PageSize])
	f.Add(make([]byte, PageSize))
	f.Fuzz(func(t *testing.T, data []byte) {
		partial := testName
		partial.Kind = Partial
		for _, name := range []FileName{testName, partial} {
			if _, err := scanBytes(data, name); err == nil && name.Kind == Segment && len(data) != int(testSize) {
				t.Errorf("%d bytes passed as a segment", len(data))
			}
		}
	})
}

func BenchmarkScanSegment(b *testing.B) {
	for name, length := range map[string]int{"small records": 70, "page images": 7000} {
		b.Run(name, func(b *testing.B) {
			w := newBuilder(testStart)
			for len(w.data) < int(testSize)-2*PageSize {
				w.record(10, 0, longBody(length))
			}
			w.record(10, 0, longBody(4*PageSize))
			data := w.data[:testSize]
			b.SetBytes(int64(testSize))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := scanBytes(data, testName); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
