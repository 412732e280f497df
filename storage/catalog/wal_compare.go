package catalog

import (
	"context"
	"errors"
	"fmt"
	"time"

	"lifeboat/internal/wal"
)

// ConflictError says that the repository holds a file of the same name with other content: two servers write the same
// timeline, or one of them has forgotten its past.
type ConflictError struct {
	Cluster  string
	Name     string
	Have     string    // SHA-256 of the stored file, hexadecimal; empty where the files are sealed
	Offered  string    // SHA-256 of the file at hand, hexadecimal; empty where the files are sealed
	StoredAt time.Time // when the stored one was archived

	HaveMAC, OfferedMAC string // digests of sealed files, which say nothing to others; empty where there is none
}

func (e *ConflictError) Error() string {
	return fmt.Sprintf("the repository holds another %s of cluster %q, archived at %s%s: "+
		"two servers may be writing this timeline", e.Name, e.Cluster, e.StoredAt.Format(time.RFC3339), e.sums())
}

func (e *ConflictError) sums() string {
	switch {
	case e.Have != "":
		return fmt.Sprintf(" (sha256 %s, not %s)", e.Have, e.Offered)
	case e.HaveMAC != "" && e.OfferedMAC != "":
		return fmt.Sprintf(" (mac %s, not %s)", e.HaveMAC, e.OfferedMAC)
	}
	return ""
}

// IncomparableError says that the repository holds a sealed file of the same name, of which nobody here can tell whether
// it is the one at hand. So the file at hand is not archived.
type IncomparableError struct {
	Cluster, Name string
	Why           string
	Err           error // why the stored object cannot be opened
}

func (e *IncomparableError) Error() string {
	return fmt.Sprintf("the repository holds a sealed %s of cluster %q, which cannot be compared with the one at hand: %s, and %v",
		e.Name, e.Cluster, e.Why, e.Err)
}

func (e *IncomparableError) Unwrap() error { return e.Err }

// compareWAL proves that the stored file of the name is the one at hand: by its content, or where it cannot be opened by
// its digest.
func (c *Cluster) compareWAL(ctx context.Context, name wal.FileName, at walObject, now time.Time) error {
	have, digest, err := c.checkWAL(ctx, name)
	if err != nil {
		return fmt.Errorf("archive %s: compare with the stored file: %w", name, err)
	}
	same, err := c.sameWAL(have, digest, at)
	if err != nil || same {
		return err
	}
	conflict := c.conflict(have, digest, at)
	return errors.Join(conflict, c.PutFinding(ctx, conflict.finding(now)))
}

func (c *Cluster) sameWAL(have WALHeader, digest *walDigest, at walObject) (bool, error) {
	if have.Locked == nil {
		return have.SHA256 == at.header.SHA256, nil
	}
	fail := func(why string) (bool, error) {
		return false, &IncomparableError{Cluster: c.name, Name: have.Name, Why: why, Err: have.Locked}
	}
	switch {
	case have.Size != at.header.Size:
		return false, nil
	case digest == nil:
		return fail("it was stored without a digest")
	case at.digest == nil:
		return fail("the secret of the server's cluster, which is in pg_control, is not known here")
	case digest.Key != at.digest.Key:
		return fail("its digest was made with the secret of another cluster")
	}
	return digest.MAC == at.digest.MAC, nil
}

// conflict names no hash of what is sealed.
func (c *Cluster) conflict(have WALHeader, digest *walDigest, at walObject) *ConflictError {
	e := &ConflictError{Cluster: c.name, Name: have.Name, StoredAt: have.ArchivedAt}
	if digest == nil && !c.seals() {
		e.Have, e.Offered = have.SHA256, at.header.SHA256
		return e
	}
	if digest != nil && at.digest != nil && digest.Key == at.digest.Key {
		e.HaveMAC, e.OfferedMAC = digest.MAC, at.digest.MAC
	}
	return e
}
