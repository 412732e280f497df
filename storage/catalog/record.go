package catalog

import (
	"time"

	"lifeboat/internal/wal"
)

// Record is the document about one base backup. It is stored last of all its objects: a backup exists when its
// record does. The fields of PostgreSQL are those of pg_backup_start, pg_backup_stop and pg_control.
type Record struct {
	Label            string `json:"label"`
	Type             string `json:"type"` // "full"
	Cluster          string `json:"cluster"`
	SystemIdentifier uint64 `json:"system_identifier,string"`
	PostgresVersion  int    `json:"postgres_version"` // server_version_num, such as 150008

	Timeline      wal.TimelineID `json:"timeline"`
	StartLSN      wal.LSN        `json:"start_lsn"` // the checkpoint's redo position: the first WAL needed
	CheckpointLSN wal.LSN        `json:"checkpoint_lsn"`
	StopLSN       wal.LSN        `json:"stop_lsn"` // the end of the WAL needed for consistency, exclusive
	StartTime     time.Time      `json:"start_time"`
	StopTime      time.Time      `json:"stop_time"` // both by the server's clock

	WALSegmentSize wal.SegmentSize `json:"wal_segment_size"`
	DataChecksums  bool            `json:"data_checksums"`

	BackupLabel   string       `json:"backup_label"`   // byte for byte from pg_backup_stop
	TablespaceMap string       `json:"tablespace_map"` // byte for byte from pg_backup_stop
	Tablespaces   []Tablespace `json:"tablespaces"`

	Superuser       string            `json:"superuser"` // name of the role with OID 10
	Settings        map[string]string `json:"settings"`  // the settings that a restored server must know, as SHOW prints them
	GeneratedConfig bool              `json:"generated_config"`

	Files        int64 `json:"files"`
	Directories  int64 `json:"directories"`
	ClusterBytes int64 `json:"cluster_bytes"` // sum of the sizes of all files
	StoredBytes  int64 `json:"stored_bytes"`  // the same as in Index.Totals

	DamagedPages []DamagedPage `json:"damaged_pages"`

	Index      IndexRef `json:"index"`
	FrameSize  int      `json:"frame_size"` // bytes of a file in one frame, the last one of a file excepted
	References []string `json:"references"` // labels of other backups whose packs are used; none for a full one
	Tool       string   `json:"tool"`       // name and version of the program that made the backup

	// Recipients are the public keys that the backup is sealed for. None: it is stored in plain.
	Recipients []string `json:"recipients,omitempty"`

	// Locked is why the sealed part of the record could not be opened: seal.ErrNoIdentity or a *seal.WrongIdentityError.
	// Then BackupLabel, TablespaceMap, Tablespaces, Superuser, Settings and DamagedPages are not known. It is nil where
	// all of the record is.
	Locked error `json:"-"`
}

// Tablespace is a tablespace outside of the data directory, as pg_tablespace_location tells it.
type Tablespace struct {
	OID      uint32 `json:"oid"`
	Name     string `json:"name"`
	Location string `json:"location"`
}

// DamagedPage is a page whose checksum did not hold when it was read for the backup.
type DamagedPage struct {
	Path  string `json:"path"`  // relative to the data directory
	Block uint32 `json:"block"` // counted across the segments of the relation
}

// IndexRef stands for a backup's index: with it, every byte of the index can be checked, whole or in parts.
type IndexRef struct {
	Size      int64   `json:"size"`                 // in bytes, as stored
	SHA256    string  `json:"sha256"`               // hexadecimal, of the whole object as it is stored
	PlainSize int64   `json:"plain_size,omitempty"` // in bytes, of a sealed index when it is opened; 0: it is not sealed
	PackTable Section `json:"pack_table"`
	Directory Section `json:"directory"`
	Totals    Totals  `json:"totals"`
}

// Section is a part of the index that is read in one range.
type Section struct {
	Offset int64  `json:"offset"` // in bytes
	Length int64  `json:"length"` // in bytes
	SHA256 string `json:"sha256"` // hexadecimal, the first sixteen bytes of the hash of the section's bytes
}

// Totals are the counts of a finished backup.
type Totals struct {
	Files        int64 `json:"files"`
	Directories  int64 `json:"directories"`
	ClusterBytes int64 `json:"cluster_bytes"` // sum of the sizes of all files
	Frames       int64 `json:"frames"`
	Packs        int64 `json:"packs"`
	StoredBytes  int64 `json:"stored_bytes"` // sum of the sizes of the packs as stored and the index in plain
	Blocks       int64 `json:"blocks"`       // of the index
}
