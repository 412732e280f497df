package wal

import "time"

// SchemaCommit is a commit that may have changed the schema.
type SchemaCommit struct {
	XID     TransactionID
	Time    time.Time
	LSN     LSN    // of the commit record
	Before  LSN    // recovery that stops at the first record from here on has none of the change
	Changed bool   // it changed the schema, as far as the records show that were seen
	What    string // what shows that
	Whole   bool   // all records of the transaction were seen; otherwise there may be more to it
	Dropped int    // relations whose storage the commit removes
}

// SchemaWatch tells from records, in their order, which commits changed the schema.
//
// Changes are rows of the catalogues that describe tables, columns, functions and so on, made, changed or removed; storage
// that is removed; databases and tablespaces. No change are: statistics (ANALYZE), what VACUUM notes in place, storage
// that it cuts, roles and settings, large objects.
//
// A transaction that makes or removes rows of pg_class and neither makes nor removes storage deals with temporary tables,
// whose storage is in no WAL; so do composite types, which are taken for them. REFRESH MATERIALIZED VIEW, CLUSTER,
// REINDEX and VACUUM FULL look like TRUNCATE and ALTER TABLE, and count. Changes of a catalogue that was rewritten by
// VACUUM FULL are not seen, but for storage that they remove.
type SchemaWatch struct {
	begun   map[TransactionID]*schemaWork
	made    map[invalidatedRelation]bool // storage that no transaction's number was written beside
	noted   map[rowPlace]LSN             // rows of pg_database that were last changed in place, and when
	oldest  TransactionID                // transactions from this one on have begun since the watch began
	settled bool                         // oldest is known
}

// schemaWork is what a transaction, or a part of it, has done so far.
type schemaWork struct {
	first     LSN  // of its records that matter here
	described bool // catalogues that temporary tables are not in
	shared    bool // catalogues that they are in, too
	relations bool // rows of pg_class came or went
	storage   bool // was made
	databases bool // a database or tablespace was removed, which does not wait for the commit
}

// NewSchemaWatch begins a watch.
func NewSchemaWatch() *SchemaWatch {
	return &SchemaWatch{
		begun: map[TransactionID]*schemaWork{}, made: map[invalidatedRelation]bool{}, noted: map[rowPlace]LSN{},
	}
}

// Next takes in the next record. It returns a commit where the record is one of a transaction that touched a catalogue.
func (w *SchemaWatch) Next(r *Record) (SchemaCommit, bool) {
	switch r.Rmgr {
	case RmgrXact:
		return w.end(r)
	case rmgrHeap, rmgrHeap2:
		w.heap(r)
	case RmgrStorage:
		w.storage(r)
	case RmgrDatabase, RmgrTablespace:
		w.removed(r)
	case rmgrStandby:
		if next, ok := r.nextTransaction(); ok && !w.settled {
			w.oldest, w.settled = next, true
		}
	}
	return SchemaCommit{}, false
}

// work is that of the record's transaction.
func (w *SchemaWatch) work(r *Record) *schemaWork {
	of := w.begun[r.XID]
	if of == nil {
		of = &schemaWork{first: r.LSN}
		w.begun[r.XID] = of
	}
	return of
}

func (w *SchemaWatch) heap(r *Record) {
	catalogue, operation, ok := r.heapChange()
	if !ok {
		return
	}
	if operation == heapInPlace {
		if catalogue == catalogDatabase {
			w.noted[r.changedRow(operation)] = r.LSN
		}
		return
	}
	switch {
	case describesSchema(catalogue):
		w.work(r).described = true
	case sharedByTemporary(catalogue):
		w.work(r).shared = true
	default:
		return
	}
	if catalogue == catalogClass && operation != heapUpdate {
		w.work(r).relations = true
	}
	if catalogue == catalogDatabase && operation == heapDelete {
		w.work(r).startAt(w.noted[r.changedRow(operation)])
	}
}

// notedBefore bounds how many bytes lie between the mark that DROP DATABASE puts on a database and its removal from the
// catalogue, which follows at once.
const notedBefore = 64 << 10

// startAt is for a change in place that belongs to the transaction, though its number is not beside it.
func (s *schemaWork) startAt(noted LSN) {
	if noted != 0 && noted < s.first && s.first-noted < notedBefore {
		s.first = noted
	}
}

func (w *SchemaWatch) storage(r *Record) {
	made, ok := r.storageCreate()
	switch {
	case !ok:
	case r.XID != 0:
		w.work(r).storage = true
	default:
		w.made[invalidatedRelation{database: made.Database, relation: made.Relation}] = true
	}
}

func (w *SchemaWatch) removed(r *Record) {
	_, database := r.DatabaseDrop()
	_, tablespace := r.TablespaceDrop()
	if (database || tablespace) && r.XID != 0 {
		w.work(r).databases = true
	}
}

// end settles a transaction that the record ends.
func (w *SchemaWatch) end(r *Record) (SchemaCommit, bool) {
	end, ok := r.XactEnd()
	if !ok || end.Kind == PreparedXact || end.XID == 0 {
		return SchemaCommit{}, false
	}
	all := w.settle(end)
	if !end.Kind.Committed() || all == nil && len(end.messages) == 0 && len(end.Dropped) == 0 {
		return SchemaCommit{}, false
	}
	if all == nil {
		all = &schemaWork{first: r.LSN}
	}
	for _, relation := range end.invalidated() {
		all.storage = all.storage || w.made[relation]
		delete(w.made, relation)
	}
	c := SchemaCommit{
		XID: end.XID, Time: end.Time, LSN: r.LSN, Before: r.LSN, Dropped: len(end.Dropped),
		Whole: w.settled && !end.XID.Precedes(w.oldest),
	}
	c.What, c.Changed = all.shows(len(end.Dropped))
	if all.databases {
		c.Before = all.first
	}
	return c, true
}

// settle forgets a transaction with its parts, and returns what all of them did; nil: nothing that was seen.
func (w *SchemaWatch) settle(end XactEnd) *schemaWork {
	var all *schemaWork
	for _, xid := range append([]TransactionID{end.XID}, end.SubXIDs...) {
		part := w.begun[xid]
		delete(w.begun, xid)
		switch {
		case part == nil:
		case all == nil:
			all = part
		default:
			all.add(part)
		}
	}
	return all
}

func (s *schemaWork) add(part *schemaWork) {
	s.first = min(s.first, part.first)
	s.described = s.described || part.described
	s.shared = s.shared || part.shared
	s.relations = s.relations || part.relations
	s.storage = s.storage || part.storage
	s.databases = s.databases || part.databases
}

// shows says what the work was, and whether it changed the schema.
func (s *schemaWork) shows(dropped int) (string, bool) {
	switch {
	case s.databases:
		return "it removes a database or a tablespace", true
	case dropped > 0:
		return "it removes or replaces storage", true
	case s.described, s.shared && s.storage:
		return "it changes the catalogues of the schema", true
	case s.shared && !s.relations:
		return "it changes the description of what is there", true
	}
	return "", false
}
