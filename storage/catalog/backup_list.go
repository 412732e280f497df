package catalog

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"lifeboat/storage"
)

// backupList is what there is of the backups of a cluster.
type backupList struct {
	records    []Record  // in the order of labels
	unfinished []string  // labels that have objects and no record
	problems   []Problem // records that could not be understood

	newest string            // the last label with a record; labels sort by time
	sums   map[string]string // SHA-256 of the records' documents, hexadecimal, by label
}

// backups lists all backups and reads their records. A record that cannot be read is an error; a damaged one is a
// problem in the result.
func (c *Cluster) backups(ctx context.Context) (backupList, error) {
	var list backupList
	committed, unfinished, err := c.backupLabels(ctx)
	if err != nil {
		return list, err
	}
	list.unfinished, list.sums = unfinished, map[string]string{}
	for _, label := range committed {
		list.newest = max(list.newest, label)
		rec, raw, err := c.record(ctx, label)
		switch {
		case err == nil:
			list.records = append(list.records, rec)
			list.sums[label] = sumOf(raw).SHA256
		case isProblem(err):
			list.problems = append(list.problems, Problem{Key: c.recordKey(label), Err: err})
		case !errors.Is(err, storage.ErrNotFound): // else it went away meanwhile
			return backupList{}, fmt.Errorf("backup %s: %w", label, err)
		}
	}
	return list, nil
}

// backupLabels lists the labels that have a record, and those that have objects only.
func (c *Cluster) backupLabels(ctx context.Context) (committed, unfinished []string, err error) {
	var labels []string
	for info, err := range c.bucket.List(ctx, c.backupsPrefix()) {
		if err != nil {
			return nil, nil, fmt.Errorf("list backups: %w", err)
		}
		label, name, ok := c.splitBackupKey(info.Key)
		if !ok {
			continue
		}
		if len(labels) == 0 || labels[len(labels)-1] != label {
			labels = append(labels, label)
		}
		if name == recordFile {
			committed = append(committed, label)
		}
	}
	for _, label := range labels {
		if !slices.Contains(committed, label) {
			unfinished = append(unfinished, label)
		}
	}
	return committed, unfinished, nil
}
