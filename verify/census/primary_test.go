package census

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"lifeboat/internal/pgtest"
	"lifeboat/internal/wal"
	"lifeboat/storage/catalog"
)

// primary is a cluster that archives, and a physical copy of it to recover from.
type primary struct {
	*pgtest.Cluster
	t       *testing.T
	archive string
	copied  string
}

func startPrimary(t *testing.T, install pgtest.Install, options pgtest.Options) *primary {
	t.Helper()
	p := &primary{t: t, archive: pgtest.TempDir(t)}
	options.ArchiveCommand = fmt.Sprintf("cp %%p %s/%%f.part && mv %[1]s/%%f.part %[1]s/%%f", p.archive) // what is there is whole
	p.Cluster = pgtest.Start(t, install, options)
	return p
}

// copy makes a base backup by PostgreSQL's low-level interface:
// https://www.postgresql.org/docs/current/continuous-archiving.html#BACKUP-LOWLEVEL-BASE-BACKUP
func (p *primary) copy(ctx context.Context) {
	p.t.Helper()
	conn := p.Conn(ctx)
	if _, err := conn.Exec(ctx, "SELECT pg_backup_start('copy', true)"); err != nil {
		p.t.Fatal(err)
	}
	p.copied = pgtest.TempDir(p.t)
	p.shell(ctx, fmt.Sprintf("cp -a %s/. %s 2>/dev/null; rm -rf %[2]s/pg_wal/* %[2]s/postmaster.*; mkdir %[2]s/pg_wal/archive_status", p.DataDir, p.copied))
	var label string
	if err := conn.QueryRow(ctx, "SELECT labelfile FROM pg_backup_stop(false)").Scan(&label); err != nil {
		p.t.Fatal(err)
	}
	p.shell(ctx, fmt.Sprintf("chmod 700 %s && cd %[1]s && printf %%s '%s' >backup_label && : >recovery.signal", p.copied, label))
}

func (p *primary) shell(ctx context.Context, script string) {
	p.t.Helper()
	if out, err := pgtest.Command(ctx, p.Install, "/bin/sh", "-c", script).CombinedOutput(); err != nil {
		p.t.Fatalf("%s: %v: %s", script, err, out)
	}
}

// flushArchive waits until everything written so far is in the archive.
func (p *primary) flushArchive(ctx context.Context) {
	p.t.Helper()
	p.Exec(ctx, "SELECT pg_create_restore_point('end')")
	last := p.Value(ctx, "SELECT pg_walfile_name(pg_switch_wal())")
	for {
		if _, err := os.Stat(filepath.Join(p.archive, last)); err == nil {
			return
		}
		if ctx.Err() != nil {
			p.t.Fatalf("segment %s was not archived", last)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// recoverTo recovers the copy to a position, not inclusive, and pauses there. The copy is used up by going forward
// only: a later call must name a later position.
func (p *primary) recoverTo(ctx context.Context, lsn wal.LSN) *pgtest.Cluster {
	p.t.Helper()
	c, err := pgtest.StartDir(p.t, p.Install, p.copied, pgtest.Options{Settings: map[string]string{
		"archive_mode": "off", "restore_command": fmt.Sprintf("cp %s/%%f %%p", p.archive),
		"recovery_target_lsn": lsn.String(), "recovery_target_inclusive": "off", "recovery_target_action": "pause",
		"recovery_target_timeline": "1",
	}})
	if err != nil {
		p.t.Fatal(err)
	}
	for c.Value(ctx, "SELECT pg_get_wal_replay_pause_state()") != "paused" {
		if ctx.Err() != nil {
			p.t.Fatalf("recovery to %s did not end", lsn)
		}
		time.Sleep(20 * time.Millisecond)
	}
	return c
}

// options are those of a census of the primary.
func (p *primary) options(ctx context.Context, id string) Options {
	p.t.Helper()
	var system uint64
	if _, err := fmt.Sscan(p.Value(ctx, "SELECT system_identifier FROM pg_control_system()"), &system); err != nil {
		p.t.Fatal(err)
	}
	return Options{
		Connect:      connector(p.Cluster),
		Identity:     catalog.Identity{SystemIdentifier: system, WALSegmentSize: wal.DefaultSegmentSize},
		ID:           id,
		WALDirectory: filepath.Join(p.DataDir, "pg_wal"),
		Logger:       slog.New(slog.DiscardHandler),
		Clock:        time.Now,
	}
}

func (p *primary) census(ctx context.Context, id string) *Census {
	p.t.Helper()
	c, err := Take(ctx, p.options(ctx, id))
	if err != nil {
		p.t.Fatal(err)
	}
	return c
}

func connector(c *pgtest.Cluster) Connect {
	return func(ctx context.Context, database string) (*pgx.Conn, error) {
		if database == "" {
			database = "postgres"
		}
		return c.Connect(ctx, database)
	}
}

// connectAs connects as another role than the superuser.
func connectAs(c *pgtest.Cluster, role string) Connect {
	return func(ctx context.Context, database string) (*pgx.Conn, error) {
		if database == "" {
			database = "postgres"
		}
		return pgx.Connect(ctx, strings.Replace(c.DSN(database), "user=postgres", "user="+role, 1))
	}
}

// execIn runs SQL in a database.
func execIn(t *testing.T, ctx context.Context, c *pgtest.Cluster, database, sql string) {
	t.Helper()
	conn, err := c.Connect(ctx, database)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(ctx)
	if _, err := conn.Exec(ctx, sql); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}

func deadline(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	t.Cleanup(cancel)
	return ctx
}

func (c *Census) database(t *testing.T, name string) Database {
	t.Helper()
	for _, d := range c.Databases {
		if d.Name == name {
			return d
		}
	}
	t.Fatalf("no database %q in the census", name)
	return Database{}
}

func (d Database) table(t *testing.T, name string) Table {
	t.Helper()
	for _, table := range d.Tables {
		if table.Name == name {
			return table
		}
	}
	t.Fatalf("no table %q in the census", name)
	return Table{}
}
