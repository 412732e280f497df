package main

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"lifeboat/internal/wal"
)

const (
	watchInterval = time.Second
	watchPatience = 10 * time.Second // for one answer
)

// serverState is what the server has said last.
type serverState struct {
	tried        bool // it was asked at least once
	answers      bool // the last question was answered
	standby      bool
	directory    string // data directory; stays known while the server is away
	lastArchived time.Time
	end          wal.LSN // how far its WAL goes
}

// watch asks the server every second how it is, on a connection of its own.
type watch struct {
	mu    sync.Mutex
	state serverState
}

func (w *watch) now() serverState {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.state
}

func (w *watch) set(change func(*serverState)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	change(&w.state)
}

// run watches until ctx ends. A server that is away is told of once.
func (w *watch) run(ctx context.Context, t *tended) {
	for told := false; ctx.Err() == nil; {
		err := w.attend(ctx, t, &told)
		w.set(func(s *serverState) { s.tried, s.answers = true, false })
		if ctx.Err() == nil && !told {
			t.app.log.Warn("the server does not answer", keyError, err)
			told = true
		}
		pause(ctx, watchInterval)
	}
}

// attend asks on one connection until that breaks.
func (w *watch) attend(ctx context.Context, t *tended, told *bool) error {
	conn, err := connector(t.config)(ctx, "")
	if err != nil {
		return fmt.Errorf("ask the server how it is: %w", err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	for {
		fresh, err := askState(ctx, conn)
		if err != nil {
			return err
		}
		before := w.now()
		w.set(func(s *serverState) { *s = fresh })
		if *told || before.directory == "" || before.standby != fresh.standby {
			t.app.log.Info("the server answers", "standby", fresh.standby)
		}
		*told = false
		if !pause(ctx, watchInterval) {
			return ctx.Err()
		}
	}
}

const stateQuery = `SELECT pg_is_in_recovery(), current_setting('data_directory'),
	(SELECT last_archived_time FROM pg_stat_archiver),
	coalesce(CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_flush_lsn() END, '0/0')::text`

func askState(ctx context.Context, conn *pgx.Conn) (serverState, error) {
	ctx, cancel := context.WithTimeout(ctx, watchPatience)
	defer cancel()
	s := serverState{tried: true, answers: true}
	var archived *time.Time
	var end string
	if err := conn.QueryRow(ctx, stateQuery).Scan(&s.standby, &s.directory, &archived, &end); err != nil {
		return s, fmt.Errorf("ask the server how it is: %w", err)
	}
	if archived != nil {
		s.lastArchived = *archived
	}
	var err error
	s.end, err = wal.ParseLSN(end)
	return s, err
}
