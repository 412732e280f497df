package catalog

import (
	"context"
	"errors"
	"fmt"

	"lifeboat/storage"
)

// ErrCommitted says that a backup has a record and so is no leaving of a dead writer.
var ErrCommitted = errors.New("backup has a record")

// RemoveUnfinished deletes what a dead writer left. A label that has a record is ErrCommitted. Called for a backup
// whose writer lives, it makes that writer's Commit fail.
func (c *Cluster) RemoveUnfinished(ctx context.Context, label string) error {
	if err := checkID("remove unfinished backup", label); err != nil {
		return err
	}
	remove := c.removeUnfinished
	if c.copies != nil {
		remove = c.copies.removeUnfinished
	}
	if err := remove(ctx, label); err != nil {
		return fmt.Errorf("remove unfinished backup %s: %w", label, err)
	}
	return nil
}

func (c *Cluster) removeUnfinished(ctx context.Context, label string) error {
	if err := c.checkNoRecord(ctx, label); err != nil {
		return err
	}
	if err := c.withdrawStart(ctx, label); err != nil {
		return err
	}
	leavings, err := c.listBackup(ctx, label)
	if err != nil {
		return err
	}
	for _, info := range leavings {
		if err := c.bucket.Delete(ctx, info.Key); err != nil {
			return err
		}
	}
	return nil
}

// withdrawStart deletes the started document, and puts it back where the backup was committed in the same moment:
// after the first step no commit can succeed any more (see checkStillStarted).
func (c *Cluster) withdrawStart(ctx context.Context, label string) error {
	key := c.startedKey(label)
	document, err := c.getBytes(ctx, key)
	if errors.Is(err, storage.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	if err := c.bucket.Delete(ctx, key); err != nil {
		return err
	}
	committed := c.checkNoRecord(ctx, label)
	if errors.Is(committed, ErrCommitted) {
		return errors.Join(committed, c.putBytes(ctx, key, document))
	}
	return committed
}

// checkNoRecord says ErrCommitted where the label has a record.
func (c *Cluster) checkNoRecord(ctx context.Context, label string) error {
	_, err := c.bucket.Stat(ctx, c.recordKey(label))
	if errors.Is(err, storage.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	return ErrCommitted
}

// listBackup lists all objects of a label, to the end.
func (c *Cluster) listBackup(ctx context.Context, label string) ([]storage.Info, error) {
	var objects []storage.Info
	for info, err := range c.bucket.List(ctx, c.backupPrefix(label)) {
		if err != nil {
			return nil, fmt.Errorf("list the objects of the backup: %w", err)
		}
		objects = append(objects, info)
	}
	return objects, nil
}
