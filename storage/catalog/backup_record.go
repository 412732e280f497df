package catalog

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
)

// Record reads the record of a backup. storage.ErrNotFound where there is none, *DamagedError, *VersionError.
func (c *Cluster) Record(ctx context.Context, label string) (Record, error) {
	if err := checkID("backup", label); err != nil {
		return Record{}, err
	}
	raw, err := c.getBytes(ctx, c.recordKey(label))
	if err != nil {
		return Record{}, fmt.Errorf("backup %s: %w", label, err)
	}
	rec, err := c.decodeRecord(label, raw)
	if err != nil {
		return Record{}, fmt.Errorf("backup %s: %w", label, err)
	}
	return rec, nil
}

// decodeRecord proves that raw is the record of the label in this cluster.
func (c *Cluster) decodeRecord(label string, raw []byte) (Record, error) {
	var rec Record
	key := c.recordKey(label)
	if err := decodeDocument(key, kindRecord, raw, &rec); err != nil {
		return Record{}, err
	}
	if rec.Label != label {
		return Record{}, damaged(key, "is the record of backup %q", rec.Label)
	}
	if err := c.checkRecord(rec); err != nil {
		return Record{}, &DamagedError{Key: key, Detail: "record", Err: err}
	}
	return rec, nil
}

// checkRecord makes sure that a record belongs to the cluster and that its parts agree with each other.
func (c *Cluster) checkRecord(rec Record) error {
	switch {
	case rec.Cluster != c.name:
		return fmt.Errorf("cluster is %q, not %q", rec.Cluster, c.name)
	case rec.SystemIdentifier != c.identity.SystemIdentifier:
		return fmt.Errorf("system identifier is %d, not %d", rec.SystemIdentifier, c.identity.SystemIdentifier)
	case rec.WALSegmentSize != c.identity.WALSegmentSize:
		return fmt.Errorf("WAL segment size is %d, not %d", rec.WALSegmentSize, c.identity.WALSegmentSize)
	case rec.Timeline == 0:
		return errors.New("timeline is zero")
	case !rec.StartLSN.IsValid() || rec.StopLSN < rec.StartLSN:
		return fmt.Errorf("backup stops at %s and starts at %s", rec.StopLSN, rec.StartLSN)
	case rec.FrameSize != FrameSize:
		return fmt.Errorf("frames of %d bytes, not %d", rec.FrameSize, FrameSize)
	}
	return rec.checkCounts()
}

// checkCounts makes sure that the record and its index's reference tell the same story.
func (rec Record) checkCounts() error {
	t := rec.Index.Totals
	if rec.Files != t.Files || rec.Directories != t.Directories || rec.ClusterBytes != t.ClusterBytes ||
		rec.StoredBytes != t.StoredBytes {
		return errors.New("counts are not those of the index")
	}
	return rec.Index.check()
}

func (ref IndexRef) check() error {
	if !isHash(ref.SHA256, 32) || !isHash(ref.PackTable.SHA256, 16) || !isHash(ref.Directory.SHA256, 16) {
		return errors.New("checksum of the index is not hexadecimal")
	}
	return checkSections(ref.PackTable, ref.Directory, ref.Size)
}

// isHash says whether s is n bytes in lower-case hexadecimal.
func isHash(s string, n int) bool {
	raw, err := hex.DecodeString(s)
	return err == nil && len(raw) == n && hex.EncodeToString(raw) == s
}
