// Package catalog is the repository's format: which objects there are, under which keys, and what each of their bytes
// means. FORMAT.md beside this file specifies it. No other package knows a key.
//
// Every reading method proves what it returns: bytes that are not those that were stored are a *DamagedError, and an
// object that could not be read is another error, never an absence.
package catalog
