package catalog

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
)

// Record reads the record of a backup. storage.ErrNotFound where there is none, *DamagedError, *VersionError,
// *UnsignedError. A record whose sealed part cannot be opened is no error: see Record.Locked.
func (c *Cluster) Record(ctx context.Context, label string) (Record, error) {
	if err := checkID("backup", label); err != nil {
		return Record{}, err
	}
	if c.copies != nil {
		return ask(ctx, c.copies, func(ctx context.Context, c *Cluster) (Record, error) { return c.Record(ctx, label) })
	}
	rec, _, err := c.record(ctx, label)
	if err != nil {
		return Record{}, fmt.Errorf("backup %s: %w", label, err)
	}
	return rec, nil
}

// record reads a record and the bytes of its document.
func (c *Cluster) record(ctx context.Context, label string) (Record, []byte, error) {
	raw, err := c.getSigned(ctx, c.recordKey(label), kindRecord)
	if err != nil {
		return Record{}, nil, err
	}
	rec, err := c.decodeRecord(label, raw)
	return rec, raw, err
}

// decodeRecord proves that raw is the record of the label in this cluster.
func (c *Cluster) decodeRecord(label string, raw []byte) (Record, error) {
	var body recordBody
	key := c.recordKey(label)
	if err := decodeDocument(key, kindRecord, raw, &body); err != nil {
		return Record{}, err
	}
	rec, err := c.openRecord(key, body)
	if err != nil {
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
	if ref.PlainSize < 0 || ref.PlainSize > ref.Size {
		return fmt.Errorf("index of %d bytes is said to have %d when it is opened", ref.Size, ref.PlainSize)
	}
	return checkSections(ref.PackTable, ref.Directory, ref.plainSize())
}

func (ref IndexRef) sealed() bool { return ref.PlainSize > 0 }

// plainSize is how many bytes the index has when it is opened.
func (ref IndexRef) plainSize() int64 {
	if ref.sealed() {
		return ref.PlainSize
	}
	return ref.Size
}

// isHash says whether s is n bytes in lower-case hexadecimal.
func isHash(s string, n int) bool {
	raw, err := hex.DecodeString(s)
	return err == nil && len(raw) == n && hex.EncodeToString(raw) == s
}
