package restore

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"lifeboat/internal/wal"
)

// Kind names what a recovery target is given by.
type Kind string

// The kinds of recovery targets. All but KindLatest are PostgreSQL's own (its documentation, "Recovery Target").
const (
	KindTime      Kind = "time"
	KindLSN       Kind = "lsn"
	KindName      Kind = "name"
	KindXID       Kind = "xid"
	KindImmediate Kind = "immediate" // as soon as the backup is consistent
	KindLatest    Kind = "latest"    // the end of the WAL that the repository holds
)

// maxNameLength is the longest name of a restore point, in bytes (MAXFNAMELEN in xlog_internal.h, less the final NUL).
const maxNameLength = 63

// Target is a point in a cluster's history to recover to.
type Target struct {
	Kind      Kind
	Time      time.Time // KindTime; PostgreSQL compares it with times of commits, in microseconds
	LSN       wal.LSN   // KindLSN; recovery stops at the first record that starts at or after it
	Name      string    // KindName; of a restore point
	XID       uint64    // KindXID; a top-level transaction, with or without its epoch
	Exclusive bool      // stop just before the target instead of just after it (recovery_target_inclusive = off)
}

// Validate says whether the target is complete. It looks at nothing but the value.
func (t Target) Validate() error {
	switch t.Kind {
	case KindTime:
		return t.validateTime()
	case KindLSN:
		return require(t.LSN.IsValid(), "recovery target LSN is missing")
	case KindName:
		return t.validateName()
	case KindXID:
		return require(uint32(t.XID) > 2, "recovery target transaction must be an ordinary one, 3 or above")
	case KindImmediate, KindLatest:
		return require(!t.Exclusive, fmt.Sprintf("recovery target %q cannot be exclusive", t.Kind))
	}
	return fmt.Errorf("recovery target %q is unknown", t.Kind)
}

func require(holds bool, otherwise string) error {
	if holds {
		return nil
	}
	return errors.New(otherwise)
}

func (t Target) validateTime() error {
	year := t.Time.UTC().Year()
	return require(!t.Time.IsZero() && year >= 2000 && year <= 9999, "recovery target time is missing or out of range")
}

func (t Target) validateName() error {
	if t.Name == "" {
		return errors.New("recovery target name is empty")
	}
	if len(t.Name) > maxNameLength {
		return fmt.Errorf("recovery target name %q is longer than %d bytes", t.Name, maxNameLength)
	}
	return require(!strings.ContainsAny(t.Name, "\n\r\x00"), "recovery target name holds a line break")
}

// Value is the target without its kind, as PostgreSQL's settings write it; empty for immediate and latest.
func (t Target) Value() string {
	switch t.Kind {
	case KindTime:
		return FormatTime(t.Time)
	case KindLSN:
		return t.LSN.String()
	case KindName:
		return t.Name
	case KindXID:
		return strconv.FormatUint(t.XID&math.MaxUint32, 10)
	}
	return ""
}

// String is the target for people, such as "time 2026-11-22 10:21:03.000000+00, exclusive".
func (t Target) String() string {
	s := string(t.Kind)
	if value := t.Value(); value != "" {
		s += " " + value
	}
	if t.Exclusive {
		s += ", exclusive"
	}
	return s
}
