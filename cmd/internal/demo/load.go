package demo

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"golang.org/x/sync/errgroup"
)

// loadRate is how many transactions a second pgbench is asked for: a busy server, but one whose machine has room for a
// backup and a restore beside it.
const loadRate = 300

// load is pgbench running until it is stopped.
type load struct {
	cmd   *exec.Cmd
	ended chan struct{}
	group errgroup.Group
}

func startLoad(ctx context.Context, s *scene) (*load, error) {
	pgbench := filepath.Join(s.postgresBin, "pgbench")
	where := []string{"-h", s.path("socket"), "-p", strconv.Itoa(primaryPort), "-U", "postgres"}
	if _, err := s.run(ctx, pgbench, append(where, "-i", "-q", "-s", strconv.Itoa(loadScale), "postgres")...); err != nil {
		return nil, err
	}
	l := &load{ended: make(chan struct{})}
	l.cmd = s.command(ctx, pgbench, append(where, "-n", "-c", "4", "-j", "2", "-T", "3600", "-R", strconv.Itoa(loadRate), "postgres")...)
	if err := l.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start pgbench: %w", err)
	}
	l.group.Go(func() error {
		defer close(l.ended)
		return l.cmd.Wait()
	})
	return l, nil
}

func (l *load) stop() {
	_ = l.cmd.Process.Kill() // it may have ended with its server
	<-l.ended
}

// ledger writes rows one by one, each in a transaction of its own, and remembers every one that was acknowledged.
type ledger struct {
	cancel context.CancelFunc
	group  errgroup.Group

	writing sync.Mutex // held while a row is written
	mutex   sync.Mutex
	entries []entry
}

// entry is one acknowledged row.
type entry struct {
	id, amount int64
	xid        uint64
}

const createLedger = `CREATE TABLE ledger (
	id     bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	at     timestamptz NOT NULL DEFAULT clock_timestamp(),
	amount bigint NOT NULL)`

func startLedger(ctx context.Context, p *primary) (*ledger, error) {
	conn, err := p.connect(ctx)
	if err != nil {
		return nil, err
	}
	if _, err := conn.Exec(ctx, createLedger); err != nil {
		return nil, errors.Join(err, conn.Close(ctx))
	}
	ctx, cancel := context.WithCancel(ctx)
	l := &ledger{cancel: cancel}
	l.group.Go(func() error {
		defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
		return l.write(ctx, conn)
	})
	return l, nil
}

// write adds rows until the context ends or the table is gone.
func (l *ledger) write(ctx context.Context, conn *pgx.Conn) error {
	for amount := int64(1); ; amount = amount*31%9973 + 1 {
		e := entry{amount: amount}
		if err := l.add(ctx, conn, &e); err != nil {
			return err
		}
		l.mutex.Lock()
		l.entries = append(l.entries, e)
		l.mutex.Unlock()
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(4 * time.Millisecond):
		}
	}
}

func (l *ledger) add(ctx context.Context, conn *pgx.Conn, e *entry) error {
	l.writing.Lock()
	defer l.writing.Unlock()
	const insert = "INSERT INTO ledger (amount) VALUES ($1) RETURNING id, pg_current_xact_id()::text::bigint"
	return conn.QueryRow(ctx, insert, e.amount).Scan(&e.id, &e.xid)
}

// between runs something while no row is being written. A transaction that has its commit time and not yet its commit
// record could else come behind a later one in the WAL, where recovery to a moment between the two does not find it.
func (l *ledger) between(do func() error) error {
	l.writing.Lock()
	defer l.writing.Unlock()
	return do()
}

// awaitEnd waits until there is no table to write to any more. An insert that is under way is not given up: its row may
// be committed already, and would be remembered by nobody.
func (l *ledger) awaitEnd() error {
	err := l.group.Wait()
	if refused := (*pgconn.PgError)(nil); errors.As(err, &refused) {
		return nil // what the server refuses is not committed
	}
	return fmt.Errorf("write the ledger: %w", err)
}

func (l *ledger) stop() {
	l.cancel()
	_ = l.group.Wait() // it ends with the table or with the story
}

func (l *ledger) written() []entry {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	return append([]entry(nil), l.entries...)
}
