package wal_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"lifeboat/internal/pgtest"
	"lifeboat/internal/wal"
)

// deed is a statement, and whether it changes the schema.
type deed struct {
	sql     string
	changes bool
}

// deeds are in an order: later ones build on earlier ones. Statements with ";" run one by one in one session.
var deeds = []deed{
	{"CREATE TABLE ledger (id int PRIMARY KEY, text text)", true},
	{"INSERT INTO ledger SELECT i, repeat('x', 100) FROM generate_series(1, 1000) i", false},
	{"ANALYZE", false},
	{"CREATE TEMP TABLE scratch (id serial PRIMARY KEY, text text)", false},
	{"CREATE TEMP TABLE scratch (id int); INSERT INTO scratch VALUES (1); DROP TABLE scratch", false},
	{"BEGIN; CREATE TEMP TABLE scratch (id int) ON COMMIT DROP; INSERT INTO ledger VALUES (-1, ''); COMMIT", false},
	{"CREATE VIEW seen AS SELECT * FROM ledger", true},
	{"DROP VIEW seen", true},
	{"VACUUM", false},
	{"CREATE INDEX ON ledger (text)", true},
	{"ALTER TABLE ledger ADD COLUMN more int", true},
	{"ALTER TABLE ledger ADD COLUMN always float8 DEFAULT random()", true},
	{"ALTER TABLE ledger RENAME COLUMN more TO less", true},
	{"CREATE FUNCTION one() RETURNS int LANGUAGE sql AS 'SELECT 1'", true},
	{"CREATE SCHEMA side", true},
	{"CREATE SEQUENCE side.numbers", true},
	{"SELECT nextval('side.numbers')", false},
	{"CREATE TABLE parted (id int) PARTITION BY RANGE (id)", true},
	{"CREATE UNLOGGED TABLE quick (id int)", true},
	{"DROP TABLE parted, quick", true},
	{"CREATE TYPE mood AS ENUM ('good', 'bad')", true},
	{"UPDATE ledger SET text = 'y' WHERE id % 2 = 0", false},
	{"DELETE FROM ledger WHERE id > 500; VACUUM ledger; ANALYZE ledger", false},
	{"CREATE ROLE somebody LOGIN PASSWORD 'x'", false},
	{"ALTER ROLE somebody SET work_mem = '1MB'", false},
	{"SELECT lo_create(4711)", false},
	{"GRANT SELECT ON ledger TO somebody", true},
	{"BEGIN; SAVEPOINT a; CREATE TABLE kept (id int); RELEASE a; INSERT INTO kept VALUES (1); COMMIT", true},
	{"BEGIN; SAVEPOINT a; CREATE TABLE gone (id int); ROLLBACK TO a; INSERT INTO kept VALUES (2); COMMIT", false},
	{"BEGIN; CREATE TABLE gone (id int); INSERT INTO gone VALUES (1); ROLLBACK", false},
	{"BEGIN; ALTER TABLE kept ADD COLUMN two int; PREPARE TRANSACTION 'later'", false},
	{"COMMIT PREPARED 'later'", true},
	{"CREATE INDEX CONCURRENTLY kept_id ON kept (id)", true},
	{"CREATE TRIGGER nothing BEFORE UPDATE ON kept FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger()", true},
	{"CREATE MATERIALIZED VIEW frozen AS SELECT count(*) FROM ledger", true},
	{"REFRESH MATERIALIZED VIEW frozen", true}, // as the documentation says
	{"TRUNCATE kept", true},
	{"DROP TABLE kept", true},
	{"CREATE DATABASE other", true},
	{"DROP DATABASE other", true},
	{"CHECKPOINT; INSERT INTO ledger VALUES (-2, ''); ANALYZE ledger", false}, // with images of pages
	{"CREATE TEMP TABLE scratch AS SELECT 1 AS one", false},
	{"DROP TABLE ledger CASCADE", true},
}

// TestSchemaChangesAreTold runs statements on real servers and wants those, and only those, told that change the schema.
func TestSchemaChangesAreTold(t *testing.T) {
	t.Parallel()
	pgtest.Each(t, func(t *testing.T, install pgtest.Install) {
		ctx := t.Context()
		c := pgtest.Start(t, install, pgtest.Options{WALSegmentMB: 4, Settings: map[string]string{
			"max_prepared_transactions": "5", "wal_keep_size": "2GB", "autovacuum": "off",
		}})
		c.Exec(ctx, "CHECKPOINT")
		first := c.Value(ctx, "SELECT pg_walfile_name(pg_current_wal_insert_lsn())")
		begun := lsnOf(ctx, t, c)
		ends := make([]wal.LSN, len(deeds))
		for i, d := range deeds {
			runEach(ctx, t, c, d.sql)
			ends[i] = lsnOf(ctx, t, c)
		}
		c.Stop()
		told := map[int]wal.SchemaCommit{}
		watch := wal.NewSchemaWatch()
		for r, err := range allRecords(t, c.DataDir+"/pg_wal", first, 4<<20) {
			if err != nil {
				break
			}
			commit, ok := watch.Next(r)
			if !ok || !commit.Changed || r.LSN < begun {
				continue
			}
			told[deedAt(ends, r.LSN)] = commit
		}
		for i, d := range deeds {
			commit, ok := told[i]
			if ok != d.changes {
				t.Errorf("%s: told %t (%+v), want %t", d.sql, ok, commit, d.changes)
			}
			removes := strings.HasPrefix(d.sql, "DROP DATABASE")
			if ok && (commit.Before < commit.LSN) != removes {
				t.Errorf("%s: recovery is to stop at %s, the commit is at %s", d.sql, commit.Before, commit.LSN)
			}
			if ok && (!commit.Whole || commit.What == "" || commit.Time.IsZero()) {
				t.Errorf("%s: %+v", d.sql, commit)
			}
		}
	})
}

// runEach runs statements one by one in a session of their own.
func runEach(ctx context.Context, t *testing.T, c *pgtest.Cluster, sql string) {
	t.Helper()
	conn, err := c.Connect(ctx, "postgres")
	if err != nil {
		t.Fatal(err)
	}
	for _, one := range strings.Split(sql, "; ") {
		if _, err := conn.Exec(ctx, one); err != nil {
			t.Fatalf("%s: %v", one, err)
		}
	}
	if err := conn.Close(ctx); err != nil {
		t.Fatal(err)
	}
	// What a session's end still writes, such as the removal of temporary tables, belongs to it.
	for c.Value(ctx, fmt.Sprintf("SELECT count(*) FROM pg_stat_activity WHERE pid = %d", conn.PgConn().PID())) != "0" {
	}
}

func lsnOf(ctx context.Context, t *testing.T, c *pgtest.Cluster) wal.LSN {
	t.Helper()
	lsn, err := wal.ParseLSN(c.Value(ctx, "SELECT pg_current_wal_insert_lsn()"))
	if err != nil {
		t.Fatal(err)
	}
	return lsn
}

func deedAt(ends []wal.LSN, at wal.LSN) int {
	for i, end := range ends {
		if at < end {
			return i
		}
	}
	return -1
}
