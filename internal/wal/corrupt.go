package wal

import (
	"errors"
	"fmt"
)

// CorruptError says where WAL is not what PostgreSQL would accept. At the end of WAL that is still being
// written this is how the unwritten part shows, as in PostgreSQL itself: old or zero bytes.
type CorruptError struct {
	Name   string // of the file, where it is known
	LSN    LSN    // of the page or record
	Reason string
}

// Error names the file, if known, and the position.
func (e *CorruptError) Error() string {
	if e.Name == "" {
		return fmt.Sprintf("WAL is not valid at %s: %s", e.LSN, e.Reason)
	}
	return fmt.Sprintf("WAL file %s is not valid at %s: %s", e.Name, e.LSN, e.Reason)
}

// ErrIncomplete says that the source ended in the middle of a record. More WAL may complete it.
var ErrIncomplete = errors.New("WAL ends inside a record")

func corruptf(lsn LSN, format string, args ...any) error {
	return &CorruptError{LSN: lsn, Reason: fmt.Sprintf(format, args...)}
}
