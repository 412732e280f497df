package verify

import (
	"context"
	"errors"
	"fmt"

	"lifeboat/internal/backuplabel"
	"lifeboat/internal/wal"
	"lifeboat/storage"
	"lifeboat/storage/catalog"
	"lifeboat/storage/catalog/seal"
)

// checkBackup checks what a backup's record says against everything else.
func (c *clusterCheck) checkBackup(ctx context.Context, record catalog.Record) error {
	before := c.failures()
	known := len(c.report.Findings)
	c.checkRecord(record)
	c.checkReferences(record)
	if err := c.checkEssentials(ctx, record); err != nil {
		return err
	}
	if err := c.checkBackupWAL(ctx, record); err != nil {
		return err
	}
	if c.failures() > before {
		return c.unlessGone(ctx, record, known)
	}
	switch {
	case record.Locked != nil:
		c.report.add(Finding{Severity: Unproven, Object: object(record), Detail: fmt.Sprintf(
			"its WAL from %s to %s is there; what the backup holds was not looked at: %v", record.StartLSN, record.StopLSN, record.Locked),
			Hint: "verify again with the identity that opens it"})
	default:
		c.report.add(Finding{Severity: OK, Object: object(record), Detail: "it is whole, and so is its WAL from " +
			record.StartLSN.String() + " to " + record.StopLSN.String()})
	}
	return nil
}

// unlessGone takes back what was found since, where the backup has expired meanwhile.
func (c *clusterCheck) unlessGone(ctx context.Context, record catalog.Record, known int) error {
	_, err := c.cluster.Record(ctx, record.Label)
	switch {
	case errors.Is(err, storage.ErrNotFound):
		c.report.Findings = c.report.Findings[:known]
	case err != nil && !isDamage(err):
		return err
	}
	return nil
}

func object(record catalog.Record) string {
	return "backup " + record.Cluster + "/" + record.Label
}

func (c *clusterCheck) failures() int {
	n := 0
	for _, f := range c.report.Findings {
		if f.Severity == Fail {
			n++
		}
	}
	return n
}

const oldestVersion = 130000 // server_version_num of the oldest PostgreSQL that backups are made of

// checkRecord looks for what no backup of a real server can say.
func (c *clusterCheck) checkRecord(record catalog.Record) {
	const hint = "make a new base backup"
	name := object(record)
	if record.PostgresVersion < oldestVersion {
		c.fail(name, hint, "its server version %d is not one that Lifeboat makes backups of", record.PostgresVersion)
	}
	if record.CheckpointLSN < record.StartLSN || record.CheckpointLSN >= record.StopLSN {
		c.fail(name, hint, "its checkpoint at %s does not lie between its start at %s and its stop at %s",
			record.CheckpointLSN, record.StartLSN, record.StopLSN)
	}
	if record.StopTime.Before(record.StartTime) {
		c.warn(name, "", "it stopped before it started: the server's clock was set back")
	}
	if record.Locked == nil {
		c.checkLabel(record)
	}
	for _, page := range record.DamagedPages {
		c.fail(name, "the page was damaged on the server when the backup read it: restore an older backup, and look at the server's disks",
			"block %d of %s has a wrong checksum", page.Block, page.Path)
	}
}

func (c *clusterCheck) checkLabel(record catalog.Record) {
	label, err := backuplabel.Parse([]byte(record.BackupLabel))
	switch {
	case err != nil:
		c.fail(object(record), "make a new base backup", "its backup_label cannot be read: %v", err)
	case label.StartLSN != record.StartLSN || label.CheckpointLSN != record.CheckpointLSN:
		c.fail(object(record), "make a new base backup", "its backup_label starts at %s with the checkpoint at %s, its record at %s and %s",
			label.StartLSN, label.CheckpointLSN, record.StartLSN, record.CheckpointLSN)
	}
}

// checkReferences makes sure that every backup whose packs are used is there.
func (c *clusterCheck) checkReferences(record catalog.Record) {
	known := map[string]bool{}
	for _, other := range c.inventory.Backups {
		known[other.Label] = true
	}
	for _, label := range record.References {
		if !known[label] {
			c.fail(object(record), "make a new full backup", "it needs backup %s, which is not there", label)
		}
	}
}

// essentials are files that every data directory has.
var essentials = [...]string{"PG_VERSION", "global/pg_control", "backup_manifest"}

// checkEssentials looks for files without which a restored directory does not start. A damaged index has been
// reported already.
func (c *clusterCheck) checkEssentials(ctx context.Context, record catalog.Record) error {
	if record.Locked != nil {
		return nil
	}
	index, err := c.cluster.OpenIndex(ctx, record)
	if isDamage(err) || isLocked(err) {
		c.report.addUnless(Finding{Severity: Fail, Object: object(record), Detail: err.Error()})
		return nil
	}
	if err != nil {
		return err
	}
	for _, path := range essentials {
		_, err := index.File(ctx, path)
		switch {
		case errors.Is(err, storage.ErrNotFound):
			c.fail(object(record), "make a new base backup", "file %s is not in it", path)
		case isDamage(err), isLocked(err):
			c.report.addUnless(Finding{Severity: Fail, Object: object(record), Detail: err.Error()})
		case err != nil:
			return err
		}
	}
	return nil
}

// checkBackupWAL makes sure that the WAL which makes the backup consistent is there. Where only this backup is
// verified it is also read; otherwise all WAL has been.
func (c *clusterCheck) checkBackupWAL(ctx context.Context, record catalog.Record) error {
	size := record.WALSegmentSize
	last := wal.LastSegmentOf(record.StopLSN, size)
	for number := wal.SegmentOf(record.StartLSN, size); number <= last; number++ {
		name := wal.SegmentFile(record.Timeline, number, size)
		err := c.proveWAL(ctx, name)
		switch {
		case errors.Is(err, storage.ErrNotFound):
			c.fail(object(record), "it cannot be recovered: make a new base backup", "WAL segment %s is missing", name)
		case isDamage(err):
			c.fail(object(record), "it cannot be recovered: make a new base backup", "WAL segment %s: %v", name, err)
		case err != nil:
			return err
		}
	}
	return nil
}

func (c *clusterCheck) proveWAL(ctx context.Context, name wal.FileName) error {
	if c.only == "" {
		_, err := c.cluster.WALHeader(ctx, name)
		return err
	}
	_, err := c.cluster.CheckWAL(ctx, name)
	return err
}

// isDamage says whether err is about what an object holds.
func isDamage(err error) bool {
	var damage *catalog.DamagedError
	var unsigned *catalog.UnsignedError
	return errors.As(err, &damage) || errors.As(err, &unsigned)
}

// isLocked says whether an object cannot be opened with the identities at hand. Where they opened the record that stands
// for it, the object is not the one that was stored.
func isLocked(err error) bool {
	var wrong *seal.WrongIdentityError
	return errors.Is(err, seal.ErrNoIdentity) || errors.As(err, &wrong)
}
