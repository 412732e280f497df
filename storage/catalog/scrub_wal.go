package catalog

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"lifeboat/internal/wal"
)

// checkWAL checks the object of an archived file, and the file in it by what PostgreSQL makes of it.
func (s *clusterScrub) checkWAL(key string, name wal.FileName) {
	s.check(key, damageWAL, func(ctx context.Context) error {
		switch name.Kind {
		case wal.Segment, wal.Partial:
			return s.cluster.checkSegment(ctx, key, name)
		case wal.History:
			return s.cluster.checkHistory(ctx, key, name)
		default:
			return s.cluster.checkLockedWAL(ctx, name, s.cluster.checkContent(ctx, name))
		}
	})
}

func (c *Cluster) checkHistory(ctx context.Context, key string, name wal.FileName) error {
	var text bytes.Buffer
	if _, err := c.GetWAL(ctx, name, &text); err != nil {
		return c.checkLockedWAL(ctx, name, err)
	}
	if _, err := wal.ParseHistory(name.Timeline, text.Bytes()); err != nil {
		return &DamagedError{Key: key, Detail: "history", Err: err}
	}
	return nil
}

// checkSegment expands a segment to local disk, for it may have a gigabyte, and reads it record by record.
func (c *Cluster) checkSegment(ctx context.Context, key string, name wal.FileName) error {
	file, err := unnamedFile()
	if err != nil {
		return err
	}
	h, err := c.GetWAL(ctx, name, file)
	if err == nil {
		err = checkRecords(key, name, h, file)
	}
	return errors.Join(c.checkLockedWAL(ctx, name, err), file.Close())
}

// checkContent checks a file that only has to be what was archived.
func (c *Cluster) checkContent(ctx context.Context, name wal.FileName) error {
	_, err := c.GetWAL(ctx, name, io.Discard)
	return err
}

// checkLockedWAL proves of an object that cannot be opened, as err says, what can be proven. Any other err stays.
func (c *Cluster) checkLockedWAL(ctx context.Context, name wal.FileName, err error) error {
	if !isLocked(err) {
		return err
	}
	h, err := c.CheckWAL(ctx, name)
	return errors.Join(err, h.Locked)
}

func checkRecords(key string, name wal.FileName, h WALHeader, file *os.File) error {
	options := wal.ScanOptions{Unfinished: name.Kind == wal.Partial}
	found, err := wal.ScanSegment(file, h.Size, name, options)
	var corrupt *wal.CorruptError
	switch {
	case errors.As(err, &corrupt):
		return &DamagedError{Key: key, Detail: "WAL", Err: err}
	case err != nil:
		return fmt.Errorf("scan %s: %w", name, err)
	case h.Summary == nil || !samePositions(*h.Summary, found):
		return damaged(key, "header does not describe the records of the file")
	}
	return nil
}

// samePositions compares what recovery windows are computed from.
func samePositions(a, b wal.Summary) bool {
	return a.Timeline == b.Timeline && a.FirstRecord == b.FirstRecord && a.LastRecord == b.LastRecord &&
		a.LastRecordEnd == b.LastRecordEnd && a.Switched == b.Switched && a.LastXactTime.Equal(b.LastXactTime)
}
