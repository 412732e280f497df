// Package instance examines a running PostgreSQL that was restored, in layers: whether its catalogues can be read and
// refer to what is there, whether heaps and indexes are sound, whether every page on disk carries the right checksum,
// whether sequences, extensions and collations are those of production, and whether the operator's own assertions
// hold.
//
// What is restored is data, never instruction: no layer runs code that came with the backup, except for the operator's
// assertions where these call it. A layer that cannot be run says so, and why; it never passes.
package instance
