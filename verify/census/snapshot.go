package census

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Snapshot is a value of PostgreSQL's type pg_snapshot: which transactions a query sees. Transaction ids are full
// ones, 64 bits with the epoch. The ids of subtransactions are not in it.
// https://www.postgresql.org/docs/current/functions-info.html#FUNCTIONS-PG-SNAPSHOT
type Snapshot struct {
	XMin       uint64   // all transactions below are over
	XMax       uint64   // no transaction from here on was over
	InProgress []uint64 // those between the two that were not over, ascending
}

// ParseSnapshot reads the text form "xmin:xmax:xip,xip" (parse_snapshot in xid8funcs.c).
func ParseSnapshot(text string) (Snapshot, error) {
	s, err := parseSnapshot(text)
	if err != nil {
		return Snapshot{}, fmt.Errorf("parse snapshot %q: %w", text, err)
	}
	return s, nil
}

func parseSnapshot(text string) (Snapshot, error) {
	parts := strings.Split(text, ":")
	if len(parts) != 3 {
		return Snapshot{}, errors.New("not three parts with colons between them")
	}
	var s Snapshot
	var err error
	if s.XMin, err = parseXID(parts[0]); err != nil {
		return s, err
	}
	if s.XMax, err = parseXID(parts[1]); err != nil {
		return s, err
	}
	if s.InProgress, err = parseXIDs(parts[2]); err != nil {
		return s, err
	}
	return s, s.check()
}

func parseXIDs(list string) ([]uint64, error) {
	if list == "" {
		return nil, nil
	}
	var xids []uint64
	for part := range strings.SplitSeq(list, ",") {
		xid, err := parseXID(part)
		if err != nil {
			return nil, err
		}
		xids = append(xids, xid)
	}
	return xids, nil
}

func parseXID(digits string) (uint64, error) {
	xid, err := strconv.ParseUint(digits, 10, 64)
	if err != nil || xid == 0 {
		return 0, fmt.Errorf("%q is not a transaction id", digits)
	}
	return xid, nil
}

func (s Snapshot) check() error {
	if s.XMax < s.XMin {
		return errors.New("its end lies before its start")
	}
	for i, xid := range s.InProgress {
		if xid < s.XMin || xid >= s.XMax {
			return fmt.Errorf("transaction %d lies outside of it", xid)
		}
		if i > 0 && xid <= s.InProgress[i-1] {
			return errors.New("its transactions are not in ascending order")
		}
	}
	return nil
}

// String is the text form of PostgreSQL.
func (s Snapshot) String() string {
	list := make([]string, len(s.InProgress))
	for i, xid := range s.InProgress {
		list[i] = strconv.FormatUint(xid, 10)
	}
	return fmt.Sprintf("%d:%d:%s", s.XMin, s.XMax, strings.Join(list, ","))
}

// IsZero says whether there is no snapshot at all.
func (s Snapshot) IsZero() bool { return s.XMax == 0 }

// MarshalText is String, and nothing for no snapshot.
func (s Snapshot) MarshalText() ([]byte, error) {
	if s.IsZero() {
		return nil, nil
	}
	return []byte(s.String()), nil
}

// UnmarshalText is ParseSnapshot; empty text is no snapshot.
func (s *Snapshot) UnmarshalText(text []byte) error {
	*s = Snapshot{}
	if len(text) == 0 {
		return nil
	}
	parsed, err := ParseSnapshot(string(text))
	if err == nil {
		*s = parsed
	}
	return err
}

// Sees says whether the effects of a committed top-level transaction are visible.
func (s Snapshot) Sees(xid uint64) bool {
	if xid < s.XMin {
		return true
	}
	if xid >= s.XMax {
		return false
	}
	_, running := slices.BinarySearch(s.InProgress, xid)
	return !running
}

// Full adds the epoch to an id from the WAL, which holds the low 32 bits only: the id meant is the one nearest to the
// snapshot, since all that can be in use at one time lie within 2^31 of each other.
func (s Snapshot) Full(xid uint32) uint64 {
	distance := int64(int32(xid - uint32(s.XMax)))
	if distance < 0 && uint64(-distance) > s.XMax {
		return uint64(xid)
	}
	return s.XMax + uint64(distance)
}
