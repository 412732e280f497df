package wal

// The resource managers whose records show changes of catalogues.
const (
	rmgrStandby RmgrID = 8
	rmgrHeap2   RmgrID = 9
	rmgrHeap    RmgrID = 10
)

// The operations of Heap, Heap2, Standby and Storage that matter here (heapam_xlog.h, standbydefs.h, storage_xlog.h).
const (
	heapOperationMask = 0x70
	heapInsert        = 0x00
	heapDelete        = 0x10
	heapUpdate        = 0x20
	heapHotUpdate     = 0x40
	heapInPlace       = 0x70
	heap2MultiInsert  = 0x50
	standbyRunning    = 0x10
	storageCreate     = 0x10
)

// firstNormalOID is the least number of an object, or of its storage, that initdb did not make (FirstNormalObjectId).
const firstNormalOID OID = 16384

// The numbers that these catalogues, and their storage, have from initdb on (the headers in src/include/catalog).
const (
	catalogClass    OID = 1259
	catalogDatabase OID = 1262
)

// sharedByTemporary are the catalogues that describe temporary tables, too: types, columns, namespaces, defaults,
// constraints, indexes, inheritance and sequences.
func sharedByTemporary(catalogue OID) bool {
	switch catalogue {
	case catalogClass, 1247, 1249, 2615, 2604, 2606, 2610, 2611, 2224:
		return true
	}
	return false
}

// describesSchema are the further ones in which a change is one of the schema. Statistics, large objects, roles,
// settings, comments, privileges by default and what replication keeps there are none of them.
func describesSchema(catalogue OID) bool {
	switch catalogue {
	case 1255, 2600, 2605, 2607, 2612, 2616, 2617, 2753, 2601, 2602, 2603, // functions, operators, languages, access methods
		2618, 2620, 3256, 3466, // rules, triggers, policies, event triggers
		3350, 3381, 3501, 3541, 3456, // partitioned tables, extended statistics, enumerations, ranges, collations
		3079, 2328, 1417, 3118, 6104, 6106, 6237, // extensions, foreign data, publications
		3600, 3601, 3602, 3603, 3764, // text search
		catalogDatabase, 1213: // databases, tablespaces
		return true
	}
	return false
}

// heapChange is what a record does to rows, and where: of catalogues only, and of those only where they have the storage
// that initdb made.
func (r *Record) heapChange() (catalogue OID, operation uint8, ok bool) {
	if len(r.Blocks) == 0 || r.Blocks[0].Locator.Relation >= firstNormalOID {
		return 0, 0, false
	}
	operation = r.Info & heapOperationMask
	switch {
	case r.Rmgr == rmgrHeap2 && operation == heap2MultiInsert:
		return r.Blocks[0].Locator.Relation, heapInsert, true
	case r.Rmgr != rmgrHeap:
		return 0, 0, false
	case operation == heapHotUpdate:
		operation = heapUpdate
	}
	switch operation {
	case heapInsert, heapDelete, heapUpdate, heapInPlace:
		return r.Blocks[0].Locator.Relation, operation, true
	}
	return 0, 0, false
}

// rowPlace is where a row of a catalogue lies.
type rowPlace struct {
	block  uint32
	offset uint16
}

// changedRow is the row that a heap's DELETE or INPLACE is about (xl_heap_delete, xl_heap_inplace).
func (r *Record) changedRow(operation uint8) rowPlace {
	f := fields{rest: r.Main}
	if operation == heapDelete {
		f.skip(4) // the deleting transaction
	}
	return rowPlace{block: r.Blocks[0].Block, offset: f.uint16()}
}

// storageCreate returns the storage that the record makes (xl_smgr_create).
func (r *Record) storageCreate() (RelationLocator, bool) {
	if r.Rmgr != RmgrStorage || r.Operation() != storageCreate {
		return RelationLocator{}, false
	}
	f := fields{rest: r.Main}
	made := f.locator()
	return made, !f.short
}

// nextTransaction is the first number that was not given to a transaction yet, where the record tells it
// (xl_running_xacts).
func (r *Record) nextTransaction() (TransactionID, bool) {
	if r.Rmgr != rmgrStandby || r.Operation() != standbyRunning {
		return 0, false
	}
	f := fields{rest: r.Main}
	f.skip(12) // counts and a flag
	next := TransactionID(f.uint32())
	return next, !f.short
}

// invalidatedRelation is a relation of a database whose description other sessions are told to read anew; database 0 is
// of shared relations, and relation 0 means all.
type invalidatedRelation struct{ database, relation OID }

// invalidRelation is the kind of a SharedInvalidationMessage that names a relation (SHAREDINVALRELCACHE_ID in
// sinval.h).
const invalidRelation = -2

// invalidated takes apart what a commit says to other sessions: the relations whose description changed. A transaction
// that changed a catalogue always says something.
func (e *XactEnd) invalidated() (relations []invalidatedRelation) {
	messages := fields{rest: e.messages}
	for len(messages.rest) > 0 {
		m := fields{rest: messages.take(invalidationSize)}
		kind := int8(m.uint32()) // one byte and three of padding
		if kind == invalidRelation {
			relations = append(relations, invalidatedRelation{database: OID(m.uint32()), relation: OID(m.uint32())})
		}
	}
	return relations
}
