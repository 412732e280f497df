// Package page checks PostgreSQL's data pages: whether they are new, how recent they are, and their checksums.
package page

import (
	"encoding/binary"

	"lifeboat/internal/wal"
)

// Size is the size of a data page in bytes (BLCKSZ).
const Size = 8192

// Offsets in the page header (PageHeaderData in bufpage.h).
const (
	checksumOffset = 8
	upperOffset    = 14
)

// LSN is the position of the end of the WAL record that changed the page last (pd_lsn). The page must have
// Size bytes, here and below.
func LSN(page []byte) wal.LSN {
	return wal.LSN(binary.LittleEndian.Uint32(page))<<32 | wal.LSN(binary.LittleEndian.Uint32(page[4:]))
}

// IsNew says whether the page was never initialised (PageIsNew). A sound new page has only zeroes.
func IsNew(page []byte) bool { return binary.LittleEndian.Uint16(page[upperOffset:]) == 0 }

// Stored is the checksum that the page carries (pd_checksum).
func Stored(page []byte) uint16 { return binary.LittleEndian.Uint16(page[checksumOffset:]) }

// FirstBlock is the block number of the first page in a relation's segment file, as Checksum needs it. There
// are 131072 blocks to a segment (relseg_size in pg_control), unless the server was built otherwise.
func FirstBlock(segment, blocksPerSegment uint32) uint32 { return segment * blocksPerSegment }

// Result is what Verify found.
type Result uint8

// The results of Verify. All but Damaged are sound, as far as it can be known.
const (
	Good    Result = iota + 1
	New            // only zeroes: added to the file, but never used
	Recent         // changed since the start, so that it may be torn; replay of WAL writes it again
	Damaged        // the checksum does not match, or the page looks new but is not empty
)

// String names the result for people.
func (r Result) String() string {
	switch r {
	case Good:
		return "good"
	case New:
		return "new"
	case Recent:
		return "recent"
	case Damaged:
		return "damaged"
	}
	return "unknown"
}

// Verify checks a page that a base backup read while the server was running, as basebackup.c does: a page with an
// LSN at or after start, where the backup's WAL begins, has no proof. A Damaged page may have been read while
// it was written; only when it is still Damaged on a second reading is it so in the file. Use it only on clusters
// with data checksums; block counts from the relation's start, across its segment files.
func Verify(page []byte, block uint32, start wal.LSN) Result {
	switch {
	case IsNew(page):
		if isZero(page) {
			return New
		}
		return Damaged
	case LSN(page) >= start:
		return Recent
	case Checksum(page, block) != Stored(page):
		return Damaged
	}
	return Good
}

func isZero(page []byte) bool {
	for ; len(page) >= 8; page = page[8:] {
		if binary.LittleEndian.Uint64(page) != 0 {
			return false
		}
	}
	return true
}
