package drill

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sys/unix"

	"lifeboat/restore/server"
	"lifeboat/storage/catalog"
)

// restoredDump is the data directory, below the scratch directory, of the server that dumps are restored on.
const restoredDump = "dump"

// restoreRoom is what a new server and its WAL take, in bytes, beside the databases.
const restoreRoom = 700 << 20

// NoRoomError says that the scratch disk is too small.
type NoRoomError struct{ Free, Needed int64 }

func (e *NoRoomError) Error() string {
	return fmt.Sprintf("restoring the dump needs %s on the scratch disk, and %s are free", size(e.Needed), size(e.Free))
}

// restoreDumps restores each dump, as it comes back from the repository, on a new server in the scratch directory, and
// compares what came back. What goes wrong decides the check; the error is the end of ctx only.
func (d *drill) restoreDumps(ctx context.Context) error {
	if !d.Dump.wanted() {
		return nil
	}
	done := d.clock.time(PhaseDump)
	d.checks.during(CheckDump)
	if len(d.dumped.pending) > 0 {
		if err := d.restoreAll(ctx); err != nil {
			d.checks.worsen(CheckDump, verdictOfDump(err), "the dumps were made, and could not be restored: "+words(err))
		}
	}
	done()
	if len(d.result.Dumps) > 0 {
		d.judgeDumps()
	}
	return context.Cause(ctx)
}

func (d *drill) restoreAll(ctx context.Context) error {
	if err := d.roomToRestore(); err != nil {
		return err
	}
	if err := d.initdb(ctx); err != nil {
		return err
	}
	settings, err := d.sandbox()
	if err != nil {
		return err
	}
	running, err := d.serve(ctx, d.scratch.path(restoredDump), append(settings, restoreSettings()...), restoreSession(d.major()))
	if err != nil {
		return err
	}
	defer d.end(ctx, running)
	if err := running.AwaitReady(ctx); err != nil {
		return err
	}
	if err := d.restoreGlobals(ctx, running); err != nil {
		return fmt.Errorf("restore the roles: %w", err)
	}
	relay, err := d.relay(ctx, running)
	if err != nil {
		return err
	}
	defer func() { _ = relay.Close() }()
	for _, u := range d.dumped.pending {
		d.restoreOne(ctx, running, relay, u)
	}
	return context.Cause(ctx)
}

// roomToRestore looks whether the largest database fits: one is restored after the other.
func (d *drill) roomToRestore() error {
	var disk unix.Statfs_t
	if err := unix.Statfs(d.scratch.dir, &disk); err != nil {
		return fmt.Errorf("ask for free space: %w", err)
	}
	var largest int64
	for _, u := range d.dumped.pending {
		largest = max(largest, u.bytes)
	}
	free, needed := int64(disk.Bavail)*disk.Bsize, largest+largest/5+restoreRoom
	if free < needed {
		return &NoRoomError{Free: free, Needed: needed}
	}
	return nil
}

// initdb makes a cluster like the one that the dumps are of.
func (d *drill) initdb(ctx context.Context) error {
	d.Progress(PhaseDump, 0, 0)
	like := d.dumped.template
	p, err := startProgram(ctx, d.command(ctx, filepath.Join(d.bin, "initdb"), nil, "--pgdata="+d.scratch.path(restoredDump),
		"--username="+d.plan.Record().Superuser, "--auth=trust", "--no-sync", "--no-instructions", "--locale=C",
		"--encoding="+like.Encoding, "--lc-collate="+like.Collate, "--lc-ctype="+like.CType))
	if err != nil {
		return err
	}
	defer p.kill()
	_, err = io.Copy(io.Discard, p)
	return err
}

// restoreSettings come after those of the sandbox. The server's files are thrown away, and need not be durable.
func restoreSettings() [][2]string {
	return [][2]string{
		{"default_transaction_read_only", "off"}, {"fsync", "off"}, {"full_page_writes", "off"}, {"wal_level", "minimal"},
		{"max_wal_senders", "0"}, {"max_wal_size", "512MB"}, {"max_prepared_transactions", "0"}, {"maintenance_work_mem", "256MB"},
	}
}

// restoreSession are the settings of sessions that write.
func restoreSession(major int) map[string]string {
	settings := sessionSettings(major)
	settings["default_transaction_read_only"] = "off"
	return settings
}

