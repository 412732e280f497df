package archive

import (
	"errors"
	"fmt"
	"io/fs"
)

// OperatorError is a situation that the operator mends. The message is one sentence; the hint says what to do, and may
// have several lines to copy.
type OperatorError struct {
	Message string
	Hint    string
	Err     error // the cause, where there is one
}

// Error is the message with its cause, without the hint.
func (e *OperatorError) Error() string {
	if e.Err == nil {
		return e.Message
	}
	return e.Message + ": " + e.Err.Error()
}

// Unwrap is the cause.
func (e *OperatorError) Unwrap() error { return e.Err }

// unreadable explains what the operating system refuses.
func unreadable(err error) error {
	if !errors.Is(err, fs.ErrPermission) {
		return fmt.Errorf("read the data directory: %w", err)
	}
	return &OperatorError{
		Message: "this user may not read the data directory",
		Hint: "run the backup as the operating system's user that owns the data directory, usually postgres, or let " +
			"that user's group read it (initdb --allow-group-access)",
		Err: err,
	}
}
