package census

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

// pinned are the settings that the text form of a row, and the safety of the session, depend on. search_path comes
// before all that calls a function: nothing can be caught by objects that a user put in the way.
var pinned = strings.Join([]string{
	"SET search_path = pg_catalog, pg_temp",
	"SET client_encoding = 'UTF8'",
	"SET row_security = off", // an error instead of a count that is silently small
	"SET DateStyle = 'ISO, YMD'",
	"SET IntervalStyle = 'postgres'",
	"SET TimeZone = 'UTC'",
	"SET extra_float_digits = 1",
	"SET bytea_output = 'hex'",
	"SET lc_monetary = 'C'",
	"SET xmloption = 'content'",
	"SET quote_all_identifiers = off",
	"SET standard_conforming_strings = on",
	"SET default_transaction_read_only = on",
	"SET idle_in_transaction_session_timeout = 0",
	"SET max_parallel_workers_per_gather = 0",
	"SET jit = off",
	"SET application_name = 'lifeboat census'",
	// Version 17 brought a limit to whole transactions; a role may have it set.
	"SELECT set_config(name, '0', false) FROM pg_settings WHERE name = 'transaction_timeout'",
}, "; ")

// openSession connects and pins what results depend on.
func openSession(ctx context.Context, connect Connect, database string, limits Limits) (*pgx.Conn, error) {
	conn, err := connect(ctx, database)
	if err != nil {
		return nil, fmt.Errorf("connect to database %q: %w", database, err)
	}
	// By itself and first: a short timeout of the role's own would end a batch that is about to change it.
	timeouts := fmt.Sprintf("SET statement_timeout = %d; SET lock_timeout = %d",
		milliseconds(limits.StatementTimeout), milliseconds(limits.LockTimeout))
	for _, sql := range []string{timeouts, pinned} {
		if _, err := conn.Exec(ctx, sql); err != nil {
			closeSession(conn)
			return nil, fmt.Errorf("prepare the session in database %q: %w", database, err)
		}
	}
	return conn, nil
}

func milliseconds(d time.Duration) int64 { return max(1, d.Milliseconds()) }

// closeSession ends a session, and with it what it was doing, also after the caller's context is done.
func closeSession(conn *pgx.Conn) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	_ = conn.Close(ctx) // whatever it answers, the connection is gone
}

// beginCount starts a transaction in which every query sees the same rows.
func beginCount(ctx context.Context, conn *pgx.Conn) error {
	_, err := conn.Exec(ctx, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
	return err
}

// beginShared starts a transaction that sees what the exporter of a snapshot sees, who must still be in its own.
func beginShared(ctx context.Context, conn *pgx.Conn, exported string) error {
	if err := beginCount(ctx, conn); err != nil {
		return err
	}
	_, err := conn.Exec(ctx, "SET TRANSACTION SNAPSHOT '"+strings.ReplaceAll(exported, "'", "''")+"'")
	return err
}
