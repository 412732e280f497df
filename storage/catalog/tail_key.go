package catalog

import (
	"fmt"
	"strings"

	"lifeboat/internal/wal"
)

// TailRange is the part of an unfinished segment that one object holds, as offsets in the segment: From inclusive, To
// exclusive.
type TailRange struct {
	From uint32 `json:"from"`
	To   uint32 `json:"to"`
}

func (r TailRange) size() int64 { return int64(r.To) - int64(r.From) }

// name is the last part of the key.
func (r TailRange) name() string { return fmt.Sprintf("%08X-%08X", r.From, r.To) }

// check says whether there can be such a piece of a segment of the size.
func (r TailRange) check(size wal.SegmentSize) error {
	if r.From >= r.To || uint64(r.To) > uint64(size) {
		return fmt.Errorf("bytes %d to %d are no piece of a segment of %d", r.From, r.To, size)
	}
	return nil
}

func (c *Cluster) tailsPrefix() string { return c.root + "tails/" }

// tailsTimelinePrefix is what the keys of a timeline's tails start with.
func (c *Cluster) tailsTimelinePrefix(tli wal.TimelineID) string {
	return c.tailsPrefix() + tli.Hex() + "/"
}

// tailPrefix is what the keys of a segment's tail start with.
func (c *Cluster) tailPrefix(segment wal.FileName) string {
	return fmt.Sprintf("%s%08X/%s/", c.tailsTimelinePrefix(segment.Timeline), segment.Log, segment)
}

func (c *Cluster) tailKey(segment wal.FileName, r TailRange) string {
	return c.tailPrefix(segment) + r.name()
}

// parseTailKey is the piece whose object lies at the key, if it is the key of any.
func (c *Cluster) parseTailKey(key string) (segment wal.FileName, r TailRange, ok bool) {
	rest, below := strings.CutPrefix(key, c.tailsPrefix())
	parts := strings.Split(rest, "/")
	if !below || len(parts) != 4 {
		return segment, r, false
	}
	segment, err := wal.ParseFileName(parts[2])
	if err != nil || segment.Kind != wal.Segment || segment.ValidFor(c.identity.WALSegmentSize) != nil {
		return wal.FileName{}, r, false
	}
	if _, err := fmt.Sscanf(parts[3], "%08X-%08X", &r.From, &r.To); err != nil || r.check(c.identity.WALSegmentSize) != nil {
		return wal.FileName{}, TailRange{}, false
	}
	return segment, r, c.tailKey(segment, r) == key
}

// contiguous are those of the sorted ranges that count: they leave no byte out from 0 to the end.
func contiguous(ranges []TailRange) (counted []TailRange, end uint32) {
	for _, r := range ranges {
		if r.From > end {
			break
		}
		counted, end = append(counted, r), max(end, r.To)
	}
	return counted, end
}

// cover are as few of the sorted ranges as leave no byte out from 0 on.
func cover(ranges []TailRange) []TailRange {
	var chosen []TailRange
	var best TailRange
	var end uint32 // of what is chosen
	for _, r := range ranges {
		if r.From > end && best.To > end {
			chosen, end = append(chosen, best), best.To
		}
		if r.From > end {
			break
		}
		if r.To > best.To {
			best = r
		}
	}
	if best.To > end {
		chosen = append(chosen, best)
	}
	return chosen
}

// lastOf is the range that ends last; there must be one.
func lastOf(ranges []TailRange) TailRange {
	last := ranges[0]
	for _, r := range ranges {
		if r.To > last.To {
			last = r
		}
	}
	return last
}
