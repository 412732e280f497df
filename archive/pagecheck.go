package archive

import (
	"context"
	"io"
	"log/slog"
	"sync"
	"time"

	"lifeboat/internal/page"
	"lifeboat/internal/relfile"
	"lifeboat/internal/wal"
	"lifeboat/storage/catalog"
)

// maxDamagedPages is how many damaged pages a record lists; all are counted and logged.
const maxDamagedPages = 10_000

// A page that fails is read again after a moment: the server may have been in the middle of writing it.
const (
	pageRereads    = 3
	pageRereadWait = 20 * time.Millisecond
)

// pageCheck proves the checksums of data pages while they are read. Pages that the server has written since the backup
// started are not judged: the WAL brings whole images of them.
// https://www.postgresql.org/docs/current/checksums.html
type pageCheck struct {
	enabled          bool
	start            wal.LSN
	blocksPerSegment uint32
	logger           *slog.Logger

	mu      sync.Mutex
	damaged []catalog.DamagedPage
	count   int64
}

// file returns the check for one file, which sees its chunks: whole pages, but for the end of the file.
func (c *pageCheck) file(path string, file io.ReaderAt) func(ctx context.Context, chunk []byte, offset int64) error {
	relation, ok := relfile.ParseRelation(path)
	if !c.enabled || !ok {
		return func(context.Context, []byte, int64) error { return nil }
	}
	first := page.FirstBlock(relation.Segment, c.blocksPerSegment)
	return func(ctx context.Context, chunk []byte, offset int64) error {
		for at := 0; at+page.Size <= len(chunk); at += page.Size {
			block := first + uint32((offset+int64(at))/page.Size)
			if page.Verify(chunk[at:at+page.Size], block, c.start) != page.Damaged {
				continue
			}
			sound, err := c.reread(ctx, file, chunk[at:at+page.Size], offset+int64(at), block)
			if err != nil {
				return err
			}
			if !sound {
				c.note(catalog.DamagedPage{Path: path, Block: block})
			}
		}
		return nil
	}
}

// reread reads a page again, in place, until it is sound or has had its chances.
func (c *pageCheck) reread(ctx context.Context, file io.ReaderAt, p []byte, offset int64, block uint32) (bool, error) {
	for range pageRereads {
		if err := readPadded(file, p, offset); err != nil {
			return false, err
		}
		if page.Verify(p, block, c.start) != page.Damaged {
			return true, nil
		}
		select {
		case <-ctx.Done():
			return false, ctx.Err()
		case <-time.After(pageRereadWait):
		}
	}
	return false, nil
}

func (c *pageCheck) note(damaged catalog.DamagedPage) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.count++
	if len(c.damaged) < maxDamagedPages {
		c.damaged = append(c.damaged, damaged)
		c.logger.Error("damaged page: its checksum does not hold", "path", damaged.Path, "block", damaged.Block)
	}
}
