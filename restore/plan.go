package restore

import (
	"time"

	"lifeboat/internal/wal"
	"lifeboat/storage/catalog"
)

// Plan is a restore as a value, computed from what the repository holds before anything is written. The field names of
// its JSON form are stable.
type Plan struct {
	Cluster          string         `json:"cluster"`
	SystemIdentifier uint64         `json:"system_identifier,string"`
	Directory        string         `json:"directory"`
	Backup           PlannedBackup  `json:"backup"`
	Target           PlannedTarget  `json:"target"`
	Timeline         wal.TimelineID `json:"timeline"` // recovery_target_timeline

	TimelinePath []wal.TimelineID    `json:"timeline_path"` // that recovery follows, oldest first
	WAL          PlannedWAL          `json:"wal"`
	BytesToRead  int64               `json:"bytes_to_read"`  // stored bytes of the backup
	BytesToWrite int64               `json:"bytes_to_write"` // of the data directory and its tablespaces, without WAL
	Tablespaces  []PlannedTablespace `json:"tablespaces"`
	Settings     []Setting           `json:"settings"` // of recovery, in the order in which they must be written
	Notes        []string            `json:"notes"`    // what the operator should know

	// CreatesTablespaces are the directories outside of the data directory that replay will create and write to.
	CreatesTablespaces []string `json:"creates_tablespaces"`

	// CustomManagers are the resource managers of extensions whose records replay meets: without their libraries in
	// shared_preload_libraries it ends there. A record that crosses from one segment to the next is not known of.
	CustomManagers []int `json:"custom_resource_managers,omitempty"`

	record        catalog.Record
	orphanHistory bool // the timeline's history file is not stored, and must be made up
}

// PlannedBackup is the backup that a restore starts from.
type PlannedBackup struct {
	Label           string         `json:"label"`
	Type            string         `json:"type"`
	PostgresVersion int            `json:"postgres_version"` // server_version_num
	Timeline        wal.TimelineID `json:"timeline"`
	StartLSN        wal.LSN        `json:"start_lsn"`
	StopLSN         wal.LSN        `json:"stop_lsn"`
	StartTime       time.Time      `json:"start_time"`
	StopTime        time.Time      `json:"stop_time"`
	DamagedPages    int            `json:"damaged_pages"` // known since it was made
}

// PlannedTarget is the recovery target as it was asked for and as PostgreSQL will be told.
type PlannedTarget struct {
	Kind      Kind   `json:"kind"`
	Value     string `json:"value"`
	Exclusive bool   `json:"exclusive"`

	// Setting is the name of PostgreSQL's setting for it; empty where recovery runs to the end of WAL.
	Setting      string    `json:"setting"`
	SettingValue string    `json:"setting_value"`
	StopLSN      wal.LSN   `json:"stop_lsn"`  // start of the record at which recovery stops, or of the last record
	StopTime     time.Time `json:"stop_time"` // of the transaction or restore point in it; zero if it has none
	Why          string    `json:"why"`       // where the setting is of another kind than the target: why that means the same
}

// PlannedWAL is the WAL that recovery needs at least.
type PlannedWAL struct {
	First    string `json:"first"` // segment names
	Last     string `json:"last"`
	Segments int    `json:"segments"`
	Bytes    int64  `json:"bytes"`
}

// PlannedTablespace is where a tablespace goes.
type PlannedTablespace struct {
	OID      uint32 `json:"oid"`
	Name     string `json:"name"`
	Location string `json:"location"` // when the backup was made
	Target   string `json:"target"`
}

// Setting is one of PostgreSQL's settings.
type Setting struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// Record is the record of the backup that the plan starts from.
func (p Plan) Record() catalog.Record { return p.record }
