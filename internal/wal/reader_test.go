package wal

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"slices"
	"testing"
)

const testStart = LSN(5 * testSize)

// readLSNs reads to the end and returns where records start.
func readLSNs(t *testing.T, data []byte, from LSN) ([]LSN, error) {
	t.Helper()
	reader := NewReader(NewSegmentPages(bytes.NewReader(data), testStart, int64(len(data))), testSize)
	if err := reader.FindFrom(from); err != nil {
		return nil, err
	}
	var found []LSN
	for {
		r, err := reader.Next()
		if err != nil {
			return found, err
		}
		found = append(found, r.LSN)
	}
}

func TestRecordsAtPageBoundaries(t *testing.T) {
	t.Parallel()
	for name, left := range map[string]int{
		"record ends with the page":          0,
		"only the length is on the page":     8,
		"link is split from length":          16,
		"header ends with the page":          24,
		"body starts on the page":            32,
		"all but eight bytes fit":            64,
		"page is nearly empty":               PageSize - 200,
		"record is longer than several page": 40,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBuilder(testStart)
			b.fill(left)
			second := b.record(1, 0, longBody(3*PageSize+17))
			third := b.record(1, 0, commitBody())
			got, err := readLSNs(t, b.segment(), testStart)
			if want := []LSN{testStart + LongHeaderSize, second, third}; !slices.Equal(got, want) {
				t.Errorf("records at %v, want %v (%v)", got, want, err)
			}
		})
	}
}

func TestFindFromAnywhere(t *testing.T) {
	t.Parallel()
	b := newBuilder(testStart)
	var starts []LSN
	for i := range 60 {
		starts = append(starts, b.record(1, 0, longBody(600+i*13)))
	}
	data := b.segment()[:len(b.data)-len(b.data)%PageSize]
	for lsn := testStart; lsn < starts[50]; lsn += 97 {
		got, err := readLSNs(t, data, lsn)
		i, _ := slices.BinarySearch(starts, lsn)
		if len(got) == 0 || got[0] != starts[i] {
			t.Fatalf("from %v: %v (%v), want %v first", lsn, got, err, starts[i])
		}
	}
}

func TestSourceThatGrowsIsReadOn(t *testing.T) {
	t.Parallel()
	b := newBuilder(testStart)
	b.fill(32)
	crossing := b.record(1, 0, longBody(100))
	last := b.record(1, 0, commitBody())
	source := &growing{data: b.segment(), size: PageSize}
	reader := NewReader(source, testSize)
	reader.ReadFrom(testStart)
	if _, err := reader.Next(); err != nil {
		t.Fatal(err)
	}
	if _, err := reader.Next(); !errors.Is(err, ErrIncomplete) {
		t.Fatalf("record that crosses the end: %v, want ErrIncomplete", err)
	}
	source.size = int64(testSize)
	for _, want := range []LSN{crossing, last} {
		if r, err := reader.Next(); err != nil || r.LSN != want {
			t.Fatalf("after growth: %+v, %v; want the record at %v", r, err, want)
		}
	}
}

// growing is a source whose end moves.
type growing struct {
	data []byte
	size int64
}

func (g *growing) ReadPage(lsn LSN, page []byte) error {
	return NewSegmentPages(bytes.NewReader(g.data), testStart, g.size).ReadPage(lsn, page)
}

func TestRecordThatCrashCutOffIsPassedOver(t *testing.T) {
	t.Parallel()
	for name, pages := range map[string]int{"on the next page": 1, "two pages on": 2} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBuilder(testStart)
			b.fill(64)
			whole := b.prev
			b.record(1, 0, longBody(4*PageSize))
			b.data, b.prev = b.data[:pages*PageSize], whole
			b.page(FlagOverwriteContinuation, 0)
			overwrite := b.record(RmgrXLOG, 0xD0, longBody(21))
			after := b.record(1, 0, commitBody())
			got, err := readLSNs(t, b.segment(), testStart)
			if want := []LSN{whole, overwrite, after}; !slices.Equal(got, want) {
				t.Errorf("records at %v, want %v (%v)", got, want, err)
			}
		})
	}
}

