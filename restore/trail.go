package restore

import (
	"context"
	"fmt"
	"slices"

	"golang.org/x/sync/errgroup"

	"lifeboat/internal/wal"
	"lifeboat/storage/catalog"
)

// headerReaders is how many headers of segments are read at the same time.
const headerReaders = 16

// trail is the WAL that recovery from one backup reads, segment by segment, up to the end of what is there.
type trail struct {
	cluster  *catalog.Cluster
	history  wal.TimelineHistory
	record   catalog.Record
	run      catalog.WALRun // where the trail ends
	segments []trailSegment
}

// trailSegment is a segment with what its header says.
type trailSegment struct {
	name    wal.FileName
	summary *wal.Summary
}

// segmentFiles are the files that recovery asks for, from the segment with the byte at from to the one with the last
// byte before to.
func segmentFiles(history wal.TimelineHistory, from, to wal.LSN, size wal.SegmentSize) []wal.FileName {
	var files []wal.FileName
	for number := wal.SegmentOf(from, size); number <= wal.LastSegmentOf(to, size); number++ {
		files = append(files, wal.SegmentFile(history.SegmentTimelines(number, size)[0], number, size))
	}
	return files
}

// readTrail reads the headers of all segments from the backup's start to the end of the run. What is sealed must open:
// what replay would create outside of the data directory, and which restore points there are, is told by nothing else.
func readTrail(ctx context.Context, c *catalog.Cluster, history wal.TimelineHistory, record catalog.Record, run catalog.WALRun) (*trail, error) {
	if record.Locked != nil {
		return nil, fmt.Errorf("backup %s: %w", record.Label, record.Locked)
	}
	t := &trail{cluster: c, history: history, record: record, run: run}
	for _, name := range segmentFiles(history, record.StartLSN, run.To, t.size()) {
		t.segments = append(t.segments, trailSegment{name: name})
	}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(headerReaders)
	for i := range t.segments {
		group.Go(func() error {
			header, err := c.SegmentHeader(ctx, t.segments[i].name)
			if err == nil && header.Locked != nil {
				err = fmt.Errorf("segment %s: %w", header.Name, header.Locked)
			}
			if err == nil && header.Summary == nil {
				err = fmt.Errorf("header of %s has no summary", header.Name)
			}
			t.segments[i].summary = header.Summary
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return nil, fmt.Errorf("read what the WAL says about itself: %w", err)
	}
	return t, nil
}

func (t *trail) size() wal.SegmentSize { return t.cluster.Identity().WALSegmentSize }

// upTo is the segments that recovery needs to stop at a record that starts at lsn.
func (t *trail) upTo(lsn wal.LSN) []trailSegment {
	last := wal.SegmentOf(lsn, t.size())
	for i, s := range t.segments {
		if s.name.SegmentNumber(t.size()) == last {
			return t.segments[:i+1]
		}
	}
	return t.segments
}

// tablespaces are the places outside of the data directory that replay of the segments would create directories in.
func tablespaces(segments []trailSegment) []string {
	var paths []string
	for _, s := range segments {
		for _, path := range s.summary.Tablespaces {
			if path != "" {
				paths = append(paths, path)
			}
		}
	}
	return paths
}

// customManagers are the resource managers of extensions that have records in the segments, ascending.
func customManagers(segments []trailSegment) []int {
	var managers []int
	for _, s := range segments {
		managers = append(managers, s.summary.CustomManagers...)
	}
	slices.Sort(managers)
	return slices.Compact(managers)
}
