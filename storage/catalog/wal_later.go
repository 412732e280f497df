package catalog

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"

	"golang.org/x/sync/errgroup"

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
	later, all, err := c.anyLater(ctx, c.walTimelinePrefix(name.Timeline), name, laterFew)
	if later || err != nil {
		return later, err
	}
	if !all {
		if later, err = c.searchLater(ctx, name); later || err != nil {
			return later, err
		}
	}
	return c.hasLaterTail(ctx, name)
}

const (
	// laterFew is how many files of a timeline are looked at by one listing: a store sends so many in one answer. Where
	// there are more, the many before the name are passed over.
	laterFew = 1000
	// laterAtOnce is how many listings there are at the same time.
	laterAtOnce = 16
)

// errLater ends a search that has found what it was made for.
var errLater = errors.New("later WAL was found")

// searchLater lists the prefixes of later segments, several at the same time. It is false only when all have been listed.
func (c *Cluster) searchLater(ctx context.Context, name wal.FileName) (bool, error) {
	group, searching := errgroup.WithContext(ctx)
	group.SetLimit(laterAtOnce)
	for _, prefix := range c.laterPrefixes(name) {
		group.Go(func() error {
			later, _, err := c.anyLater(searching, prefix, name, math.MaxInt)
			if later {
				return errLater
			}
			return err
		})
	}
	err := group.Wait()
	if errors.Is(err, errLater) {
		return true, nil
	}
	if err == nil {
		err = ctx.Err()
	}
	return false, err
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

// anyLater looks at the first files of the prefix, at no more than most, and says whether those were all.
func (c *Cluster) anyLater(ctx context.Context, prefix string, name wal.FileName, most int) (later, all bool, err error) {
	size := c.identity.WALSegmentSize
	for info, err := range c.bucket.List(ctx, prefix) {
		if err != nil {
			return false, false, fmt.Errorf("look for WAL after %s: %w", name, err)
		}
		found, ok := c.parseWALKey(info.Key)
		if ok && hasSummary(found.Kind) && found.SegmentNumber(size) > name.SegmentNumber(size) {
			return true, false, nil
		}
		if most--; most < 1 {
			return false, false, nil
		}
	}
	return false, true, nil
}

// parseWALKey is the file whose object lies at the key, if it is the key of any.
func (c *Cluster) parseWALKey(key string) (wal.FileName, bool) {
	name, err := wal.ParseFileName(key[strings.LastIndexByte(key, '/')+1:])
	if err != nil || name.ValidFor(c.identity.WALSegmentSize) != nil {
		return wal.FileName{}, false
	}
	return name, c.walKey(name) == key
}
