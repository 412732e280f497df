package census

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"lifeboat/internal/pgtest"
)

// loadTables are what the load writes to, beside pgbench's own.
const loadTables = `
CREATE TABLE ledger (id bigserial PRIMARY KEY, kind text, amount numeric);
CREATE TABLE emptied (id int);
CREATE TABLE quiet AS SELECT i AS id, md5(i::text) AS text FROM generate_series(1, 1000) i;`

// startLoad writes at full speed in every way that matters for the order of commits. The function stops it.
func startLoad(ctx context.Context, t *testing.T, c *pgtest.Cluster) (stop func()) {
	t.Helper()
	c.Pgbench(ctx, 1, 0, 0)
	c.Exec(ctx, loadTables)
	execIn(t, ctx, c, "postgres", "CREATE DATABASE other")
	execIn(t, ctx, c, "other", loadTables)
	ctx, cancel := context.WithCancel(ctx)
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return runPgbench(ctx, t, c) })
	for name, script := range map[string][]string{
		"asynchronous":    {"SET synchronous_commit = off", "INSERT INTO ledger (kind, amount) VALUES ('asynchronous', 1)"},
		"prepared":        {"BEGIN", "INSERT INTO ledger (kind, amount) VALUES ('prepared', 2)", "PREPARE TRANSACTION 'p'", "COMMIT PREPARED 'p'"},
		"subtransactions": {"BEGIN", "SAVEPOINT a", "INSERT INTO ledger (kind, amount) VALUES ('kept', 3)", "RELEASE a", "SAVEPOINT b", "INSERT INTO ledger (kind, amount) VALUES ('lost', 4)", "ROLLBACK TO b", "COMMIT"},
		"rolled back":     {"BEGIN", "UPDATE ledger SET amount = amount + 1 WHERE id % 7 = 0 AND id > (SELECT max(id) - 50 FROM ledger)", "ROLLBACK"},
		"deleted":         {"DELETE FROM ledger WHERE id = (SELECT min(id) FROM ledger)"},
	} {
		group.Go(func() error { return repeat(ctx, c, "postgres", name, script, 0) })
	}
	group.Go(func() error {
		return repeat(ctx, c, "other", "other", []string{"INSERT INTO ledger (kind, amount) VALUES ('other', 5)"}, 0)
	})
	group.Go(func() error {
		return repeat(ctx, c, "other", "emptied", []string{"INSERT INTO emptied SELECT generate_series(1, 10)", "TRUNCATE emptied"}, 300*time.Millisecond)
	})
	return func() {
		cancel()
		if err := group.Wait(); err != nil {
			t.Errorf("load: %v", err)
		}
	}
}

func repeat(ctx context.Context, c *pgtest.Cluster, database, name string, script []string, every time.Duration) error {
	conn, err := c.Connect(ctx, database)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	for ctx.Err() == nil {
		for _, sql := range script {
			if _, err := conn.Exec(ctx, sql); err != nil && ctx.Err() == nil {
				return fmt.Errorf("%s: %s: %w", name, sql, err)
			}
		}
		time.Sleep(every)
	}
	return nil
}

func runPgbench(ctx context.Context, t *testing.T, c *pgtest.Cluster) error {
	cmd := pgtest.Command(ctx, pgtest.Debian(t), "pgbench", "-n", "-c", "4", "-T", "600", "-M", "prepared",
		"-h", c.SocketDir, "-U", "postgres", "postgres")
	out, err := cmd.CombinedOutput()
	if ctx.Err() != nil {
		return nil
	}
	return fmt.Errorf("pgbench: %w: %s", err, strings.TrimSpace(string(out)))
}
