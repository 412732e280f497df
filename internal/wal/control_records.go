package wal

import "time"

// The operations of resource manager XLOG (pg_control.h).
const (
	xlogCheckpointShutdown = 0x00
	xlogCheckpointOnline   = 0x10
	xlogSwitch             = 0x40
	xlogBackupEnd          = 0x50
	xlogRestorePoint       = 0x70
	xlogEndOfRecovery      = 0x90
)

func (r *Record) isXLOG(operation uint8) bool {
	return r.Rmgr == RmgrXLOG && r.Operation() == operation
}

// Switch says whether the record ends its segment (pg_switch_wal, archive_timeout).
func (r *Record) Switch() bool { return r.isXLOG(xlogSwitch) }

// RestorePoint is a record that pg_create_restore_point wrote (xl_restore_point).
type RestorePoint struct {
	Name string    `json:"name"`
	LSN  LSN       `json:"lsn"` // of the record's end, which is what pg_create_restore_point returns
	Time time.Time `json:"time"`
}

// RestorePoint takes a restore point apart; false for every other record.
func (r *Record) RestorePoint() (RestorePoint, bool) {
	if !r.isXLOG(xlogRestorePoint) {
		return RestorePoint{}, false
	}
	f := fields{rest: r.Main}
	point := RestorePoint{LSN: r.End, Time: f.timestamp()}
	point.Name = f.text()
	return point, !f.short
}

// Checkpoint is a checkpoint record (struct CheckPoint in pg_control.h).
type Checkpoint struct {
	Redo         LSN
	Timeline     TimelineID
	PrevTimeline TimelineID // differs from Timeline when the record begins a timeline
	NextXID      uint64     // with its epoch in the upper half
	Time         time.Time  // in whole seconds
	Shutdown     bool
}

// Checkpoint takes a checkpoint record apart; false for every other record.
func (r *Record) Checkpoint() (Checkpoint, bool) {
	shutdown := r.isXLOG(xlogCheckpointShutdown)
	if !shutdown && !r.isXLOG(xlogCheckpointOnline) {
		return Checkpoint{}, false
	}
	f := fields{rest: r.Main}
	c := Checkpoint{Shutdown: shutdown, Redo: f.lsn(), Timeline: TimelineID(f.uint32()), PrevTimeline: TimelineID(f.uint32())}
	f.skip(8) // full_page_writes and, since version 17, wal_level
	c.NextXID = f.uint64()
	f.skip(32) // counters
	c.Time = time.Unix(int64(f.uint64()), 0).UTC()
	return c, !f.short
}

// EndOfRecovery is the record that begins a timeline where no checkpoint does (xl_end_of_recovery).
type EndOfRecovery struct {
	Time         time.Time
	Timeline     TimelineID
	PrevTimeline TimelineID
}

// EndOfRecovery takes an end-of-recovery record apart; false for every other record.
func (r *Record) EndOfRecovery() (EndOfRecovery, bool) {
	if !r.isXLOG(xlogEndOfRecovery) {
		return EndOfRecovery{}, false
	}
	f := fields{rest: r.Main}
	end := EndOfRecovery{Time: f.timestamp(), Timeline: TimelineID(f.uint32()), PrevTimeline: TimelineID(f.uint32())}
	return end, !f.short
}

// BackupEnd returns where the base backup started that ends with this record; false for every other record.
func (r *Record) BackupEnd() (start LSN, ok bool) {
	if !r.isXLOG(xlogBackupEnd) {
		return 0, false
	}
	f := fields{rest: r.Main}
	start = f.lsn()
	return start, !f.short
}
