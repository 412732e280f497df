package restore

import (
	"context"
	"errors"
	"fmt"

	"lifeboat/storage"
	"lifeboat/storage/catalog"
)

// GoneError says that a backup was removed from the repository while it was restored, so that what was missing of it is no
// damage.
type GoneError struct {
	Label string
	Err   error // what the restore met; not in the chain, since it looks like damage
}

func (e *GoneError) Error() string {
	return fmt.Sprintf("backup %s was removed from the repository meanwhile: %v", e.Label, e.Err)
}

// Hint says what to do.
func (e *GoneError) Hint() string {
	return "it has expired, or somebody has removed it: restore again, from a backup that is kept"
}

// unlessGone is err, or a *GoneError where the backup is not there any more.
func unlessGone(ctx context.Context, c *catalog.Cluster, label string, err error) error {
	if ctx.Err() != nil {
		return err
	}
	if _, lookup := c.Record(ctx, label); errors.Is(lookup, storage.ErrNotFound) {
		return &GoneError{Label: label, Err: err}
	}
	return err
}
