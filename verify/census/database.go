package census

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// listed is a database of the server.
type listed struct {
	oid  uint32
	name string
	why  string // why nobody, or not this role, can connect
}

// listDatabases leaves out templates: a session in one would make CREATE DATABASE fail. A negative connection limit
// other than -1 marks what an interrupted DROP DATABASE left.
const listDatabases = `
SELECT oid, datname::text,
  CASE WHEN datconnlimit < -1 THEN 'invalid: an interrupted DROP DATABASE left it'
    WHEN NOT datallowconn THEN 'it allows no connections'
    WHEN NOT coalesce(has_database_privilege(oid, 'CONNECT'), false) THEN 'no CONNECT privilege'
    ELSE '' END
FROM pg_database WHERE NOT datistemplate ORDER BY datname`

func queryDatabases(ctx context.Context, conn *pgx.Conn) ([]listed, error) {
	rows, err := conn.Query(ctx, listDatabases)
	if err != nil {
		return nil, fmt.Errorf("list databases: %w", err)
	}
	databases, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (listed, error) {
		var l listed
		err := row.Scan(&l.oid, &l.name, &l.why)
		return l, err
	})
	if err != nil {
		return nil, fmt.Errorf("list databases: %w", err)
	}
	return databases, nil
}

// holder keeps the snapshot of one database.
type holder struct {
	listed
	conn     *pgx.Conn
	snapshot Snapshot
	exported string // the name under which other sessions take the snapshot over
	attempts int
	cut      *Cut
	noCut    error
	early    sequenceState // before the snapshot
}

// openHolder connects to a database. Where the server refuses, the result says why and has no session.
func openHolder(ctx context.Context, o Options, database listed) (*holder, error) {
	h := &holder{listed: database}
	if h.why != "" {
		return h, nil
	}
	conn, err := openSession(ctx, o.Connect, database.name, o.Limits)
	if refused := (*pgconn.PgError)(nil); errors.As(err, &refused) {
		h.why = refused.Message + " (SQLSTATE " + refused.Code + ")"
		return h, nil
	}
	h.conn = conn
	return h, err
}

// take begins a transaction and keeps its snapshot.
func (h *holder) take(ctx context.Context) error {
	if err := beginCount(ctx, h.conn); err != nil {
		return fmt.Errorf("take a snapshot of database %q: %w", h.name, err)
	}
	var text string
	err := h.conn.QueryRow(ctx, "SELECT pg_current_snapshot()::text, pg_export_snapshot()").Scan(&text, &h.exported)
	if err != nil {
		return fmt.Errorf("take a snapshot of database %q: %w", h.name, err)
	}
	h.attempts++
	h.snapshot, err = ParseSnapshot(text)
	return err
}

// release gives the snapshot up.
func (h *holder) release(ctx context.Context) error {
	if _, err := h.conn.Exec(ctx, "ROLLBACK"); err != nil {
		return fmt.Errorf("give up the snapshot of database %q: %w", h.name, err)
	}
	return nil
}

// judge looks for the snapshot's cut.
func (h *holder) judge(seen history) {
	if seen.unread != nil {
		h.noCut = seen.unread
		return
	}
	cut, err := findCut(h.snapshot, seen.commits, seen.from, seen.to)
	if err != nil {
		h.noCut = err
		return
	}
	h.cut, h.noCut = &cut, nil
}

func (h *holder) close() {
	if h.conn != nil {
		closeSession(h.conn)
	}
}

// document is what the census says about the database before anything is counted.
func (h *holder) document() Database {
	d := Database{OID: h.oid, Name: h.name, Snapshot: h.snapshot, Attempts: h.attempts, Cut: h.cut, Why: h.why}
	if h.noCut != nil {
		d.Why = fmt.Sprintf("no cut in the WAL after %d snapshots: %v", h.attempts, h.noCut)
	}
	return d
}
