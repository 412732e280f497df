package catalog

import (
	"context"
	"fmt"
	"strings"

	"lifeboat/internal/wal"
)

// HasLaterWAL reports whether the repository holds WAL of the same timeline beyond the file of the name, so that its
// absence would be a gap. A history file has nothing beyond it.
func (c *Cluster) HasLaterWAL(ctx context.Context, name wal.FileName) (bool, error) {
	if name.Kind == wal.History {
		return false, nil
	}
	if c.copies != nil {
		return c.copies.hasLater(ctx, func(ctx context.Context, c *Cluster) (bool, error) { return c.HasLaterWAL(ctx, name) })
	}
	for _, prefix := range c.laterPrefixes(name) {
		later, err := c.anyLater(ctx, prefix, name)
		if later || err != nil {
			return later, err
		}
	}
	return c.hasLaterTail(ctx, name)
}

// laterPrefixes are the few prefixes under which all later segments lie, nearest first: the rest of the same 4 GiB of
// WAL, then every higher value of each digit of that number, the last digit first. So the many segments before the
// name are never listed.
func (c *Cluster) laterPrefixes(name wal.FileName) []string {
	const digits = "0123456789ABCDEF"
	timeline := c.walTimelinePrefix(name.Timeline)
	log := fmt.Sprintf("%08X", name.Log)
	prefixes := []string{timeline + log + "/"}
	for i := len(log) - 1; i >= 0; i-- {
		for _, digit := range digits[strings.IndexByte(digits, log[i])+1:] {
			prefixes = append(prefixes, timeline+log[:i]+string(digit))
		}
	}
	return prefixes
}

func (c *Cluster) anyLater(ctx context.Context, prefix string, name wal.FileName) (bool, error) {
	size := c.identity.WALSegmentSize
	for info, err := range c.bucket.List(ctx, prefix) {
		if err != nil {
			return false, fmt.Errorf("look for WAL after %s: %w", name, err)
		}
		found, ok := c.parseWALKey(info.Key)
		if ok && hasSummary(found.Kind) && found.SegmentNumber(size) > name.SegmentNumber(size) {
			return true, nil
		}
	}
	return false, nil
}

// parseWALKey is the file whose object lies at the key, if it is the key of any.
func (c *Cluster) parseWALKey(key string) (wal.FileName, bool) {
	name, err := wal.ParseFileName(key[strings.LastIndexByte(key, '/')+1:])
	if err != nil || name.ValidFor(c.identity.WALSegmentSize) != nil {
		return wal.FileName{}, false
	}
	return name, c.walKey(name) == key
}
