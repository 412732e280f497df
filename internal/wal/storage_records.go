package wal

// TablespaceCreate is a CREATE TABLESPACE (xl_tblspc_create_rec). Replaying it makes a link to Path, and
// directories in it, on the machine that replays.
type TablespaceCreate struct {
	OID  OID
	Path string // absolute; empty for a tablespace inside the data directory
}

// TablespaceCreate takes a CREATE TABLESPACE apart; false for every other record.
func (r *Record) TablespaceCreate() (TablespaceCreate, bool) {
	if r.Rmgr != RmgrTablespace || r.Operation() != 0x00 {
		return TablespaceCreate{}, false
	}
	f := fields{rest: r.Main}
	created := TablespaceCreate{OID: OID(f.uint32())}
	created.Path = f.text()
	return created, !f.short
}

// TablespaceDrop returns the tablespace that a DROP TABLESPACE removes; false for every other record.
func (r *Record) TablespaceDrop() (OID, bool) {
	if r.Rmgr != RmgrTablespace || r.Operation() != 0x10 {
		return 0, false
	}
	f := fields{rest: r.Main}
	oid := OID(f.uint32())
	return oid, !f.short
}

// StorageTruncate is a relation cut to a number of blocks, as VACUUM does (xl_smgr_truncate).
type StorageTruncate struct {
	Locator RelationLocator
	Blocks  uint32 // that stay of the main fork
}

// StorageTruncate takes a truncation apart; false for every other record.
func (r *Record) StorageTruncate() (StorageTruncate, bool) {
	if r.Rmgr != RmgrStorage || r.Operation() != 0x20 {
		return StorageTruncate{}, false
	}
	f := fields{rest: r.Main}
	cut := StorageTruncate{Blocks: f.uint32(), Locator: f.locator()}
	return cut, !f.short
}

// DatabaseCreate is a CREATE DATABASE (xl_dbase_create_file_copy_rec, xl_dbase_create_wal_log_rec). When it
// copies a template's files, the new blocks are not in the WAL.
type DatabaseCreate struct {
	Database, Tablespace OID
	CopiesFiles          bool
}

// DatabaseCreate takes a CREATE DATABASE apart; false for every other record.
func (r *Record) DatabaseCreate() (DatabaseCreate, bool) {
	copies := r.Operation() == 0x00
	logged := r.Version >= 15 && r.Operation() == 0x10
	if r.Rmgr != RmgrDatabase || !copies && !logged {
		return DatabaseCreate{}, false
	}
	f := fields{rest: r.Main}
	created := DatabaseCreate{CopiesFiles: copies, Database: OID(f.uint32()), Tablespace: OID(f.uint32())}
	return created, !f.short
}

// DatabaseDrop is a DROP DATABASE, or a database moved out of its tablespaces (xl_dbase_drop_rec).
type DatabaseDrop struct {
	Database    OID
	Tablespaces []OID
}

// DatabaseDrop takes a DROP DATABASE apart; false for every other record.
func (r *Record) DatabaseDrop() (DatabaseDrop, bool) {
	operation := uint8(0x10)
	if r.Version >= 15 {
		operation = 0x20
	}
	if r.Rmgr != RmgrDatabase || r.Operation() != operation {
		return DatabaseDrop{}, false
	}
	f := fields{rest: r.Main}
	dropped := DatabaseDrop{Database: OID(f.uint32())}
	list := fields{rest: f.array(int(int32(f.uint32())), 4)}
	for len(list.rest) > 0 {
		dropped.Tablespaces = append(dropped.Tablespaces, OID(list.uint32()))
	}
	return dropped, !f.short
}
