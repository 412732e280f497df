package wal

import "fmt"

// SegmentSize is the size of a WAL segment file in bytes, fixed by initdb --wal-segsize.
type SegmentSize int64

// The limits of SegmentSize and its usual value (xlog_internal.h: WalSegMinSize, WalSegMaxSize).
const (
	MinSegmentSize     SegmentSize = 1 << 20
	MaxSegmentSize     SegmentSize = 1 << 30
	DefaultSegmentSize SegmentSize = 16 << 20
)

// Valid says whether s is a power of two from 1 MiB to 1 GiB (IsValidWalSegSize).
func (s SegmentSize) Valid() bool {
	return s >= MinSegmentSize && s <= MaxSegmentSize && s&(s-1) == 0
}

// perLog is how many segments share the middle eight digits of a name (XLogSegmentsPerXLogId).
func (s SegmentSize) perLog() uint64 { return uint64(1<<32) / uint64(s) }

// SegmentNumber counts segments of one size from the start of the WAL (XLogSegNo).
type SegmentNumber uint64

// SegmentOf is the number of the segment that holds the byte at lsn (XLByteToSeg). The size must be valid.
func SegmentOf(lsn LSN, size SegmentSize) SegmentNumber {
	return SegmentNumber(uint64(lsn) / uint64(size))
}

// LastSegmentOf is the number of the segment that holds the byte before lsn (XLByteToPrevSeg): the last one
// needed for WAL that ends at lsn.
func LastSegmentOf(lsn LSN, size SegmentSize) SegmentNumber {
	if lsn == 0 {
		return 0
	}
	return SegmentOf(lsn-1, size)
}

// Start is the position of the segment's first byte.
func Start(segno SegmentNumber, size SegmentSize) LSN {
	return LSN(uint64(segno) * uint64(size))
}

// SegmentName is the file name of a segment (XLogFileName). The size must be valid.
func SegmentName(tli TimelineID, segno SegmentNumber, size SegmentSize) string {
	return SegmentFile(tli, segno, size).String()
}

// ParseSegmentName reads the name of a whole segment and checks that its number exists at this segment size.
// The error is a *NameError.
func ParseSegmentName(name string, size SegmentSize) (TimelineID, SegmentNumber, error) {
	f, err := ParseFileName(name)
	if err != nil {
		return 0, 0, err
	}
	if f.Kind != Segment {
		return 0, 0, &NameError{Name: name, Reason: "is not the name of a segment"}
	}
	if err := f.ValidFor(size); err != nil {
		return 0, 0, err
	}
	return f.Timeline, f.SegmentNumber(size), nil
}

// ValidFor says, with a *NameError, why the name cannot exist in a cluster of this segment size: its number
// is beyond what the size allows, or the size itself is not valid. A history file fits every size.
func (f FileName) ValidFor(size SegmentSize) error {
	if !size.Valid() {
		return &NameError{Name: f.String(), Reason: fmt.Sprintf("segment size %d is not valid", size)}
	}
	if f.Kind == History {
		return nil
	}
	if uint64(f.Seg) >= size.perLog() {
		return &NameError{Name: f.String(), Reason: fmt.Sprintf("number does not exist with segments of %d bytes", size)}
	}
	if f.Kind == Backup && int64(f.Offset) >= int64(size) {
		return &NameError{Name: f.String(), Reason: fmt.Sprintf("offset lies beyond a segment of %d bytes", size)}
	}
	return nil
}
