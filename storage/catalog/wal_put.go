package catalog

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"lifeboat/internal/wal"
	"lifeboat/storage"
)

// WALFile is a file to archive.
type WALFile struct {
	Name    wal.FileName
	Size    int64                         // in bytes
	Open    func() (io.ReadCloser, error) // opens the file from its start; called once
	Summary *wal.Summary                  // of a segment or partial segment, nil for all else
}

// ConflictError says that the repository holds a file of the same name with other content: two servers write the same
// timeline, or one of them has forgotten its past.
type ConflictError struct {
	Cluster  string
	Name     string
	Have     string    // SHA-256 of the stored file, hexadecimal
	Offered  string    // SHA-256 of the file at hand
	StoredAt time.Time // when the stored one was archived
}

func (e *ConflictError) Error() string {
	return fmt.Sprintf("the repository holds another %s of cluster %q, archived at %s (sha256 %s, not %s): "+
		"two servers may be writing this timeline", e.Name, e.Cluster, e.StoredAt.Format(time.RFC3339), e.Have, e.Offered)
}

// PutWAL stores a file durably under its name, or proves that the same file is there, durable and undamaged: then
// stored is false and err is nil. It reads the file once, and refuses one that does not have the size that it says.
//
// Other content under the name is never overwritten: the error is a *ConflictError, and a finding is stored. Where the
// stored object is damaged the error is a *DamagedError, where the file comes from another cluster a *ForeignError.
func (c *Cluster) PutWAL(ctx context.Context, f WALFile, now time.Time) (stored bool, err error) {
	if err := c.checkWALFile(f); err != nil {
		return false, fmt.Errorf("archive %s: %w", f.Name, err)
	}
	content := c.codecs.spool()
	defer c.codecs.putSpool(content)
	object, err := c.encodeWAL(f, now, content)
	if err != nil {
		return false, fmt.Errorf("archive %s: %w", f.Name, err)
	}
	err = c.storeWAL(ctx, c.walKey(f.Name), object)
	if errors.Is(err, storage.ErrExists) {
		return false, c.compareWAL(ctx, f.Name, object.header, now)
	}
	if err != nil {
		return false, fmt.Errorf("archive %s: %w", f.Name, err)
	}
	return true, nil
}

// checkWALFile says whether the file can belong to this cluster.
func (c *Cluster) checkWALFile(f WALFile) error {
	if err := f.Name.ValidFor(c.identity.WALSegmentSize); err != nil {
		return err
	}
	if (f.Summary != nil) != hasSummary(f.Name.Kind) {
		return fmt.Errorf("a %s has a summary if and only if it holds WAL", f.Name.Kind)
	}
	if f.Summary != nil {
		offered := Identity{SystemIdentifier: f.Summary.SystemIdentifier, WALSegmentSize: f.Summary.SegmentSize}
		if offered != c.identity {
			return &ForeignError{Name: c.name, Have: c.identity, Offered: offered}
		}
	}
	return c.checkWALSize(f.Name, f.Size)
}

// storeWAL stores an object in one request.
func (c *Cluster) storeWAL(ctx context.Context, key string, object walObject) error {
	body := object.parts.reader()
	return c.put(ctx, key, body, storage.PutOptions{IfAbsent: true, Size: body.Size()})
}

// compareWAL proves that the stored file of the name is the one at hand.
func (c *Cluster) compareWAL(ctx context.Context, name wal.FileName, h WALHeader, now time.Time) error {
	have, err := c.GetWAL(ctx, name, io.Discard)
	if err != nil {
		return fmt.Errorf("compare with the stored file: %w", err)
	}
	if have.SHA256 == h.SHA256 {
		return nil
	}
	conflict := &ConflictError{
		Cluster: c.name, Name: h.Name, Have: have.SHA256, Offered: h.SHA256, StoredAt: have.ArchivedAt,
	}
	return errors.Join(conflict, c.PutFinding(ctx, conflict.finding(now)))
}
