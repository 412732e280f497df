package archive

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// lockKey is the advisory lock that a backup holds on the server: "lifeboat" in ASCII.
const lockKey int64 = 0x6c696665626f6174

const (
	lockPatience  = 5 * time.Second // for the server to notice that a killed backup's session is gone
	lockPoll      = 100 * time.Millisecond
	watchInterval = 5 * time.Second
)

// session is the one connection that a backup holds from start to stop. PostgreSQL ends a backup when the session that
// started it ends: https://www.postgresql.org/docs/current/continuous-archiving.html#BACKUP-LOWLEVEL-BASE-BACKUP
type session struct {
	conn    *pgx.Conn
	version int // server_version_num
}

func (s *session) major() int { return s.version / 10000 }

// openSession connects and shields the session from settings of the role or the database.
func openSession(ctx context.Context, connect func(context.Context) (*pgx.Conn, error)) (*session, error) {
	conn, err := connect(ctx)
	if err != nil {
		return nil, unreachable(err)
	}
	s := &session{conn: conn}
	if err := s.prepare(ctx); err != nil {
		s.close(ctx)
		return nil, fmt.Errorf("prepare the session: %w", err)
	}
	return s, nil
}

// unreachable adds what helps to the errors of connecting that operators meet most.
func unreachable(err error) error {
	var refused *pgconn.PgError
	hint := "is the server running, and do host, port and socket directory of the connection string hold?"
	if errors.As(err, &refused) {
		hint = "the server answered and refused: see pg_hba.conf, the role and the database of the connection string"
	}
	return &OperatorError{Message: "the server cannot be reached", Hint: hint, Err: err}
}

func (s *session) prepare(ctx context.Context) error {
	const query = "SELECT pg_catalog.current_setting('server_version_num')::pg_catalog.int4"
	if err := s.conn.QueryRow(ctx, query).Scan(&s.version); err != nil {
		return err
	}
	for _, setting := range s.pinned() {
		if _, err := s.conn.Exec(ctx, "SELECT pg_catalog.set_config($1, $2, false)", setting[0], setting[1]); err != nil {
			return fmt.Errorf("set %s: %w", setting[0], err)
		}
	}
	return nil
}

// pinned are the session's own settings: nothing may end a long session that is mostly idle, and the server looks after
// whether its client still lives.
func (s *session) pinned() [][2]string {
	settings := [][2]string{
		{"search_path", "pg_catalog"},
		{"application_name", "lifeboat backup"},
		{"statement_timeout", "0"},
		{"lock_timeout", "0"},
		{"idle_in_transaction_session_timeout", "0"},
	}
	if s.major() >= 14 {
		settings = append(settings, [2]string{"idle_session_timeout", "0"}, [2]string{"client_connection_check_interval", "1s"})
	}
	if s.major() >= 17 {
		settings = append(settings, [2]string{"transaction_timeout", "0"})
	}
	return settings
}

// close ends the session, and with it a backup that was not stopped and the lock.
func (s *session) close(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	_ = s.conn.Close(ctx) // the server ends the session either way
}

// lock makes this the only backup of the cluster, whatever host and database it comes from, until the session ends.
func (s *session) lock(ctx context.Context) error {
	deadline := time.NewTimer(lockPatience)
	defer deadline.Stop()
	for {
		got, holder, err := s.tryLock(ctx)
		if err != nil || got {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-deadline.C:
			return &OperatorError{
				Message: fmt.Sprintf("another backup of this cluster is running: server process %d holds its lock", holder),
				Hint:    fmt.Sprintf("wait for it, or end it with SELECT pg_terminate_backend(%d)", holder),
			}
		case <-time.After(lockPoll):
		}
	}
}

// tryLock takes the lock or says which process holds it, 0 when that one ended just now. Advisory locks belong to a
// database, so the list of all locks is asked about the other ones.
func (s *session) tryLock(ctx context.Context) (got bool, holder int, err error) {
	if err := s.conn.QueryRow(ctx, "SELECT pg_catalog.pg_try_advisory_lock($1)", lockKey).Scan(&got); err != nil {
		return false, 0, fmt.Errorf("take the backup lock: %w", err)
	}
	const others = `SELECT coalesce(min(pid), 0) FROM pg_catalog.pg_locks
		WHERE locktype = 'advisory' AND classid = $1 AND objid = $2 AND objsubid = 1 AND granted
		AND pid <> pg_catalog.pg_backend_pid()`
	err = s.conn.QueryRow(ctx, others, uint32(lockKey>>32), uint32(lockKey&0xffffffff)).Scan(&holder)
	if err != nil {
		return false, 0, fmt.Errorf("look for other backups: %w", err)
	}
	if !got || holder == 0 {
		return got, holder, nil
	}
	_, err = s.conn.Exec(ctx, "SELECT pg_catalog.pg_advisory_unlock($1)", lockKey)
	return false, holder, err
}

// watch asks the server for a sign of life now and then until done is closed, so that a backup whose session is gone
// ends at once and not after hours of copying.
func (s *session) watch(ctx context.Context, interval time.Duration, done <-chan struct{}) error {
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		select {
		case <-done:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		case <-ticker.C:
			if err := s.alive(ctx); err != nil {
				return err
			}
		}
	}
}

func (s *session) alive(ctx context.Context) error {
	if err := s.conn.Ping(ctx); err != nil {
		return fmt.Errorf("the session that holds the backup is lost, so the backup is invalid: %w", err)
	}
	return nil
}
