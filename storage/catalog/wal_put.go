package catalog

import (
	"context"
	"encoding/hex"
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
	Open    func() (io.ReadCloser, error) // opens the file from its start; called twice or more often
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
// stored is false and err is nil. It reads the file twice, and refuses one that changed in between.
//
// Other content under the name is never overwritten: the error is a *ConflictError, and a finding is stored. Where the
// stored object is damaged the error is a *DamagedError, where the file comes from another cluster a *ForeignError.
func (c *Cluster) PutWAL(ctx context.Context, f WALFile, now time.Time) (stored bool, err error) {
	if err := c.checkWALFile(f); err != nil {
		return false, fmt.Errorf("archive %s: %w", f.Name, err)
	}
	h, err := c.describeWAL(f, now)
	if err != nil {
		return false, fmt.Errorf("archive %s: %w", f.Name, err)
	}
	err = c.storeWAL(ctx, f, h)
	if errors.Is(err, storage.ErrExists) {
		return false, c.compareWAL(ctx, f.Name, h, now)
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

// describeWAL reads the file for the first time.
func (c *Cluster) describeWAL(f WALFile, now time.Time) (WALHeader, error) {
	sum, err := hashFile(f)
	if err != nil {
		return WALHeader{}, err
	}
	return WALHeader{
		Name:             f.Name.String(),
		SystemIdentifier: c.identity.SystemIdentifier,
		Size:             f.Size,
		SHA256:           sum,
		ArchivedAt:       now.UTC(),
		Summary:          f.Summary,
	}, nil
}

// hashFile is the hexadecimal SHA-256 of the whole file, which must have the size that it says.
func hashFile(f WALFile) (string, error) {
	src, err := f.Open()
	if err != nil {
		return "", err
	}
	sum := newSideHash()
	n, err := io.CopyBuffer(struct{ io.Writer }{sum}, struct{ io.Reader }{src}, make([]byte, walChunk))
	if err := errors.Join(err, src.Close()); err != nil {
		return "", err
	}
	if n != f.Size {
		return "", fmt.Errorf("%d bytes where %d were announced: %w", n, f.Size, errChanged)
	}
	return hex.EncodeToString(sum.sha256()), nil
}

// storeWAL reads the file for the second time and stores it, in one request.
func (c *Cluster) storeWAL(ctx context.Context, f WALFile, h WALHeader) error {
	enc, err := c.codecs.encoder()
	if err != nil {
		return err
	}
	defer c.codecs.putEncoder(enc)
	body, err := newWALBody(f, h, enc)
	if err != nil {
		return err
	}
	err = c.bucket.Put(ctx, c.walKey(f.Name), body, storage.PutOptions{IfAbsent: true, Size: -1})
	return errors.Join(err, body.Close())
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
