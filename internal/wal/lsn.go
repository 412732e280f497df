// Package wal is PostgreSQL's vocabulary of write-ahead logging: positions, timelines, segment names, history
// files, page headers and records of the versions 13 to 18. It does no I/O of its own.
package wal

import (
	"fmt"
	"strconv"
	"strings"
)

// LSN is a byte position in the WAL of a cluster (XLogRecPtr). Zero is invalid and stands for "none".
type LSN uint64

// ParseLSN reads the form that PostgreSQL prints: two hexadecimal numbers of one to eight digits with a slash
// between them (pg_lsn_in in pg_lsn.c). Lower case is accepted, as PostgreSQL does.
func ParseLSN(s string) (LSN, error) {
	high, low, ok := strings.Cut(s, "/")
	if !ok {
		return 0, fmt.Errorf("parse LSN %q: no slash", s)
	}
	h, err := parseLSNHalf(high)
	if err != nil {
		return 0, fmt.Errorf("parse LSN %q: %w", s, err)
	}
	l, err := parseLSNHalf(low)
	if err != nil {
		return 0, fmt.Errorf("parse LSN %q: %w", s, err)
	}
	return LSN(h<<32 | l), nil
}

func parseLSNHalf(s string) (uint64, error) {
	if len(s) < 1 || len(s) > 8 || !isHex(s) {
		return 0, fmt.Errorf("%q is not one to eight hexadecimal digits", s)
	}
	return strconv.ParseUint(s, 16, 32)
}

// String is PostgreSQL's form, such as 0/3000148.
func (l LSN) String() string {
	return fmt.Sprintf("%X/%X", uint32(l>>32), uint32(l))
}

// IsValid says whether l is a position at all (XLogRecPtrIsInvalid, turned round).
func (l LSN) IsValid() bool { return l != 0 }

// MarshalText is String, for JSON and YAML.
func (l LSN) MarshalText() ([]byte, error) { return []byte(l.String()), nil }

// UnmarshalText is ParseLSN, for JSON and YAML.
func (l *LSN) UnmarshalText(text []byte) error {
	parsed, err := ParseLSN(string(text))
	if err != nil {
		return err
	}
	*l = parsed
	return nil
}

// TimelineID numbers a cluster's timelines from 1. Zero is invalid.
type TimelineID uint32

// ParseTimelineID reads a decimal timeline number above zero.
func ParseTimelineID(s string) (TimelineID, error) {
	n, err := strconv.ParseUint(s, 10, 32)
	if err != nil {
		return 0, fmt.Errorf("parse timeline %q: not a decimal number of 32 bits", s)
	}
	if n == 0 {
		return 0, fmt.Errorf("parse timeline %q: timelines start at 1", s)
	}
	return TimelineID(n), nil
}

// String is the decimal form, which recovery_target_timeline and pg_controldata use.
func (t TimelineID) String() string { return strconv.FormatUint(uint64(t), 10) }

// Hex is the form used in file names: eight upper-case hexadecimal digits.
func (t TimelineID) Hex() string { return fmt.Sprintf("%08X", uint32(t)) }

func isHex(s string) bool {
	for i := range len(s) {
		c := s[i]
		if !isUpperHexDigit(c) && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}

func isUpperHexDigit(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'A' && c <= 'F'
}
