package drill

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"

	"lifeboat/restore/server"
	"lifeboat/verify/census"
)

// shutdownPatience bounds how long a scratch server may take to end before it is killed.
const shutdownPatience = 10 * time.Second

// reachSlack is how far the end of the last replayed record can lie before the start of the next one: a page header.
const reachSlack = 64

// visit recovers to one stop, does what is to be done there, and ends the server.
func (d *drill) visit(ctx context.Context, bin string, sandbox [][2]string, s *stop) error {
	running, proof, err := d.recover(ctx, bin, sandbox, s)
	if running != nil {
		defer func() { d.end(ctx, running) }()
	}
	if err != nil {
		return err
	}
	if s.isTarget {
		if err := d.reached(ctx, running, s, proof); err != nil {
			return err
		}
	}
	return d.compare(ctx, running, s)
}

// recover starts the server and waits until it answers at the stop.
func (d *drill) recover(ctx context.Context, bin string, sandbox [][2]string, s *stop) (*server.Server, server.Proof, error) {
	d.Progress(PhaseReplay, 0, 0)
	started := d.Now()
	running, err := server.Start(ctx, server.Options{
		BinDir: bin, DataDir: s.plan.Directory, SocketDir: d.scratch.sockets, User: d.plan.Record().Superuser,
		Settings: append(append([][2]string{}, sandbox...), planSettings(s.plan)...),
		LogFile:  d.scratch.path("server.log"), Credential: d.credential(), Env: []string{nonceName + "=" + d.result.ID},
		Pdeathsig: syscall.SIGQUIT,
	})
	if err != nil {
		return nil, server.Proof{}, err
	}
	proof, err := running.AwaitTarget(ctx)
	if err != nil {
		return running, proof, err
	}
	d.splitReplay(running, started, d.Now())
	if err := proven(s, proof); err != nil {
		return running, proof, err
	}
	return running, proof, nil
}

// ShortError says that recovery ended elsewhere than planned.
type ShortError struct {
	Proof server.Proof
	Why   string
}

func (e *ShortError) Error() string {
	return fmt.Sprintf("recovery ended at %s, %s: %s", e.Proof.ReachedLSN, e.Proof.Outcome, e.Why)
}

// proven holds what the server says against the plan.
func proven(s *stop, proof server.Proof) error {
	want := s.plan.Target.StopLSN
	switch {
	case proof.Outcome != server.Paused:
		return &ShortError{Proof: proof, Why: "it did not pause at its target"}
	case proof.ReachedLSN+reachSlack < want:
		return &ShortError{Proof: proof, Why: "that is short of " + want.String()}
	case s.plan.Target.Exclusive && proof.ReachedLSN > want:
		return &ShortError{Proof: proof, Why: "that is past " + want.String()}
	}
	return nil
}

var redoLine = regexp.MustCompile(`(?m)^(\S+ \S+) UTC \[\d+\] LOG:  redo starts at`)

// splitReplay divides the time of a recovery at the moment when the server's log says that redo started.
func (d *drill) splitReplay(running *server.Server, from, to time.Time) {
	start := time.Duration(0)
	if log, err := running.Log(); err == nil {
		if m := redoLine.FindStringSubmatch(log); m != nil {
			if at, err := time.Parse("2006-01-02 15:04:05.000", m[1]); err == nil {
				start = min(max(0, at.Sub(from)), to.Sub(from))
			}
		}
	}
	d.clock.add(PhaseStart, start)
	d.clock.add(PhaseReplay, to.Sub(from)-start)
}

func (d *drill) credential() *syscall.Credential {
	if d.Owner == nil {
		return nil
	}
	return &syscall.Credential{Uid: uint32(d.Owner.UID), Gid: uint32(d.Owner.GID)}
}

// end stops a scratch server; what it writes no longer matters.
func (d *drill) end(ctx context.Context, running *server.Server) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownPatience)
	defer cancel()
	if err := running.Stop(ctx, server.Immediate); err != nil {
		d.Log.Warn("the scratch server does not stop and is killed", "error", errors.Join(err, running.Kill()))
	}
}

// reached notes that the drill's own target was reached, and that every database answers there.
func (d *drill) reached(ctx context.Context, running *server.Server, s *stop, proof server.Proof) error {
	done := d.clock.time(PhaseReplay) // the first query at the target ends the recovery time
	databases, err := askDatabases(ctx, d.connect(running))
	done()
	if err != nil {
		return fmt.Errorf("ask the restored server: %w", err)
	}
	d.clock.reach()
	t := &d.result.Target
	t.ReachedLSN, t.ReachedTime, t.StopReason = proof.ReachedLSN, proof.ReachedTime, proof.StopReason
	d.checks.set(CheckRecovery, Pass, "the server paused at %s: %s", proof.ReachedLSN, proof.StopReason)
	d.clock.addBytes(PhaseReplay, s.plan.WAL.Bytes)
	for _, name := range databases {
		if err := readCatalogues(ctx, d.connect(running), name); err != nil {
			return fmt.Errorf("database %s: %w", name, err)
		}
	}
	d.checks.set(CheckPITR, Pass, "recovered to %s %s, consistent, and %d databases answer", t.Kind, t.Value, len(databases))
	return nil
}

func (d *drill) connect(running *server.Server) census.Connect {
	settings := sessionSettings(d.plan.Record().PostgresVersion / 10000)
	return func(ctx context.Context, database string) (*pgx.Conn, error) {
		if database == "" {
			database = "postgres"
		}
		return running.Connect(ctx, database, settings)
	}
}

func askDatabases(ctx context.Context, connect census.Connect) ([]string, error) {
	conn, err := connect(ctx, "")
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	rows, err := conn.Query(ctx, "SELECT datname::text FROM pg_database WHERE datallowconn ORDER BY 1")
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[string])
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
