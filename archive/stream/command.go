package stream

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"

	"lifeboat/internal/wal"
)

// The error codes of PostgreSQL that decide something here (errcodes.txt).
const (
	codeUndefinedFile    = "58P01" // requested WAL segment … has already been removed
	codeUndefinedObject  = "42704" // there is no such slot
	codeDuplicateObject  = "42710" // there is such a slot
	codeNotPrerequisite  = "55000" // the slot was invalidated
	codeNotSupported     = "0A000" // the slot is a logical one
	readSlotSinceVersion = 15
)

// server is what IDENTIFY_SYSTEM says.
type server struct {
	system   uint64
	timeline wal.TimelineID
	flushed  wal.LSN
}

// slot is what READ_REPLICATION_SLOT says of a physical slot.
type slot struct {
	exists   bool
	restart  wal.LSN // from where on the server keeps WAL for it; zero where it keeps none
	timeline wal.TimelineID
}

// commands speaks with a walsender outside of a copy stream
// (https://www.postgresql.org/docs/current/protocol-replication.html).
type commands struct{ conn *pgconn.PgConn }

// row runs a command that returns one row of at least so many columns.
func (c commands) row(ctx context.Context, command string, columns int) ([][]byte, error) {
	results, err := c.conn.Exec(ctx, command).ReadAll()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", command, err)
	}
	if len(results) == 0 || len(results[0].Rows) != 1 || len(results[0].Rows[0]) < columns {
		return nil, fmt.Errorf("%s: the answer is not one row of %d columns", command, columns)
	}
	return results[0].Rows[0], nil
}

func (c commands) identify(ctx context.Context) (server, error) {
	row, err := c.row(ctx, "IDENTIFY_SYSTEM", 3)
	if err != nil {
		return server{}, err
	}
	var s server
	var errs [3]error
	s.system, errs[0] = strconv.ParseUint(string(row[0]), 10, 64)
	s.timeline, errs[1] = wal.ParseTimelineID(string(row[1]))
	s.flushed, errs[2] = wal.ParseLSN(string(row[2]))
	if err := errors.Join(errs[:]...); err != nil {
		return server{}, fmt.Errorf("IDENTIFY_SYSTEM: %w", err)
	}
	return s, nil
}

func (c commands) segmentSize(ctx context.Context) (wal.SegmentSize, error) {
	row, err := c.row(ctx, "SHOW wal_segment_size", 1)
	if err != nil {
		return 0, err
	}
	return parseSegmentSize(string(row[0]))
}

// parseSegmentSize reads the setting as SHOW prints it, such as 16MB or 1GB.
func parseSegmentSize(text string) (wal.SegmentSize, error) {
	number, unit := strings.TrimRight(text, "kMGB"), 0
	switch text[len(number):] {
	case "MB":
		unit = 1 << 20
	case "GB":
		unit = 1 << 30
	}
	n, err := strconv.ParseUint(number, 10, 12)
	size := wal.SegmentSize(n) * wal.SegmentSize(unit)
	if err != nil || !size.Valid() {
		return 0, fmt.Errorf("wal_segment_size is %q, which is no size of segments", text)
	}
	return size, nil
}

// history is the content of a timeline's history file.
func (c commands) history(ctx context.Context, tli wal.TimelineID) ([]byte, error) {
	row, err := c.row(ctx, "TIMELINE_HISTORY "+tli.String(), 2)
	if err != nil {
		return nil, err
	}
	return row[1], nil
}

// readsSlots is false for servers before version 15, which do not tell where a slot stands.
func (c commands) readsSlots() bool {
	version := c.conn.ParameterStatus("server_version")
	end := strings.IndexFunc(version, func(r rune) bool { return r < '0' || r > '9' })
	if end < 0 {
		end = len(version)
	}
	major, err := strconv.Atoi(version[:end])
	return err == nil && major >= readSlotSinceVersion
}

// readSlot refuses a logical slot with a *RefusedError.
func (c commands) readSlot(ctx context.Context, name string) (slot, error) {
	row, err := c.row(ctx, "READ_REPLICATION_SLOT "+quoted(name), 3)
	if isCode(err, codeNotSupported) {
		return slot{}, refuse("the replication slot %s is not a physical one", name)
	}
	if err != nil {
		return slot{}, err
	}
	s := slot{exists: row[0] != nil}
	if row[1] == nil {
		return s, nil
	}
	if s.restart, err = wal.ParseLSN(string(row[1])); err != nil {
		return slot{}, fmt.Errorf("READ_REPLICATION_SLOT: %w", err)
	}
	if row[2] == nil {
		return s, nil
	}
	if s.timeline, err = wal.ParseTimelineID(string(row[2])); err != nil {
		return slot{}, fmt.Errorf("READ_REPLICATION_SLOT: %w", err)
	}
	return s, nil
}

// createSlot makes a slot that keeps WAL from the last checkpoint's start on. One that is there already is left as it is.
func (c commands) createSlot(ctx context.Context, name string) error {
	_, err := c.conn.Exec(ctx, "CREATE_REPLICATION_SLOT "+quoted(name)+" PHYSICAL RESERVE_WAL").ReadAll()
	if err != nil && !isCode(err, codeDuplicateObject) {
		return fmt.Errorf("create replication slot %s: %w", name, err)
	}
	return nil
}

// dropSlot drops a slot; none is fine.
func (c commands) dropSlot(ctx context.Context, name string) error {
	_, err := c.conn.Exec(ctx, "DROP_REPLICATION_SLOT "+quoted(name)).ReadAll()
	if err != nil && !isCode(err, codeUndefinedObject) {
		return fmt.Errorf("drop replication slot %s: %w", name, err)
	}
	return nil
}

// start begins to stream and takes the connection over.
func (c commands) start(ctx context.Context, name string, tli wal.TimelineID, from wal.LSN) (*pgconn.HijackedConn, error) {
	command := fmt.Sprintf("START_REPLICATION SLOT %s PHYSICAL %s TIMELINE %s", quoted(name), from, tli)
	c.conn.Frontend().SendQuery(&pgproto3.Query{String: command})
	if err := c.conn.Frontend().Flush(); err != nil {
		return nil, fmt.Errorf("%s: %w", command, err)
	}
	for {
		m, err := c.conn.ReceiveMessage(ctx)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", command, err)
		}
		switch m := m.(type) {
		case *pgproto3.CopyBothResponse:
			return c.conn.Hijack()
		case *pgproto3.ErrorResponse:
			return nil, fmt.Errorf("%s: %w", command, pgconn.ErrorResponseToPgError(m))
		case *pgproto3.NoticeResponse, *pgproto3.ParameterStatus:
		default:
			return nil, fmt.Errorf("%s: the server answered with %T", command, m)
		}
	}
}

func quoted(name string) string { return `"` + name + `"` }

func isCode(err error, code string) bool {
	var failed *pgconn.PgError
	return errors.As(err, &failed) && failed.Code == code
}

// isRemoved recognises that the server no longer has the WAL that was asked for (WalSndSegmentOpen and CheckXLogRemoved).
func isRemoved(err error) bool {
	var failed *pgconn.PgError
	if !errors.As(err, &failed) {
		return false
	}
	return failed.Code == codeUndefinedFile || strings.Contains(failed.Message, "has already been removed")
}
