package restore

import (
	"context"
	"errors"
	"fmt"
	"os"

	"lifeboat/internal/wal"
	"lifeboat/storage/catalog"
)

// FetchAhead brings a segment that nobody has asked for yet to a new file, whole and verified, or leaves no file. Only what
// will never change is brought: a segment of which no more than a tail is stored is an error, storage.ErrNotFound, since the
// tail may have grown when recovery asks for it.
func FetchAhead(ctx context.Context, c *catalog.Cluster, segment wal.FileName, path string) error {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fmt.Errorf("fetch %s ahead: %w", segment, err)
	}
	header, err := c.GetWAL(ctx, segment, file)
	if err == nil {
		err = checkFetched(ctx, c, segment, header, file)
	}
	if err = errors.Join(err, file.Close()); err != nil {
		return fmt.Errorf("fetch %s ahead: %w", segment, errors.Join(err, os.Remove(path)))
	}
	return nil
}