func TestReaderStopsAtDamage(t *testing.T) {
	t.Parallel()
	b := newBuilder(testStart)
	b.fill(64)
	second := b.record(1, 0, longBody(9000))
	b.record(1, 0, commitBody())
	b.record(1, 0, commitBody())
	offset := int(second - testStart)
	put32 := binary.LittleEndian.PutUint32
	for damage, spoil := range map[string]func(data []byte){
		"zero length":                   func(d []byte) { put32(d[offset:], 0) },
		"length below a header":         func(d []byte) { put32(d[offset:], 23) },
		"length beyond the limit":       func(d []byte) { put32(d[offset:], 0xFFFFFFF0) },
		"other length":                  func(d []byte) { put32(d[offset:], 9001) },
		"link elsewhere":                func(d []byte) { d[offset+8] ^= 8 },
		"unknown resource manager":      func(d []byte) { d[offset+17] = 99 },
		"flipped bit in the body":       func(d []byte) { d[offset+60] ^= 1 },
		"flipped bit on the next page":  func(d []byte) { d[PageSize+100] ^= 1 },
		"next page is zero":             func(d []byte) { clear(d[PageSize : 2*PageSize]) },
		"next page is of another place": func(d []byte) { d[PageSize+9] ^= 1 },
		"next page continues nothing":   func(d []byte) { d[PageSize+2] &^= uint8(FlagContinuation) },
		"next page continues more":      func(d []byte) { d[PageSize+16]++ },
		"next page's flags are unknown": func(d []byte) { d[PageSize+3] = 1 },
		"next page is of timeline 0":    func(d []byte) { put32(d[PageSize+4:], 0) },
		"next page is of version 16":    func(d []byte) { d[PageSize] = 0x13 },
	} {
		data := b.segment()
		spoil(data)
		got, err := readLSNs(t, data, testStart)
		var corrupt *CorruptError
		if !errors.As(err, &corrupt) || len(got) != 1 {
			t.Errorf("%s: %d records, %v; want one and a CorruptError", damage, len(got), err)
		}
	}
}

func TestRecordWithGoodCRCInTheWrongPlaceIsRefused(t *testing.T) {
	t.Parallel()
	for damage, spoil := range map[string]func(b *builder){
		"link to a record before the last": func(b *builder) { b.prev -= 8 },
		"link to a later record":           func(b *builder) { b.prev = b.at() + 8 },
		"resource manager of nobody":       func(b *builder) { b.record(99, 0, commitBody()) },
	} {
		for _, length := range []int{100, 3 * PageSize} {
			b := newBuilder(testStart)
			b.record(1, 0, commitBody())
			spoil(b)
			b.record(1, 0, longBody(length))
			got, err := readLSNs(t, b.segment(), testStart)
			var corrupt *CorruptError
			if !errors.As(err, &corrupt) || len(got) != 1 {
				t.Errorf("%s, %d bytes: %d records, %v; want one and a CorruptError", damage, length, len(got), err)
			}
		}
	}
}

func TestSourceErrorIsPassedOn(t *testing.T) {
	t.Parallel()
	b := newBuilder(testStart)
	b.record(1, 0, commitBody())
	reader := NewReader(NewSegmentPages(bytes.NewReader(b.data[:50]), testStart, int64(testSize)), testSize)
	reader.ReadFrom(testStart)
	if _, err := reader.Next(); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("file shorter than said: %v, want io.ErrUnexpectedEOF", err)
	}
}

func TestChainOfSegments(t *testing.T) {
	t.Parallel()
	b := newBuilder(testStart)
	want := []LSN{}
	for len(b.data) < 3*int(testSize) {
		want = append(want, b.record(1, 0, longBody(30000)))
	}
	want = want[:len(want)-1]
	reader := NewReader(ChainSegments(testSize, func(segno SegmentNumber) (io.ReaderAt, error) {
		from := int(segno-5) * int(testSize)
		if from+int(testSize) > len(b.data) {
			return nil, io.EOF
		}
		return bytes.NewReader(b.data[from : from+int(testSize)]), nil
	}), testSize)
	reader.ReadFrom(testStart)
	for _, lsn := range want {
		if r, err := reader.Next(); err != nil || r.LSN != lsn {
			t.Fatalf("%+v, %v; want the record at %v", r, err, lsn)
		}
	}
	if _, err := reader.Next(); !errors.Is(err, ErrIncomplete) {
		t.Errorf("at the end: %v, want ErrIncomplete", err)
	}
}

// FuzzDecode takes bodies apart that carry a good CRC.
func FuzzDecode(f *testing.F) {
	f.Add(uint8(1), uint8(0), uint8(15), commitBody())
	f.Add(uint8(1), uint8(0x80|0x30), uint8(18), append([]byte{idShortData, 20}, make([]byte, 20)...))
	f.Add(uint8(10), uint8(0), uint8(13), []byte{0, blockHasData, 2, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0, 4, 0, 0, 0, idShortData, 1, 7, 7, 7})
	f.Add(uint8(0), uint8(0x10), uint8(17), longBody(93))
	f.Fuzz(func(t *testing.T, rmgr, info, version uint8, body []byte) {
		var r Record
		r.setHeader(1<<20, 1<<21, sealed(RmgrID(rmgr%6), info, 0, body), Version(13+version%6))
		if r.decode() != nil {
			return
		}
		if len(r.Main) > len(body) || len(r.Blocks) > maxBlockID+1 {
			t.Errorf("%d bytes of main data, %d blocks", len(r.Main), len(r.Blocks))
		}
		r.XactEnd()
		r.RestorePoint()
		r.Checkpoint()
		r.EndOfRecovery()
		r.BackupEnd()
		r.TablespaceCreate()
		r.TablespaceDrop()
		r.StorageTruncate()
		r.DatabaseCreate()
		r.DatabaseDrop()
	})
}
