package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"lifeboat/drill"
	"lifeboat/internal/wal"
)

// productionPatience bounds how long a drill waits for production's answer, which it can do without.
const productionPatience = 15 * time.Second

// production tells a drill what production has committed that the archive does not have, by its server's word on how
// far the WAL is flushed and the commit records in its pg_wal. It is nil where the configuration names no connection.
func production(s *scene) func(context.Context, wal.TimelineID, wal.LSN) (drill.ProductionState, error) {
	if s.config.Connection == "" {
		return nil
	}
	return func(ctx context.Context, timeline wal.TimelineID, archived wal.LSN) (drill.ProductionState, error) {
		ctx, cancel := context.WithTimeout(ctx, productionPatience)
		defer cancel()
		conn, err := connector(s.config)(ctx, "")
		if err != nil {
			return drill.ProductionState{}, fmt.Errorf("ask production: %w", err)
		}
		defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
		var flushed, directory, file string
		var system int64
		var clock time.Time
		const query = `SELECT pg_current_wal_flush_lsn()::text, current_setting('data_directory'),
			pg_walfile_name(pg_current_wal_flush_lsn()), (SELECT system_identifier FROM pg_control_system()), clock_timestamp()`
		if err := conn.QueryRow(ctx, query).Scan(&flushed, &directory, &file, &system, &clock); err != nil {
			return drill.ProductionState{}, fmt.Errorf("ask production: %w", err)
		}
		// The control file would tell the timeline of the last checkpoint, which after a promotion is the old one for some minutes.
		current, _, err := wal.ParseSegmentName(file, s.cluster.Identity().WALSegmentSize)
		if err != nil {
			return drill.ProductionState{}, fmt.Errorf("ask production: %w", err)
		}
		if uint64(system) != s.cluster.Identity().SystemIdentifier || current != timeline {
			return drill.ProductionState{}, fmt.Errorf("production is on another timeline or is another cluster: timeline %d of %d", current, system)
		}
		end, err := wal.ParseLSN(flushed)
		if err != nil {
			return drill.ProductionState{}, fmt.Errorf("ask production: %w", err)
		}
		if end+wal.LSN(s.cluster.Identity().WALSegmentSize) < archived {
			return drill.ProductionState{}, fmt.Errorf("production is at %s, behind the archive, which reaches to %s: it was set back, or is another server", end, archived)
		}
		first, err := firstCommit(filepath.Join(directory, "pg_wal"), timeline, s.cluster.Identity().WALSegmentSize, archived, end)
		return drill.ProductionState{FirstUnarchived: first, Clock: clock}, err
	}
}

// firstCommit finds the time of the first transaction that was committed from one position of the WAL to another, or
// zero.
func firstCommit(directory string, timeline wal.TimelineID, size wal.SegmentSize, from, to wal.LSN) (time.Time, error) {
	var open *os.File
	defer func() {
		if open != nil {
			_ = open.Close() // it was only read
		}
	}()
	reader := wal.NewReader(wal.ChainSegments(size, func(number wal.SegmentNumber) (io.ReaderAt, error) {
		file, err := os.Open(filepath.Join(directory, wal.SegmentName(timeline, number, size)))
		if err != nil {
			return nil, err
		}
		open = file
		return file, nil
	}), size)
	if from >= to {
		return time.Time{}, nil
	}
	err := reader.FindFrom(from)
	for err == nil {
		var record *wal.Record
		if record, err = reader.Next(); err != nil || record.LSN >= to {
			break
		}
		if end, ok := record.XactEnd(); ok && end.Kind.Committed() && end.XID != 0 {
			return end.Time, nil
		}
		if record.End >= to {
			return time.Time{}, nil
		}
	}
	if err == nil || errors.Is(err, io.EOF) {
		return time.Time{}, nil
	}
	return time.Time{}, fmt.Errorf("read production's WAL from %s: %w", from, err)
}
