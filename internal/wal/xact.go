package wal

import "time"

// XactKind says how a transaction ended.
type XactKind uint8

// The kinds of XactEnd. PreparedXact is not the end yet: a CommitPrepared or AbortPrepared follows.
const (
	CommitXact XactKind = iota + 1
	AbortXact
	PreparedXact
	CommitPrepared
	AbortPrepared
)

// String is the name that pg_waldump uses.
func (k XactKind) String() string {
	switch k {
	case CommitXact:
		return "COMMIT"
	case AbortXact:
		return "ABORT"
	case PreparedXact:
		return "PREPARE"
	case CommitPrepared:
		return "COMMIT_PREPARED"
	case AbortPrepared:
		return "ABORT_PREPARED"
	}
	return "UNKNOWN"
}

// Committed says whether the transaction's changes are in force from this record on.
func (k XactKind) Committed() bool { return k == CommitXact || k == CommitPrepared }

// XactEnd is a record that ends or prepares a transaction (ParseCommitRecord, ParseAbortRecord and
// ParsePrepareRecord in xactdesc.c). Time is the server's clock, in microseconds; the clock can step back, so
// order is by LSN.
type XactEnd struct {
	Kind     XactKind
	XID      TransactionID // the top transaction: for CommitPrepared and AbortPrepared the prepared one
	Time     time.Time
	Database OID
	SubXIDs  []TransactionID
	Dropped  []RelationLocator // storage that the transaction's end removes (DROP, TRUNCATE, rewrites)
	GID      string            // of a prepared transaction, where the record names it

	messages []byte // to other sessions: SharedInvalidationMessage
}

// The operations of resource manager Transaction and the parts of its records (xact.h).
const (
	xactOperationMask  = 0x70
	xactCommit         = 0x00
	xactPrepare        = 0x10
	xactAbort          = 0x20
	xactCommitPrepared = 0x30
	xactAbortPrepared  = 0x40
	xactHasInfo        = 0x80

	xinfoDatabase     = 1 << 0
	xinfoSubXacts     = 1 << 1
	xinfoRelations    = 1 << 2
	xinfoInvalidation = 1 << 3
	xinfoTwoPhase     = 1 << 4
	xinfoGID          = 1 << 7
	xinfoDroppedStats = 1 << 8 // since version 15

	invalidationSize = 16 // SharedInvalidationMessage
)

// XactEnd takes apart a record that ends or prepares a transaction; false for every other record, and for one
// whose lengths do not add up.
func (r *Record) XactEnd() (XactEnd, bool) {
	if r.Rmgr != RmgrXact {
		return XactEnd{}, false
	}
	f := fields{rest: r.Main}
	end := XactEnd{XID: r.XID}
	switch r.Info & xactOperationMask {
	case xactCommit:
		end.Kind = CommitXact
	case xactAbort:
		end.Kind = AbortXact
	case xactCommitPrepared:
		end.Kind = CommitPrepared
	case xactAbortPrepared:
		end.Kind = AbortPrepared
	case xactPrepare:
		end.Kind = PreparedXact
		end.readPrepare(&f, r.Version)
		return end, !f.short
	default:
		return XactEnd{}, false
	}
	end.readEnd(&f, r.Info&xactHasInfo != 0, r.Version)
	return end, !f.short
}

func (e *XactEnd) readEnd(f *fields, hasInfo bool, version Version) {
	e.Time = f.timestamp()
	info := uint32(0)
	if hasInfo {
		info = f.uint32()
	}
	if info&xinfoDatabase != 0 {
		e.Database = OID(f.uint32())
		f.skip(4) // its tablespace
	}
	if info&xinfoSubXacts != 0 {
		e.SubXIDs = f.transactions(int(int32(f.uint32())))
	}
	if info&xinfoRelations != 0 {
		e.Dropped = f.locators(int(int32(f.uint32())))
	}
	if info&xinfoDroppedStats != 0 {
		f.array(int(int32(f.uint32())), droppedStatSize(version))
	}
	if info&xinfoInvalidation != 0 {
		e.messages = f.array(int(int32(f.uint32())), invalidationSize)
	}
	if info&xinfoTwoPhase != 0 {
		e.XID = TransactionID(f.uint32())
	}
	if info&xinfoGID != 0 {
		e.GID = f.text()
	}
}

// droppedStatSize is the size of xl_xact_stats_item: version 18 made its object identifier 64 bits wide.
func droppedStatSize(version Version) int {
	if version >= 18 {
		return 16
	}
	return 12
}

// readPrepare reads xl_xact_prepare, whose variable parts each start at a multiple of 8 bytes. What would be
// dropped at the end is left to the record of that end.
func (e *XactEnd) readPrepare(f *fields, version Version) {
	f.skip(8) // magic, length
	e.XID = TransactionID(f.uint32())
	e.Database = OID(f.uint32())
	e.Time = f.timestamp()
	f.skip(4) // owner
	subXacts := int(int32(f.uint32()))
	f.skip(8) // relations to drop
	if version >= 15 {
		f.skip(8) // statistics to drop
	}
	f.skip(4 + 2) // invalidations and a flag
	gidLength := int(f.uint16())
	f.skip(16) // origin
	gid := fields{rest: f.take(int(align8(uint64(gidLength))))}
	e.GID = gid.text()
	e.SubXIDs = f.transactions(subXacts)
}
