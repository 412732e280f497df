// Package stream receives WAL over PostgreSQL's streaming replication protocol, as it is written, and brings it into the
// repository: into a durable spool first, from there whole segments as they fill, and on an interval the new bytes of the
// one that is being filled
// (https://www.postgresql.org/docs/current/protocol-replication.html, walsender.c, receivelog.c).
//
// # What is acknowledged
//
// The server is told two positions: what was written, and what is durable. The second one lets transactions of a
// synchronous standby return and lets the server remove WAL, so it is never ahead of what Options.Durable promises: bytes
// that fdatasync has brought to the spool's disk, or bytes that the repository has confirmed.
//
// # The spool
//
// A directory of the receiver's own. It holds
//
//	identity                       the cluster that it belongs to, and its segment size
//	000000010000000000000007       a whole segment that the repository lacks
//	000000010000000000000008.partial   the segment that is being received, or where a timeline or a gap ended one
//	00000002.history               a timeline's history that the repository lacks
//	*.gap                          WAL that can never be received, still to be told to the repository
//
// and the newest .partial file is always there, an empty one too: its name and length are the place where receiving goes
// on. A file that is whole was synced before it got its name. Of a partial one, the part is believed that wal.Reader
// accepts.
package stream
