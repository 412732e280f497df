package wal

import (
	"fmt"
	"strconv"
	"strings"
)

// Kind tells apart the files that PostgreSQL archives.
type Kind uint8

// The kinds of FileName. The zero Kind is no kind.
const (
	Segment Kind = iota + 1 // a whole segment
	History                 // a timeline history file
	Backup                  // a backup history file, which names where a base backup started
	Partial                 // the last segment of a timeline that a promotion left behind, unfinished
)

// String names the kind for people.
func (k Kind) String() string {
	switch k {
	case Segment:
		return "segment"
	case History:
		return "history"
	case Backup:
		return "backup"
	case Partial:
		return "partial"
	}
	return fmt.Sprintf("kind %d", uint8(k))
}

// FileName is the parsed name of a file in pg_wal that archive_command or restore_command may be asked for
// (xlog_internal.h: IsXLogFileName, IsTLHistoryFileName, IsBackupHistoryFileName, IsPartialXLogFileName).
type FileName struct {
	Kind     Kind
	Timeline TimelineID
	Log, Seg uint32 // the second and third eight digits; zero for History
	Offset   uint32 // Backup only: where in the segment the backup starts, in bytes
}

// NameError says why a name is not one that PostgreSQL archives.
type NameError struct {
	Name   string
	Reason string
}

// Error puts the name in quotes, since it can hold anything.
func (e *NameError) Error() string { return fmt.Sprintf("WAL file name %q %s", e.Name, e.Reason) }

const (
	segmentNameLength = 24
	historySuffix     = ".history"
	backupSuffix      = ".backup"
	partialSuffix     = ".partial"
)

// ParseFileName reads a bare file name, without a directory. Whatever PostgreSQL itself would not write,
// lower-case digits and timeline zero included, is a *NameError.
func ParseFileName(name string) (FileName, error) {
	f, reason := parseFileName(name)
	if reason != "" {
		return FileName{}, &NameError{Name: name, Reason: reason}
	}
	return f, nil
}

func parseFileName(name string) (FileName, string) {
	if digits, ok := strings.CutSuffix(name, historySuffix); ok {
		return parseHistoryName(digits)
	}
	if len(name) < segmentNameLength {
		return FileName{}, "is not of a kind that PostgreSQL archives"
	}
	f, reason := parseSegmentDigits(name[:segmentNameLength])
	if reason != "" {
		return FileName{}, reason
	}
	return parseSegmentSuffix(f, name[segmentNameLength:])
}

func parseHistoryName(digits string) (FileName, string) {
	if len(digits) != 8 || !isUpperHex(digits) {
		return FileName{}, "does not start with a timeline of eight upper-case hexadecimal digits"
	}
	f := FileName{Kind: History, Timeline: TimelineID(parse8(digits))}
	if f.Timeline == 0 {
		return FileName{}, "has timeline 0, which does not exist"
	}
	return f, ""
}

func parseSegmentDigits(digits string) (FileName, string) {
	if !isUpperHex(digits) {
		return FileName{}, "does not start with 24 upper-case hexadecimal digits"
	}
	f := FileName{
		Kind:     Segment,
		Timeline: TimelineID(parse8(digits[:8])),
		Log:      parse8(digits[8:16]),
		Seg:      parse8(digits[16:24]),
	}
	if f.Timeline == 0 {
		return FileName{}, "has timeline 0, which does not exist"
	}
	if uint64(f.Seg) >= MinSegmentSize.perLog() {
		return FileName{}, "has a number that no segment size allows"
	}
	return f, ""
}

func parseSegmentSuffix(f FileName, suffix string) (FileName, string) {
	switch suffix {
	case "":
		return f, ""
	case partialSuffix:
		f.Kind = Partial
		return f, ""
	}
	digits, ok := strings.CutSuffix(suffix, backupSuffix)
	if !ok || len(digits) != 9 || digits[0] != '.' || !isUpperHex(digits[1:]) {
		return FileName{}, "has an ending that PostgreSQL does not write"
	}
	f.Kind = Backup
	f.Offset = parse8(digits[1:])
	if int64(f.Offset) >= int64(MaxSegmentSize) {
		return FileName{}, "has an offset beyond the largest segment"
	}
	return f, ""
}

// SegmentFile is the name of a whole segment. The size must be valid.
func SegmentFile(tli TimelineID, segno SegmentNumber, size SegmentSize) FileName {
	per := size.perLog()
	return FileName{Kind: Segment, Timeline: tli, Log: uint32(uint64(segno) / per), Seg: uint32(uint64(segno) % per)}
}

// HistoryFile is the name of a timeline's history file. Timeline 1 has none.
func HistoryFile(tli TimelineID) FileName { return FileName{Kind: History, Timeline: tli} }

// SegmentNumber is the segment that the name speaks of, for every kind but History. The size must be valid.
func (f FileName) SegmentNumber(size SegmentSize) SegmentNumber {
	return SegmentNumber(uint64(f.Log)*size.perLog() + uint64(f.Seg))
}

// Start is the position of the segment's first byte, for every kind but History. The size must be valid.
func (f FileName) Start(size SegmentSize) LSN { return Start(f.SegmentNumber(size), size) }

// String is the name as PostgreSQL writes it; ParseFileName reads it back to the same value.
func (f FileName) String() string {
	if f.Kind == History {
		return f.Timeline.Hex() + historySuffix
	}
	segment := fmt.Sprintf("%08X%08X%08X", uint32(f.Timeline), f.Log, f.Seg)
	switch f.Kind {
	case Backup:
		return fmt.Sprintf("%s.%08X%s", segment, f.Offset, backupSuffix)
	case Partial:
		return segment + partialSuffix
	}
	return segment
}

func isUpperHex(s string) bool {
	for i := range len(s) {
		if !isUpperHexDigit(s[i]) {
			return false
		}
	}
	return true
}

// parse8 reads eight digits that isUpperHex has passed.
func parse8(s string) uint32 {
	n, _ := strconv.ParseUint(s, 16, 32)
	return uint32(n)
}
