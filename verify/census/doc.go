// Package census counts and fingerprints the tables of a running PostgreSQL, and compares a restored instance with
// what was counted.
//
// A census belongs to an LSN. Every database is counted under one REPEATABLE READ snapshot, and the commit records in
// the WAL around the moment of that snapshot are searched for a cut: a position that every transaction visible to the
// snapshot committed before, and none of the others. Recovery to the cut, not inclusive, gives exactly the rows that
// the snapshot saw. Where there is no such position another snapshot is taken; where there still is none the census
// says so, and the comparison is tolerant.
//
// Nothing is locked but the table that is being counted, against changes of its definition only, and nothing needs
// more than SELECT and EXECUTE on pg_create_restore_point(text).
package census
