package catalog

import (
	"errors"
	"fmt"
)

// The answers of a repository that callers decide by, to be tested with errors.Is.
var (
	// ErrNoRepository says that the place was reached and holds no repository.
	ErrNoRepository = errors.New("no repository here")
	// ErrNoCluster says that the repository has no cluster of the name.
	ErrNoCluster = errors.New("no such cluster in the repository")
	// ErrName says that a name or id cannot stand in a key.
	ErrName = errors.New("invalid name")
)

// DamagedError says that an object's bytes are not what was once stored under its key.
type DamagedError struct {
	Key    string
	Detail string
	Err    error // what found the damage, or nil
}

func (e *DamagedError) Error() string {
	if e.Err == nil {
		return fmt.Sprintf("object %s is damaged: %s", e.Key, e.Detail)
	}
	return fmt.Sprintf("object %s is damaged: %s: %v", e.Key, e.Detail, e.Err)
}

func (e *DamagedError) Unwrap() error { return e.Err }

// damaged is a *DamagedError without a deeper cause.
func damaged(key, format string, args ...any) error {
	return &DamagedError{Key: key, Detail: fmt.Sprintf(format, args...)}
}

// VersionError says that a document has a version which this program does not know.
type VersionError struct {
	Key     string
	Kind    string
	Version int
}

func (e *VersionError) Error() string {
	return fmt.Sprintf("document %s (%s) has format version %d: it was made by a newer Lifeboat, which is needed to read it",
		e.Key, e.Kind, e.Version)
}

// ForeignError says that a cluster's name belongs to another PostgreSQL cluster than the one at hand.
type ForeignError struct {
	Name    string
	Have    Identity // registered under the name
	Offered Identity
}

func (e *ForeignError) Error() string {
	return fmt.Sprintf("cluster %q of the repository has system identifier %d and WAL segments of %d bytes, not %d and %d: "+
		"another PostgreSQL cluster has this name", e.Name,
		e.Have.SystemIdentifier, e.Have.WALSegmentSize, e.Offered.SystemIdentifier, e.Offered.WALSegmentSize)
}
