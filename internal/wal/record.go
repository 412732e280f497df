package wal

import (
	"encoding/binary"
	"fmt"
)

// TransactionID is a 32-bit transaction number, which wraps around. Zero is none.
type TransactionID uint32

// Precedes compares as PostgreSQL does, modulo 2^32 (TransactionIdPrecedes in transam.c).
func (x TransactionID) Precedes(y TransactionID) bool {
	const firstNormal = 3
	if x < firstNormal || y < firstNormal {
		return x < y
	}
	return int32(x-y) < 0
}

// OID is PostgreSQL's object identifier.
type OID uint32

// RelationLocator says where a relation's files lie (RelFileLocator; RelFileNode before version 16).
// Database is 0 for shared relations.
type RelationLocator struct {
	Tablespace, Database, Relation OID
}

// String is the form of pg_waldump.
func (l RelationLocator) String() string {
	return fmt.Sprintf("%d/%d/%d", l.Tablespace, l.Database, l.Relation)
}

// Fork is one of the files that a relation consists of (ForkNumber in relpath.h).
type Fork uint8

// The forks.
const (
	MainFork Fork = iota
	FreeSpaceMapFork
	VisibilityMapFork
	InitFork
)

// String is the fork's name, as in file names (forkNames in relpath.c).
func (f Fork) String() string {
	switch f {
	case MainFork:
		return "main"
	case FreeSpaceMapFork:
		return "fsm"
	case VisibilityMapFork:
		return "vm"
	case InitFork:
		return "init"
	}
	return fmt.Sprintf("fork %d", uint8(f))
}

// BlockRef is a block that a record changes.
type BlockRef struct {
	ID       uint8
	Locator  RelationLocator
	Fork     Fork
	Block    uint32 // counts from the relation's start, in blocks of 8 KiB
	HasImage bool   // the record holds the whole page
	Apply    bool   // replay puts that page in place; otherwise it only serves wal_consistency_checking
	WillInit bool   // replay makes the page anew
}

// Record is one WAL record that passed all checks (XLogRecord and DecodedXLogRecord).
type Record struct {
	LSN     LSN // of the record's first byte
	End     LSN // where the next one may start; the segment's end behind a segment switch
	Prev    LSN // of the record before
	Length  uint32
	XID     TransactionID // 0 for a record of no transaction
	Rmgr    RmgrID
	Info    uint8
	Version Version

	TopXID TransactionID // the top transaction's number, where a subtransaction's first record names it
	Origin uint16        // replication origin, 0 if none
	Blocks []BlockRef
	Main   []byte // what the resource manager itself recorded

	body []byte
}

func (r *Record) setHeader(at, end LSN, data []byte, version Version) {
	r.LSN, r.End = at, end
	r.Length = uint32(len(data))
	r.XID = TransactionID(binary.LittleEndian.Uint32(data[4:]))
	r.Prev = LSN(binary.LittleEndian.Uint64(data[8:]))
	r.Info = data[16]
	r.Rmgr = RmgrID(data[17])
	r.Version = version
	r.body = data[recordHeaderSize:]
}

// RmgrID numbers resource managers (rmgrlist.h).
type RmgrID uint8

// The resource managers whose records this package takes apart.
const (
	RmgrXLOG       RmgrID = 0
	RmgrXact       RmgrID = 1
	RmgrStorage    RmgrID = 2
	RmgrDatabase   RmgrID = 4
	RmgrTablespace RmgrID = 5
)

const (
	lastBuiltinRmgr RmgrID = 21  // LogicalMessage
	firstCustomRmgr RmgrID = 128 // RM_MIN_CUSTOM_ID, since version 15
)

func (id RmgrID) valid(version Version) bool {
	return id <= lastBuiltinRmgr || version >= 15 && id >= firstCustomRmgr
}

// Operation is the part of Info that belongs to the resource manager (XLR_RMGR_INFO_MASK).
func (r *Record) Operation() uint8 { return r.Info & 0xF0 }
