package instance

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// Connect opens a session in the named database of the instance, as a superuser and with settings that no role and no
// database outranks.
type Connect func(ctx context.Context, database string) (*pgx.Conn, error)

// lockPatience bounds how long a lock is waited for. Where recovery stands still, the startup process holds the locks
// of transactions that had not ended, and never gives them back.
const lockPatience = 100 * time.Millisecond

// session is a connection with what depends on the server's version.
type session struct {
	*pgx.Conn
	version int // server_version_num
}

func open(ctx context.Context, connect Connect, database string) (*session, error) {
	conn, err := connect(ctx, database)
	if err != nil {
		return nil, fmt.Errorf("connect to database %q: %w", database, err)
	}
	s := &session{Conn: conn}
	settings := fmt.Sprintf("SET search_path = pg_catalog, pg_temp; SET client_encoding = 'UTF8'; SET lock_timeout = %d", lockPatience.Milliseconds())
	if _, err = conn.Exec(ctx, settings); err == nil {
		err = conn.QueryRow(ctx, "SELECT current_setting('server_version_num')::int").Scan(&s.version)
	}
	if err != nil {
		s.close()
		return nil, fmt.Errorf("prepare the session in database %q: %w", database, err)
	}
	return s, nil
}

func (s *session) close() {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	_ = s.Close(ctx) // whatever it answers, the connection is gone
}

// count runs a query that gives two numbers.
func (s *session) count(ctx context.Context, sql string, args ...any) (first, second int64, err error) {
	err = s.QueryRow(ctx, sql, append([]any{pgx.QueryExecModeExec}, args...)...).Scan(&first, &second)
	return first, second, err
}

// strings runs a query that gives a column of texts.
func (s *session) strings(ctx context.Context, sql string, args ...any) ([]string, error) {
	rows, err := s.Query(ctx, sql, append([]any{pgx.QueryExecModeExec}, args...)...)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[string])
}
