package drill

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"lifeboat/restore/server"
	"lifeboat/verify/census"
)

// shutdownPatience bounds how long a scratch server may take to end before it is killed.
const shutdownPatience = 10 * time.Second

// visit recovers to one stop, does what is to be done there, and ends the server.
func (d *drill) visit(ctx context.Context, sandbox [][2]string, s *stop) error {
	d.checks.during(CheckRecovery)
	running, proof, err := d.recover(ctx, sandbox, s)
	if running != nil {
		defer func() {
			mode, patience := d.ending(ctx, s)
			d.stopServer(ctx, running, mode, patience)
		}()
	}
	if err != nil {
		return fmt.Errorf("on the way to %s: %w", s.plan.Target.StopLSN, err)
	}
	if s.isTarget {
		d.checks.during(CheckPITR)
		if err := d.reached(ctx, running, s, proof); err != nil {
			return err
		}
	}
	d.checks.during(CheckRows)
	if err := d.compare(ctx, running, s); err != nil {
		return err
	}
	if s.isTarget {
		if err := d.dump(ctx, running); err != nil { // before the examination, which ends recovery
			return err
		}
	}
	return d.examine(ctx, running, s)
}

// end stops a scratch server whose pages nobody will look at.
func (d *drill) end(ctx context.Context, running *server.Server) {
	d.stopServer(ctx, running, server.Immediate, shutdownPatience)
}

func (d *drill) stopServer(ctx context.Context, running *server.Server, mode server.Mode, patience time.Duration) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
	defer cancel()
	if err := running.Stop(ctx, mode); err != nil {
		d.Log.Warn("the scratch server does not stop and is killed", keyError, errors.Join(err, running.Kill()))
	}
}

// reached notes that the drill's own target was reached, and that every database answers there.
func (d *drill) reached(ctx context.Context, running *server.Server, s *stop, proof server.Proof) error {
	done := d.clock.time(PhaseReplay) // the first query at the target ends the recovery time
	first := d.Now()
	version, databases, err := askServer(ctx, d.connect(running))
	done()
	if err != nil {
		return fmt.Errorf("ask the restored server: %w", err)
	}
	d.clock.addBytes(PhaseReplay, s.plan.WAL.Bytes)
	d.clock.reach(d.Now().Sub(first))
	d.result.Environment.PostgreSQL = version
	t := &d.result.Target
	t.ReachedLSN, t.ReachedTime, t.StopReason = proof.ReachedLSN, proof.ReachedTime, proof.StopReason
	d.checks.set(CheckRecovery, Pass, "the server paused at %s: %s", proof.ReachedLSN, proof.StopReason)
	d.checks.worsen(CheckBackup, Pass, d.plan.Backup.Label+" was restored, and a server runs on it")
	d.judgeRestoreTime()
	for _, name := range databases {
		if err := readCatalogues(ctx, d.connect(running), name); err != nil {
			return fmt.Errorf("database %s: %w", name, err)
		}
	}
	d.checks.set(CheckPITR, Pass, "recovered to %s; %s", d.Target, databasesAnswer(len(databases)))
	return nil
}

func databasesAnswer(n int) string {
	if n == 1 {
		return "its one database answers"
	}
	return fmt.Sprintf("all %d databases answer", n)
}

func (d *drill) connect(running *server.Server) census.Connect {
	return func(ctx context.Context, database string) (*pgx.Conn, error) {
		if database == "" {
			return running.ConnectAny(ctx, nil)
		}
		return running.Connect(ctx, database, nil)
	}
}

// askServer is the first thing that a restored server is asked: who it is, and which databases it has.
func askServer(ctx context.Context, connect census.Connect) (version string, databases []string, err error) {
	conn, err := connect(ctx, "")
	if err != nil {
		return "", nil, err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	if err := conn.QueryRow(ctx, "SELECT current_setting('server_version')").Scan(&version); err != nil {
		return "", nil, err
	}
	// -2 is the limit of a database whose dropping was cut off (DATCONNLIMIT_INVALID_DB).
	rows, err := conn.Query(ctx, "SELECT datname::text FROM pg_database WHERE datallowconn AND datconnlimit <> -2 ORDER BY 1")
	if err != nil {
		return "", nil, err
	}
	databases, err = pgx.CollectRows(rows, pgx.RowTo[string])
	return version, databases, err
}

// readCatalogues reads what describes every relation and column of a database.
func readCatalogues(ctx context.Context, connect census.Connect, database string) error {
	conn, err := connect(ctx, database)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	var columns int64
	const query = `SELECT count(a.attname) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace LEFT JOIN pg_attribute a ON a.attrelid = c.oid`
	return conn.QueryRow(ctx, query).Scan(&columns)
}
