package census

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"lifeboat/internal/wal"
)

// serverFacts are what a census says about its server.
type serverFacts struct {
	system   uint64
	version  int // server_version_num
	timeline wal.TimelineID
	size     wal.SegmentSize
}

// ErrStandby says that the server is in recovery: no restore point can be made there.
var ErrStandby = errors.New("the server is in recovery: a census is taken of a primary")

func askServer(ctx context.Context, conn *pgx.Conn) (serverFacts, error) {
	var f serverFacts
	var recovering bool
	var system int64
	var segment int64
	err := conn.QueryRow(ctx, `
SELECT pg_is_in_recovery(), (SELECT system_identifier FROM pg_control_system()),
  current_setting('server_version_num')::int, (SELECT setting::bigint FROM pg_settings WHERE name = 'wal_segment_size')`,
	).Scan(&recovering, &system, &f.version, &segment)
	if err != nil {
		return f, fmt.Errorf("ask the server what it is: %w", err)
	}
	if recovering {
		return f, ErrStandby
	}
	f.system, f.size = uint64(system), wal.SegmentSize(segment)
	f.timeline, err = askTimeline(ctx, conn)
	return f, err
}

// askTimeline takes the timeline from the name of the segment that is being written: pg_control knows a new one only
// after its first checkpoint.
func askTimeline(ctx context.Context, conn *pgx.Conn) (wal.TimelineID, error) {
	var segment string
	if err := conn.QueryRow(ctx, "SELECT pg_walfile_name(pg_current_wal_lsn())").Scan(&segment); err != nil {
		return 0, fmt.Errorf("ask the server for its timeline: %w", err)
	}
	name, err := wal.ParseFileName(segment)
	if err != nil {
		return 0, fmt.Errorf("ask the server for its timeline: %w", err)
	}
	return name.Timeline, nil
}

// askInsertLSN is the end of all WAL at this moment, flushed or not: the end of the last record.
func askInsertLSN(ctx context.Context, conn *pgx.Conn, size wal.SegmentSize) (wal.LSN, error) {
	lsn, err := askLSN(ctx, conn, "SELECT pg_current_wal_insert_lsn()::text")
	return endOfWAL(lsn, size), err
}

// endOfWAL turns the place where the next record will start into the end of the last one: where that end is a page's
// end, PostgreSQL counts the next page's header in (XLogBytePosToRecPtr in xlog.c), though nobody has written it yet.
func endOfWAL(lsn wal.LSN, size wal.SegmentSize) wal.LSN {
	offset := lsn % wal.PageSize
	header := wal.LSN(wal.ShortHeaderSize)
	if (lsn-offset)%wal.LSN(size) == 0 {
		header = wal.LongHeaderSize
	}
	if offset <= header {
		return lsn - offset
	}
	return lsn
}

func askLSN(ctx context.Context, conn *pgx.Conn, sql string, args ...any) (wal.LSN, error) {
	var text string
	if err := conn.QueryRow(ctx, sql, args...).Scan(&text); err != nil {
		return 0, fmt.Errorf("ask the server for a WAL position: %w", err)
	}
	return wal.ParseLSN(text)
}

// makeRestorePoint returns the end of the restore point's record.
func makeRestorePoint(ctx context.Context, conn *pgx.Conn, name string) (RestorePoint, error) {
	end, err := askLSN(ctx, conn, "SELECT pg_create_restore_point($1)::text", name)
	if err != nil {
		return RestorePoint{}, fmt.Errorf("make restore point %q: %w", name, err)
	}
	return RestorePoint{Name: name, LSN: end}, nil
}

const (
	flushPoll  = 2 * time.Millisecond
	flushNudge = 25 // polls without success
	flushLimit = 30 * time.Second
)

// awaitFlush waits until the WAL is on disk up to lsn, as it soon is on a busy server. On an idle one the last page
// may wait for the next commit: an empty transaction with an id makes the WAL writer flush it.
func awaitFlush(ctx context.Context, conn *pgx.Conn, lsn wal.LSN) error {
	ctx, cancel := context.WithTimeout(ctx, flushLimit)
	defer cancel()
	for poll := 1; ; poll++ {
		flushed, err := askLSN(ctx, conn, "SELECT pg_current_wal_flush_lsn()::text")
		if err == nil && flushed >= lsn {
			return nil
		}
		if err == nil && poll%flushNudge == 0 {
			_, err = conn.Exec(ctx, "SELECT pg_current_xact_id()")
		}
		if err == nil {
			err = pause(ctx, flushPoll)
		}
		if err != nil {
			return fmt.Errorf("wait until the WAL is flushed up to %s: %w", lsn, err)
		}
	}
}

func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