// restoreGlobals makes the roles. All of the text is run at once, by the server: psql, which is this machine's, is not to
// read what a restored server has written.
func (d *drill) restoreGlobals(ctx context.Context, running *server.Server) (err error) {
	in, err := d.dumped.pending[0].Open(ctx, d.Cluster, catalog.DumpGlobals)
	if err != nil {
		return err
	}
	text, err := io.ReadAll(in)
	if err := errors.Join(err, in.Close()); err != nil {
		return err
	}
	conn, err := d.connect(running)(ctx, "")
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	_, err = conn.PgConn().Exec(ctx, rolesOnly(string(text), d.plan.Record().Superuser)).ReadAll()
	return err
}

// rolesOnly is the text of pg_dumpall without what only psql knows, and without making the role that every new cluster
// has.
func rolesOnly(text, superuser string) string {
	var kept strings.Builder
	for line := range strings.Lines(text) {
		made, isRole := strings.CutPrefix(strings.TrimSuffix(line, ";\n"), "CREATE ROLE ")
		switch {
		case strings.HasPrefix(line, `\restrict `) || strings.HasPrefix(line, `\unrestrict `):
		case isRole && (made == superuser || made == pgx.Identifier{superuser}.Sanitize()):
		default:
			kept.WriteString(line)
		}
	}
	return kept.String()
}

// restoreOne restores one dump, compares it, notes what came of it, and gives the room back.
func (d *drill) restoreOne(ctx context.Context, running *server.Server, relay *server.Relay, u *pendingDump) {
	d.Progress(PhaseDump+" "+u.Database, 0, 0)
	done := &d.result.Dumps[u.place]
	started := d.Now()
	differ, err := d.restoreAndCompare(ctx, running, relay, u)
	done.RestoreSeconds = d.Now().Sub(started).Seconds()
	switch {
	case err != nil:
		done.Result, done.Why = verdictOfDump(err), "it could not be restored: "+words(err)
	case len(differ) > 0:
		done.Result, done.Why = Fail, summary(differ)
	default:
		done.Result, done.Why = Pass, ""
	}
	if err := d.dropRestored(ctx, running, u.Database); err != nil {
		d.Log.Warn("a restored database stays until the drill ends", keyError, err)
	}
}

// summary is the first of some remarks, and how many there are.
func summary(remarks []string) string {
	if len(remarks) == 1 {
		return remarks[0]
	}
	return fmt.Sprintf("%s (and %d more)", remarks[0], len(remarks)-1)
}

func (d *drill) restoreAndCompare(ctx context.Context, running *server.Server, relay *server.Relay, u *pendingDump) ([]string, error) {
	if err := d.pgRestore(ctx, relay, u.Dump); err != nil {
		return nil, err
	}
	restored, err := countRows(ctx, d.connect(running), u.Database)
	if err != nil {
		return nil, err
	}
	return contents{tables: u.Tables, largeObjects: u.LargeObjects}.differences(restored), nil
}

// besides is a database to be connected to while another one is made or dropped.
func besides(database string) string {
	if database == "template1" {
		return "postgres"
	}
	return "template1"
}

// pgRestore has pg_restore make the database from what the repository gives.
func (d *drill) pgRestore(ctx context.Context, relay *server.Relay, u *Dump) error {
	in, err := u.Open(ctx, d.Cluster, catalog.DumpArchive)
	if err != nil {
		return err
	}
	source := &remembering{in: in}
	cmd := d.client(ctx, relay, restoreSession(d.major()), "pg_restore", besides(u.Database),
		"--exit-on-error", "--create", "--clean", "--if-exists", "--no-tablespaces", "--no-security-labels")
	var stderr head
	cmd.Stdin, cmd.Stderr = source, &stderr
	err = toolWords(ctx, cmd, &stderr, cmd.Run())
	if err == nil {
		_, err = io.Copy(io.Discard, source) // pg_restore need not read to the end, which proves all
	}
	if source.err != nil {
		err = source.err
	}
	return errors.Join(err, in.Close())
}

// remembering keeps the error that ended a source: whoever reads from it only sees that it ended.
type remembering struct {
	in  io.Reader
	err error
}

func (r *remembering) Read(b []byte) (int, error) {
	n, err := r.in.Read(b)
	if err != nil && !errors.Is(err, io.EOF) {
		r.err = err
	}
	return n, err
}

// dropRestored removes a restored database, so that the next one has its room. The two that every cluster has stay.
func (d *drill) dropRestored(ctx context.Context, running *server.Server, database string) error {
	if database == "postgres" || database == "template1" {
		return nil
	}
	conn, err := d.connect(running)(ctx, besides(database))
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	if _, err := conn.Exec(ctx, "UPDATE pg_database SET datistemplate = false WHERE datname = $1", database); err != nil {
		return err
	}
	_, err = conn.Exec(ctx, "DROP DATABASE IF EXISTS "+pgx.Identifier{database}.Sanitize())
	return err
}
