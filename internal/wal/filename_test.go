package wal

import (
	"errors"
	"testing"
)

func TestFileNameRoundTrip(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]FileName{
		"000000010000000000000003":                 {Kind: Segment, Timeline: 1, Seg: 3},
		"0000001A000000FF00000FFF":                 {Kind: Segment, Timeline: 26, Log: 255, Seg: 0xFFF},
		"0000000A.history":                         {Kind: History, Timeline: 10},
		"000000010000000000000002.00000028.backup": {Kind: Backup, Timeline: 1, Seg: 2, Offset: 0x28},
		"0000000200000001000000FE.partial":         {Kind: Partial, Timeline: 2, Log: 1, Seg: 0xFE},
	} {
		got, err := ParseFileName(name)
		if err != nil || got != want {
			t.Errorf("ParseFileName(%q) = %+v, %v; want %+v", name, got, err, want)
		}
		if got.String() != name {
			t.Errorf("String of %+v = %q, want %q", got, got, name)
		}
	}
}

func TestFileNameRefusesWhatPostgreSQLDoesNotWrite(t *testing.T) {
	t.Parallel()
	for damage, name := range map[string]string{
		"empty":                   "",
		"lower case":              "00000001000000000000000a",
		"path":                    "pg_wal/000000010000000000000003",
		"parent":                  "../000000010000000000000003",
		"short":                   "00000001000000000000000",
		"long":                    "0000000100000000000000033",
		"timeline 0":              "000000000000000000000003",
		"history of timeline 0":   "00000000.history",
		"lower-case history":      "0000000a.history",
		"bare suffix":             ".history",
		"long history":            "000000001.history",
		"number beyond 1 MiB":     "000000010000000000001000",
		"short backup offset":     "000000010000000000000002.0000028.backup",
		"lower backup offset":     "000000010000000000000002.0000002a.backup",
		"backup without offset":   "000000010000000000000002.backup",
		"backup offset too large": "000000010000000000000002.40000000.backup",
		"partial backup":          "000000010000000000000002.00000028.backup.partial",
		"temporary":               "000000010000000000000002.tmp",
		"upper suffix":            "000000010000000000000002.PARTIAL",
		"NUL":                     "000000010000000000000003\x00",
		"newline":                 "000000010000000000000003\n",
	} {
		_, err := ParseFileName(name)
		var nameErr *NameError
		if !errors.As(err, &nameErr) || nameErr.Name != name {
			t.Errorf("%s: ParseFileName(%q) gave %v, want a NameError", damage, name, err)
		}
	}
}

func TestSegmentNamesAtEverySize(t *testing.T) {
	t.Parallel()
	for size := MinSegmentSize; size <= MaxSegmentSize; size *= 2 {
		for _, lsn := range []LSN{LSN(size), 0xFFFFFFFF, 1 << 32, 0x16B374D848, 0xFFFFFFFFFFFFFFFF} {
			segno := SegmentOf(lsn, size)
			name := SegmentName(27, segno, size)
			tli, back, err := ParseSegmentName(name, size)
			if err != nil || tli != 27 || back != segno {
				t.Errorf("size %d, %v: %q gave %v, %v, %v; want segment %v", size, lsn, name, tli, back, err, segno)
			}
			if start := Start(segno, size); start > lsn || uint64(lsn-start) >= uint64(size) {
				t.Errorf("size %d: segment of %v starts at %v", size, lsn, start)
			}
		}
	}
}

func TestSegmentNumberBeyondItsSizeIsFound(t *testing.T) {
	t.Parallel()
	const name = "0000000100000000000000FF" // the last of 256 at 16 MiB; at 32 MiB there are 128
	if _, segno, err := ParseSegmentName(name, 16<<20); err != nil || segno != 255 {
		t.Errorf("at 16 MiB: %v, %v", segno, err)
	}
	var nameErr *NameError
	if _, _, err := ParseSegmentName(name, 32<<20); !errors.As(err, &nameErr) {
		t.Errorf("at 32 MiB: %v, want a NameError", err)
	}
	if _, _, err := ParseSegmentName(name, 5<<20); !errors.As(err, &nameErr) {
		t.Errorf("at 5 MiB, which is no segment size: %v, want a NameError", err)
	}
	backup, err := ParseFileName("000000010000000000000002.00200000.backup")
	if err != nil || backup.ValidFor(2<<20) == nil || backup.ValidFor(4<<20) != nil {
		t.Errorf("backup offset of 2 MiB: %v, %v, %v", err, backup.ValidFor(2<<20), backup.ValidFor(4<<20))
	}
}

func TestSegmentBoundaries(t *testing.T) {
	t.Parallel()
	const size = DefaultSegmentSize
	if got := LastSegmentOf(0x2000000, size); got != 1 {
		t.Errorf("WAL that ends at 0/2000000 ends in segment %d, want 1", got)
	}
	if got := SegmentOf(0x2000000, size); got != 2 {
		t.Errorf("the byte at 0/2000000 lies in segment %d, want 2", got)
	}
}

func FuzzParseFileName(f *testing.F) {
	for _, seed := range []string{"000000010000000000000003", "0000000A.history", "000000010000000000000002.00000028.backup",
		"0000000200000001000000FE.partial", "", "0000000x.history"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, name string) {
		parsed, err := ParseFileName(name)
		if err == nil && parsed.String() != name {
			t.Errorf("%q became %q", name, parsed)
		}
	})
}
