// Package control reads pg_control, the file that says what a cluster is and how far it has come
// (src/include/catalog/pg_control.h), of PostgreSQL 13 to 18 on 64-bit little-endian machines.
package control

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"time"

	"lifeboat/internal/wal"
)

// FileSize is PG_CONTROL_FILE_SIZE: the file is padded with zeros to this many bytes.
const FileSize = 8192

// The errors of Parse.
var (
	// ErrChecksum says that the CRC does not hold: the file is damaged, or was read while it was written.
	ErrChecksum = errors.New("pg_control: checksum does not hold")
	// ErrVersion says that the layout is of a version that is not known here.
	ErrVersion = errors.New("pg_control: version is not known")
	// ErrShort says that the file is shorter than its data.
	ErrShort = errors.New("pg_control: file is too short")
)

// State is DBState: what the cluster was doing when the file was written.
type State uint32

// The states, in PostgreSQL's order.
const (
	StartingUp State = iota
	ShutDown
	ShutDownInRecovery
	ShuttingDown
	InCrashRecovery
	InArchiveRecovery
	InProduction
)

// Control is ControlFileData, as far as Lifeboat uses it.
type Control struct {
	SystemIdentifier uint64
	Version          uint32 // PG_CONTROL_VERSION
	CatalogVersion   uint32 // CATALOG_VERSION_NO; a part of the names in tablespaces
	State            State
	Time             time.Time // of the last write
	Checkpoint       wal.LSN   // where the last checkpoint record is
	Redo             wal.LSN   // where a recovery from it begins
	Timeline         wal.TimelineID
	MinRecoveryPoint wal.LSN

	WALLevel               int32
	MaxConnections         int32
	MaxWorkerProcesses     int32
	MaxWALSenders          int32
	MaxPreparedXacts       int32
	MaxLocksPerTransaction int32

	BlockSize           uint32 // in bytes
	BlocksPerSegment    uint32 // of a relation's segment
	WALSegmentSize      uint32 // in bytes
	DataChecksumVersion uint32 // 0: pages have no checksums

	// MockNonce is mock_authentication_nonce: random bytes that initdb made, the same on all standbys and in all copies
	// of the cluster, and known to nobody who cannot read the file. It is never to be stored or shown.
	MockNonce [32]byte
}

// The offsets of fields, which are the same in all supported versions but for the CRC.
const (
	versionAt       = 8
	catalogAt       = 12
	stateAt         = 16
	timeAt          = 24
	checkpointAt    = 32
	redoAt          = 40
	timelineAt      = 48
	minRecoveryAt   = 136
	walLevelAt      = 172
	connectionsAt   = 180
	workersAt       = 184
	sendersAt       = 188
	preparedAt      = 192
	locksAt         = 196
	blockSizeAt     = 216
	relationSizeAt  = 220
	segmentSizeAt   = 228
	dataChecksumsAt = 252
	nonceLength     = 32 // MOCK_AUTH_NONCE_LEN
)

// nonceAt is where mock_authentication_nonce stands. Version 18 has one more flag before it.
func nonceAt(version uint32) int {
	if version == 1800 {
		return 257
	}
	return 256
}

// checksumAt is where the CRC stands, which covers all bytes before it. Version 18 has one more flag before it.
func checksumAt(version uint32) (int, error) {
	switch version {
	case 1300, 1700:
		return 288, nil
	case 1800:
		return 292, nil
	}
	return 0, fmt.Errorf("%w: %d", ErrVersion, version)
}

// Parse reads the file's bytes and checks them. The errors are ErrShort, ErrVersion and ErrChecksum.
func Parse(raw []byte) (Control, error) {
	if _, err := verify(raw); err != nil {
		return Control{}, err
	}
	le := binary.LittleEndian
	signed := func(at int) int32 { return int32(le.Uint32(raw[at:])) }
	return Control{
		SystemIdentifier:       le.Uint64(raw),
		Version:                le.Uint32(raw[versionAt:]),
		CatalogVersion:         le.Uint32(raw[catalogAt:]),
		State:                  State(le.Uint32(raw[stateAt:])),
		Time:                   time.Unix(int64(le.Uint64(raw[timeAt:])), 0).UTC(),
		Checkpoint:             wal.LSN(le.Uint64(raw[checkpointAt:])),
		Redo:                   wal.LSN(le.Uint64(raw[redoAt:])),
		Timeline:               wal.TimelineID(le.Uint32(raw[timelineAt:])),
		MinRecoveryPoint:       wal.LSN(le.Uint64(raw[minRecoveryAt:])),
		WALLevel:               signed(walLevelAt),
		MaxConnections:         signed(connectionsAt),
		MaxWorkerProcesses:     signed(workersAt),
		MaxWALSenders:          signed(sendersAt),
		MaxPreparedXacts:       signed(preparedAt),
		MaxLocksPerTransaction: signed(locksAt),
		BlockSize:              le.Uint32(raw[blockSizeAt:]),
		BlocksPerSegment:       le.Uint32(raw[relationSizeAt:]),
		WALSegmentSize:         le.Uint32(raw[segmentSizeAt:]),
		DataChecksumVersion:    le.Uint32(raw[dataChecksumsAt:]),
		MockNonce:              [nonceLength]byte(raw[nonceAt(le.Uint32(raw[versionAt:])):][:nonceLength]),
	}, nil
}

// verify checks length, version and CRC, and returns where the CRC stands.
func verify(raw []byte) (at int, err error) {
	if len(raw) < catalogAt {
		return 0, ErrShort
	}
	if at, err = checksumAt(binary.LittleEndian.Uint32(raw[versionAt:])); err != nil {
		return 0, err
	}
	if len(raw) < at+4 {
		return 0, ErrShort
	}
	if binary.LittleEndian.Uint32(raw[at:]) != checksum(raw[:at]) {
		return 0, ErrChecksum
	}
	return at, nil
}

func checksum(data []byte) uint32 {
	return crc32.Checksum(data, crc32.MakeTable(crc32.Castagnoli))
}

// nowhere is a checkpoint position that passes XRecOffIsValid (it lies behind a page header) and that no cluster ever
// reaches.
const nowhere = 0xDEAD_DEAD_0000_0D28

// Neutralise returns a copy of the file that recovery with a backup_label takes as it is, since it finds its
// checkpoint through the label, and with which a start without one fails: the checkpoint's position is nowhere. So a
// restored directory that lost its label cannot come up as if it had merely crashed. The errors are those of Parse.
func Neutralise(raw []byte) ([]byte, error) {
	at, err := verify(raw)
	if err != nil {
		return nil, err
	}
	out := append([]byte(nil), raw...)
	binary.LittleEndian.PutUint64(out[checkpointAt:], nowhere)
	binary.LittleEndian.PutUint32(out[at:], checksum(out[:at]))
	return out, nil
}
