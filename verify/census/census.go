package census

import (
	"time"

	"lifeboat/internal/wal"
)

// Census is a dated count and fingerprint of the tables of all databases of a cluster.
type Census struct {
	ID               string         `json:"id"`
	Taken            time.Time      `json:"taken"` // when it began, by the caller's clock
	SystemIdentifier uint64         `json:"system_identifier,string"`
	PostgresVersion  int            `json:"postgres_version"` // server_version_num
	Timeline         wal.TimelineID `json:"timeline"`
	RestorePoint     RestorePoint   `json:"restore_point"`
	Databases        []Database     `json:"databases"` // by name
}

// RestorePoint is the named restore point that was made right after the last snapshot, before anything was counted.
type RestorePoint struct {
	Name string  `json:"name"`
	LSN  wal.LSN `json:"lsn"` // the end of its record
}

// Database is what was counted in one database.
type Database struct {
	OID      uint32    `json:"oid"`
	Name     string    `json:"name"`
	Snapshot Snapshot  `json:"snapshot"`          // zero where the database could not be counted
	Attempts int       `json:"attempts"`          // snapshots taken until one had a cut, or the last one had none
	Cut      *Cut      `json:"cut,omitempty"`     // nil: it can be compared tolerantly only
	Why      string    `json:"why,omitempty"`     // why there is no cut, or no count at all
	Tables   []Table   `json:"tables"`            // by schema and name
	Skipped  []Skipped `json:"skipped"`           // relations whose rows a physical copy does not have
	Details  *Details  `json:"details,omitempty"` // nil in a census of before there were any
}

// Comparison is how far a count can be held against a restored instance.
type Comparison string

// The kinds of Comparison.
const (
	Exact    Comparison = "exact"    // any difference is a failure
	Tolerant Comparison = "tolerant" // row counts must agree within a tolerance
	None     Comparison = "none"     // it proves nothing
)

// Table is what was counted of one table, one leaf of a partitioned table or one materialized view.
type Table struct {
	OID         uint32     `json:"oid"`
	Schema      string     `json:"schema"`
	Name        string     `json:"name"`
	Bytes       int64      `json:"bytes"`                 // on disk, TOAST included, indexes not
	Rows        int64      `json:"rows"`                  // those of the sample only, where Sample.Rows says so
	Fingerprint string     `json:"fingerprint,omitempty"` // 32 hexadecimal digits; empty where it was not taken
	Sample      *Sample    `json:"sample,omitempty"`      // what the fingerprint covers; nil: all rows
	Comparable  Comparison `json:"comparable"`
	Why         string     `json:"why,omitempty"` // why it is not comparable exactly, or has no fingerprint
}

// Sample names a part of a table's blocks, the same ones on every physical copy:
// TABLESAMPLE SYSTEM (Percent) REPEATABLE (Seed).
type Sample struct {
	Percent float64 `json:"percent"`
	Seed    int64   `json:"seed"`
	Rows    bool    `json:"rows"` // the rows, too, were counted in the sample only
}

// BytesRead is how much of a table its count and its fingerprint read, as far as its size tells.
func (t Table) BytesRead() int64 {
	switch {
	case t.Comparable == None:
		return 0
	case t.Sample == nil:
		return t.Bytes
	}
	sampled := int64(float64(t.Bytes) * t.Sample.Percent / 100)
	if t.Sample.Rows {
		return sampled
	}
	return t.Bytes + sampled
}

// Skipped is a relation that cannot be compared with a physical copy by its nature.
type Skipped struct {
	OID    uint32 `json:"oid"`
	Schema string `json:"schema"`
	Name   string `json:"name"`
	Why    string `json:"why"`
}
