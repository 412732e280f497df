package pgtest

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// startLimit bounds how long a server may take to accept connections, crash recovery included.
const startLimit = 2 * time.Minute

// DSN is a connection string for one database, for pgx and for libpq.
func (c *Cluster) DSN(database string) string {
	return fmt.Sprintf("host=%s port=%d user=postgres dbname=%s sslmode=disable", c.SocketDir, port, database)
}

// Connect opens a session. Unlike the other methods it may be called from any goroutine.
func (c *Cluster) Connect(ctx context.Context, database string) (*pgx.Conn, error) {
	return pgx.Connect(ctx, c.DSN(database))
}

// Conn opens a session in the database postgres that is closed when the test ends.
func (c *Cluster) Conn(ctx context.Context) *pgx.Conn {
	c.t.Helper()
	conn, err := c.Connect(ctx, "postgres")
	if err != nil {
		c.t.Fatalf("connect: %v", err)
	}
	c.t.Cleanup(func() { _ = conn.Close(context.Background()) })
	return conn
}

// Exec runs SQL in a session of its own. Without arguments it may be several statements, which are one
// transaction.
func (c *Cluster) Exec(ctx context.Context, sql string, args ...any) {
	c.t.Helper()
	conn, err := c.Connect(ctx, "postgres")
	if err != nil {
		c.t.Fatalf("connect: %v", err)
	}
	defer conn.Close(ctx)
	if _, err := conn.Exec(ctx, sql, args...); err != nil {
		c.t.Fatalf("%s: %v", sql, err)
	}
}

// Query runs a query in a session of its own and returns its rows as PostgreSQL's text; NULL is empty.
func (c *Cluster) Query(ctx context.Context, sql string, args ...any) [][]string {
	c.t.Helper()
	conn, err := c.Connect(ctx, "postgres")
	if err != nil {
		c.t.Fatalf("connect: %v", err)
	}
	defer conn.Close(ctx)
	rows, err := conn.Query(ctx, sql, append([]any{pgx.QueryExecModeSimpleProtocol}, args...)...)
	if err != nil {
		c.t.Fatalf("%s: %v", sql, err)
	}
	result, err := pgx.CollectRows(rows, texts)
	if err != nil {
		c.t.Fatalf("%s: %v", sql, err)
	}
	return result
}

// Value is the first column of the first row of a query.
func (c *Cluster) Value(ctx context.Context, sql string, args ...any) string {
	c.t.Helper()
	rows := c.Query(ctx, sql, args...)
	if len(rows) == 0 || len(rows[0]) == 0 {
		c.t.Fatalf("%s: no rows", sql)
	}
	return rows[0][0]
}

func texts(row pgx.CollectableRow) ([]string, error) {
	var list []string
	for _, value := range row.RawValues() {
		list = append(list, string(value))
	}
	return list, nil
}

// awaitReady tries until the server takes a connection, or has ended.
func (c *Cluster) awaitReady() error {
	ctx, cancel := context.WithTimeout(context.Background(), startLimit)
	defer cancel()
	for {
		conn, err := c.Connect(ctx, "postgres")
		if err == nil {
			return conn.Close(ctx)
		}
		if refused := (*pgconn.PgError)(nil); errors.As(err, &refused) && refused.Code != "57P03" {
			return err // 57P03, cannot_connect_now: starting up
		}
		select {
		case <-c.server.done:
			return fmt.Errorf("the server ended: %w", errors.Join(c.server.err, err))
		case <-ctx.Done():
			return fmt.Errorf("not ready within %v: %w", startLimit, err)
		case <-time.After(10 * time.Millisecond):
		}
	}
}
