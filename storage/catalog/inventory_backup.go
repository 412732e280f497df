package catalog

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"lifeboat/storage"
)

// takeBackups reads the records of all backups. A label without a record is unfinished, whatever else it has.
func (c *Cluster) takeBackups(ctx context.Context, inv *Inventory) error {
	labels, err := c.labels(ctx)
	if err != nil {
		return err
	}
	for _, label := range slices.Sorted(maps.Keys(labels)) {
		if !labels[label] {
			inv.Unfinished = append(inv.Unfinished, label)
			continue
		}
		if err := c.takeRecord(ctx, inv, label); err != nil {
			return err
		}
	}
	slices.SortStableFunc(inv.Backups, func(a, b Record) int { return cmp.Compare(a.StopLSN, b.StopLSN) })
	return nil
}

// labels lists the labels that any object has, and says which of them have a record.
func (c *Cluster) labels(ctx context.Context) (map[string]bool, error) {
	found := map[string]bool{}
	for info, err := range c.bucket.List(ctx, c.backupsPrefix()) {
		if err != nil {
			return nil, fmt.Errorf("list backups: %w", err)
		}
		if label, name, ok := c.splitBackupKey(info.Key); ok {
			found[label] = found[label] || name == recordFile
		}
	}
	return found, nil
}

// takeRecord reads one record; one that went away meanwhile leaves no trace.
func (c *Cluster) takeRecord(ctx context.Context, inv *Inventory, label string) error {
	rec, err := c.Record(ctx, label)
	switch {
	case isProblem(err):
		inv.Problems = append(inv.Problems, Problem{Key: c.recordKey(label), Err: err})
	case err == nil:
		inv.Backups = append(inv.Backups, rec)
	case !errors.Is(err, storage.ErrNotFound):
		return err
	}
	return nil
}
