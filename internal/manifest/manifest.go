// Package manifest writes and reads backup_manifest, the list of a base backup's files that pg_verifybackup
// checks a directory against. The format is that of
// https://www.postgresql.org/docs/current/backup-manifest-format.html.
package manifest

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"lifeboat/internal/wal"
)

// Name is the manifest's file name in a data directory.
const Name = "backup_manifest"

// Format is the version of the manifest's format.
type Format int

// The formats. FormatSystem adds the system identifier.
const (
	FormatPlain  Format = 1
	FormatSystem Format = 2
)

// FormatOf is the format that a major version of PostgreSQL writes, and whose pg_verifybackup reads it: version 17
// brought the second.
func FormatOf(major int) Format {
	if major >= 17 {
		return FormatSystem
	}
	return FormatPlain
}

// ErrMalformed says that the text is no manifest, or a damaged one.
var ErrMalformed = errors.New("backup manifest is malformed")

// ErrChecksum says that the manifest's own checksum does not match: it was changed or cut off.
var ErrChecksum = errors.New("backup manifest does not match its checksum")

func malformed(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrMalformed, fmt.Sprintf(format, args...))
}

// Algorithm names how a file's checksum is made, in the manifest's words. The empty one means that there is none.
type Algorithm string

// CRC32C is what PostgreSQL uses unless told otherwise.
const CRC32C Algorithm = "CRC32C"

// File is one file of the backup.
type File struct {
	Path      string // relative to the data directory, with slashes; any bytes but NUL
	Size      int64  // in bytes
	Modified  time.Time
	Algorithm Algorithm
	Checksum  []byte
}

// ChecksumOfCRC32C is a CRC-32C (Castagnoli) as Checksum holds it: in the byte order of PostgreSQL on little-endian
// machines (pg_checksum_final in checksum_helper.c).
func ChecksumOfCRC32C(crc uint32) []byte { return binary.LittleEndian.AppendUint32(nil, crc) }

// WALRange is WAL that the backup needs to become consistent, on one timeline.
type WALRange struct {
	Timeline   wal.TimelineID
	Start, End wal.LSN
}

// Manifest is what the manifest says besides the files.
type Manifest struct {
	Format           Format
	SystemIdentifier uint64 // 0 in FormatPlain
	WALRanges        []WALRange
	Checksum         string // SHA-256 of the text before it, in lower-case hexadecimal digits
}

// timeLayout is what PostgreSQL writes, always in GMT (AddFileToBackupManifest in backup_manifest.c).
const timeLayout = "2006-01-02 15:04:05 GMT"
