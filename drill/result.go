package drill

import (
	"encoding/json"
	"time"

	"lifeboat/internal/wal"
)

// Result is one drill as it is reported and kept as evidence. The names of its JSON are fixed: dashboards and scripts
// read them.
type Result struct {
	ID      string  `json:"id"`
	Cluster string  `json:"cluster"`
	Drill   string  `json:"drill"` // its name in the configuration
	Verdict Verdict `json:"verdict"`

	Target     TargetReached `json:"target"`
	Backup     BackupUsed    `json:"backup"`
	Phases     []Phase       `json:"phases"`
	RTOSeconds float64       `json:"rto_seconds"` // plan, fetch, start and replay, to the first answered query at the target
	RPOSeconds float64       `json:"rpo_seconds"` // from the newest moment in the archive to the start of the drill
	Rows       Rows          `json:"rows"`
	Checks     []Check       `json:"checks"`
	Targets    []Measured    `json:"targets"`
	Evidence   string        `json:"evidence"` // where it is kept

	Started      time.Time       `json:"started"`
	Finished     time.Time       `json:"finished"`
	Policy       Policy          `json:"policy"`
	Environment  Environment     `json:"environment"`
	Census       string          `json:"census"` // the one that was compared with; empty: none
	Plan         json.RawMessage `json:"plan,omitempty"`
	RestoreBasis string          `json:"restore_basis"` // what the restore time was measured on
	LogExcerpt   string          `json:"log_excerpt"`   // of the scratch server, where recovery went wrong
	Damaged      []string        `json:"damaged"`       // objects of the repository
	Ending       Ending          `json:"ending"`
}

// TargetReached is where the drill was to recover to, and where it came.
type TargetReached struct {
	Kind        string    `json:"kind"`
	Value       string    `json:"value"`
	ReachedLSN  wal.LSN   `json:"reached_lsn"`
	ReachedTime time.Time `json:"reached_time"` // of the last transaction that was replayed
	StopReason  string    `json:"stop_reason"`  // in the server's words
}

// BackupUsed is the backup that was restored.
type BackupUsed struct {
	Label    string    `json:"label"`
	Type     string    `json:"type"`
	StartLSN wal.LSN   `json:"start_lsn"`
	StopLSN  wal.LSN   `json:"stop_lsn"`
	StopTime time.Time `json:"stop_time"`
	Bytes    int64     `json:"bytes"` // of the cluster
}

// Phase is a part of the drill's time.
type Phase struct {
	Name    string  `json:"name"` // plan, fetch, start, replay, verify or cleanup
	Seconds float64 `json:"seconds"`
	Bytes   int64   `json:"bytes"`
}

// Rows is the comparison of the restored tables with the census.
type Rows struct {
	Comparison string  `json:"comparison"` // exact, tolerant or none
	Why        string  `json:"why"`
	Tables     []Table `json:"tables"`
}

// Table is the comparison of one table.
type Table struct {
	Database    string  `json:"database"`
	Table       string  `json:"table"` // schema.name
	Expected    int64   `json:"expected"`
	Actual      int64   `json:"actual"`
	Fingerprint string  `json:"fingerprint"` // match, differ or not taken
	Result      Verdict `json:"result"`
	Why         string  `json:"why"`
}

// Check is one thing that the drill looked at.
type Check struct {
	Name   string  `json:"name"`
	Result Verdict `json:"result"`
	Detail string  `json:"detail"`
}

// Measured is one documented target with what was measured.
type Measured struct {
	Name        string  `json:"name"`
	Target      string  `json:"target"`
	Actual      string  `json:"actual"`
	UsedPercent float64 `json:"used_percent"`
	Result      Verdict `json:"result"`
}

// Policy is what the drill was held against.
type Policy struct {
	RowsPercent        float64       `json:"rows_percent"`
	RestorePerTerabyte time.Duration `json:"restore_per_terabyte_ns"`
	RPO                time.Duration `json:"rpo_ns"`
	WarnAtPercent      float64       `json:"warn_at_percent"`
	MaxBackupAge       time.Duration `json:"max_backup_age_ns"`
}

// Environment is where the drill ran.
type Environment struct {
	Lifeboat   string `json:"lifeboat"`
	PostgreSQL string `json:"postgresql"`
	System     string `json:"system"`
	Cores      int    `json:"cores"`
}
