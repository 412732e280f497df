package storage

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"syscall"
)

// The answers of a Bucket that callers decide by, to be tested with errors.Is.
var (
	// ErrNotFound says that there is authoritatively no object at the key.
	ErrNotFound = errors.New("no such object")
	// ErrExists says that a conditional Put found an object at the key, whole and durable.
	ErrExists = errors.New("object exists")
	// ErrKey says that the key or prefix cannot name an object, see [ValidKey].
	ErrKey = errors.New("invalid key")
	// ErrRange says that the range asked for is not wholly inside the object.
	ErrRange = errors.New("range outside of the object")
	// ErrSize says that the body of a Put had another length than was announced.
	ErrSize = errors.New("body has another size than announced")
	// ErrUnavailable says that the store could not serve the request now and may do so later: it is overloaded,
	// throttling, or did not answer in time. Drivers wrap it around such answers.
	ErrUnavailable = errors.New("store unavailable")
	// ErrDamaged says that what was read does not match the checksum that the store itself keeps of the object.
	ErrDamaged = errors.New("the bytes do not match the checksum that the store keeps of them")
)

// Error says which operation on which object of which place went wrong, and where there is one, what the operator can
// do about it.
type Error struct {
	Op       string // "put", "get", "stat", "list", "delete", "open", "create"
	Key      string // empty where the operation has none
	Location string
	Err      error
	Hint     string // a sentence for the operator, or empty; not part of Error()
}

func (e *Error) Error() string {
	if e.Key == "" {
		return e.Op + " " + e.Location + ": " + e.Err.Error()
	}
	return e.Op + " " + e.Key + " in " + e.Location + ": " + e.Err.Error()
}

func (e *Error) Unwrap() error { return e.Err }

// Hint returns what the operator can do about err, or the empty string where nothing is known.
func Hint(err error) string {
	var e *Error
	if errors.As(err, &e) {
		return e.Hint
	}
	return ""
}

// Transient reports whether the same operation may succeed when it is tried again: timeouts, cut connections, short
// bodies and [ErrUnavailable]. Answers, refused permissions, a full disk and a cancelled context are not.
func Transient(err error) bool {
	switch {
	case err == nil, definite(err):
		return false
	case errors.Is(err, ErrUnavailable), errors.Is(err, io.ErrUnexpectedEOF):
		return true
	}
	return cutConnection(err) || temporary(err)
}

// definite reports whether err is an answer, which stays the same however often one asks.
func definite(err error) bool {
	for _, answer := range []error{ErrNotFound, ErrExists, ErrKey, ErrRange, ErrSize, fs.ErrPermission, context.Canceled} {
		if errors.Is(err, answer) {
			return true
		}
	}
	return false
}

func cutConnection(err error) bool {
	for _, errno := range []syscall.Errno{
		syscall.ECONNRESET, syscall.ECONNABORTED, syscall.ECONNREFUSED, syscall.EPIPE,
		syscall.ENETUNREACH, syscall.EHOSTUNREACH, syscall.ENETDOWN, syscall.ESTALE,
	} {
		if errors.Is(err, errno) {
			return true
		}
	}
	return false
}

// temporary asks the error itself, as those of the net package and of the system calls can tell.
func temporary(err error) bool {
	var timeout interface{ Timeout() bool }
	if errors.As(err, &timeout) && timeout.Timeout() {
		return true
	}
	var temp interface{ Temporary() bool }
	return errors.As(err, &temp) && temp.Temporary()
}
