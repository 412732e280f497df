// Package storage defines the seam between Lifeboat and the places that keep its objects: one small contract that
// every driver meets and every decorator preserves. It knows bytes and keys; what they mean is the catalog's affair.
//
// The package storagetest holds the contract as a test suite.
package storage

import (
	"context"
	"io"
	"iter"
	"time"
)

// Bucket is a flat set of immutable objects, each a sequence of bytes under a key (see [ValidKey]).
//
// A Bucket is safe for concurrent use, by goroutines and by processes on any number of machines.
//
// Errors carry the operation, the key and the place (see [*Error]). Four of them are answers and are tested with
// errors.Is: [ErrNotFound], [ErrExists], [ErrKey] and [ErrRange]. Every other error means that the state of the
// object is unknown, and nothing may be concluded from it.
type Bucket interface {
	// Put stores the whole of body under key.
	//
	// Durability: when Put returns nil the object survives the loss of power, and so does every directory or other
	// structure it needs to be found again.
	//
	// Atomicity: nothing is visible at key before all of body is stored. When body fails, has another length than
	// opts.Size says, or ctx ends before the object is published, the key stays as it was and no trace of the attempt
	// is left. An error of the store itself after the object was published, such as a lost answer, leaves the outcome
	// unknown: there is either the whole object or what was there before.
	//
	// Without opts.IfAbsent an object at key is replaced in one step: a reader sees the old bytes or the new ones.
	// With opts.IfAbsent an object at key is never touched: exactly one of any number of competing calls succeeds,
	// and the others get ErrExists. ErrExists also vouches that the object found there is whole and durable, so that
	// a caller who finds the same content may acknowledge it.
	//
	// No key may continue another one past a slash: with an object at "a", "a/b" may be refused with ErrKey, and the
	// other way round.
	//
	// Put reads body from the calling goroutine or stops reading it before it returns, and never closes it.
	Put(ctx context.Context, key string, body io.Reader, opts PutOptions) error

	// Get opens length bytes of the object, from offset, both in bytes; a length below zero means to the end.
	//
	// ErrNotFound is returned only where the object is authoritatively absent. A range that is not wholly inside the
	// object, or a negative offset, is ErrRange; an empty range at the end is a valid empty body.
	//
	// The body ends with io.EOF after exactly the bytes asked for. One that ends early fails with
	// io.ErrUnexpectedEOF or the store's error, never with io.EOF. The body lives until it is closed, which the caller
	// must do, and fails once ctx ends. It is not safe for concurrent use.
	Get(ctx context.Context, key string, offset, length int64) (io.ReadCloser, error)

	// Stat describes the object at key. ErrNotFound is returned only where it is authoritatively absent: an outage, a
	// refused permission or a missing store is another error.
	Stat(ctx context.Context, key string) (Info, error)

	// List yields every object whose key starts with prefix, ordered by key, bytewise ascending, to the end. The
	// prefix is one of the key's text and need not end at a slash; the empty one means everything. A prefix with which
	// no valid key starts is ErrKey.
	//
	// An error is yielded once, with a zero Info, and ends the sequence: a sequence that ended without one was
	// complete. Objects that come or go meanwhile may be in it or not; all others are, once.
	List(ctx context.Context, prefix string) iter.Seq2[Info, error]

	// Delete removes the object at key. Deleting an absent one is nil. When Delete returns nil the removal survives
	// the loss of power.
	Delete(ctx context.Context, key string) error

	// Location names the place in messages, as a URL without secrets.
	Location() string
}

// PutOptions are the conditions of a Put.
type PutOptions struct {
	// IfAbsent makes the Put fail with ErrExists where an object is already at the key.
	IfAbsent bool

	// Size is the length of the body in bytes, or -1 where it is not known. A body that turns out longer or shorter is
	// ErrSize, and nothing becomes visible. Mind that zero means an empty body.
	Size int64
}

// Info describes an object.
type Info struct {
	Key     string
	Size    int64     // in bytes
	ModTime time.Time // when it was stored, by the clock of the store; never proof of anything
}
