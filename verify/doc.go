// Package verify proves a repository sound: every byte of every object by its checksums, and beyond that what the
// objects say of each other. It reads the repository only; no PostgreSQL is needed. Its subpackage census compares a
// restored instance with production.
package verify
