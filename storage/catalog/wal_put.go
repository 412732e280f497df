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

// Held is a file in memory: what WALFile.Open gives may be one, so that its bytes need not be copied.
type Held interface {
	io.ReadCloser
	Bytes() []byte // all of the file; must not change until Close
}

// WALFile is a file to archive.
type WALFile struct {
	Name    wal.FileName
	Size    int64                         // in bytes
	Open    func() (io.ReadCloser, error) // opens the file from its start; called once for each repository
	Summary *wal.Summary                  // of a segment or partial segment, nil for all else

	// Secret is known to all servers of the file's cluster and to nobody else: the mock authentication nonce in
	// pg_control. With it the same file is known again where the stored one is sealed and cannot be opened. It counts
	// only for clusters that seal; nil where it is not known.
	Secret []byte

	piece *TailRange // that this is of a segment; nil for a whole file
}

// PutWAL stores a file durably under its name, or proves that the same file is there, durable and undamaged: then
// stored is false and err is nil. It reads the file once, and refuses one that does not have the size that it says.
//
// Other content under the name is never overwritten: the error is a *ConflictError, and a finding is stored. Where the
// stored object is damaged the error is a *DamagedError, where the file comes from another cluster a *ForeignError, and
// where it is sealed and can neither be opened nor compared by a digest an *IncomparableError.
func (c *Cluster) PutWAL(ctx context.Context, f WALFile, now time.Time) (stored bool, err error) {
	if c.copies != nil {
		return c.copies.putWAL(ctx, c, f, now)
	}
	_, stored, err = c.storeFile(ctx, f, now)
	return stored, err
}

// storeFile is PutWAL into one repository, and tells the SHA-256 of the file that is durable there.
func (c *Cluster) storeFile(ctx context.Context, f WALFile, now time.Time) (sum string, stored bool, err error) {
	if err := c.checkWALFile(f); err != nil {
		return "", false, fmt.Errorf("archive %s: %w", f.Name, err)
	}
	object, err := c.encodeWAL(ctx, f, now)
	if err != nil {
		return "", false, fmt.Errorf("archive %s: %w", f.Name, err)
	}
	defer c.freeWAL(object)
	err = c.storeWAL(ctx, c.walKey(f.Name), object)
	if errors.Is(err, storage.ErrExists) {
		err = c.compareWAL(ctx, f.Name, object, now)
	} else if err != nil {
		err = fmt.Errorf("archive %s: %w", f.Name, err)
	} else {
		stored = true
	}
	if err != nil {
		return "", false, err
	}
	return object.header.SHA256, stored, nil
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
