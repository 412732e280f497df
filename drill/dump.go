package drill

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"lifeboat/restore/server"
	"lifeboat/storage/catalog"
)

// errNothingToDump says that none of the databases that were asked for can be dumped.
var errNothingToDump = errors.New("no database could be dumped")

// maxGlobals bounds what is taken of the roles of a cluster, in bytes, since they are held in memory.
const maxGlobals = 256 << 20

// pendingDump is a dump that is in the repository and has not been restored.
type pendingDump struct {
	*Dump
	place int // in the result's list
	bytes int64
}

// dumped is what a drill has in hand of its dumps.
type dumped struct {
	pending  []*pendingDump
	tools    dumpTools
	template candidate // the database that new ones are like
}

// dump dumps the databases that were asked for from the scratch server, which pauses at the drill's target, into the
// repository. What goes wrong decides the check; the error is the end of ctx only.
func (d *drill) dump(ctx context.Context, running *server.Server) error {
	if !d.Dump.wanted() {
		return nil
	}
	defer d.clock.time(PhaseDump)()
	d.checks.during(CheckDump)
	if err := d.dumpAll(ctx, running); err != nil {
		d.checks.worsen(CheckDump, verdictOfDump(err), words(err))
	}
	return context.Cause(ctx)
}

func (d *drill) dumpAll(ctx context.Context, running *server.Server) error {
	tools, err := d.findDumpTools(ctx)
	if err != nil {
		return err
	}
	found, err := candidates(ctx, d.connect(running))
	if err != nil {
		return fmt.Errorf("list the databases: %w", err)
	}
	chosen, refused := d.Dump.choose(found)
	d.result.Dumps = append(d.result.Dumps, refused...)
	if len(chosen) == 0 {
		return errNothingToDump
	}
	d.dumped.tools = tools
	d.dumped.template = found["template1"]
	relay, err := d.relay(ctx, running)
	if err != nil {
		return err
	}
	defer func() { _ = relay.Close() }()
	globals, err := d.readGlobals(ctx, relay)
	if err != nil {
		return err
	}
	for i, c := range chosen {
		d.dumpOne(ctx, running, dumping{candidate: c, id: catalog.DumpID(d.result.ID, i+1), globals: globals, relay: relay})
	}
	return context.Cause(ctx)
}

// readGlobals reads what dumps need of the cluster: its roles, without their passwords, which belong to no copy.
func (d *drill) readGlobals(ctx context.Context, relay *server.Relay) ([]byte, error) {
	p, err := startProgram(ctx, d.client(ctx, relay, sessionSettings(d.major()), "pg_dumpall", "postgres",
		"--globals-only", "--no-tablespaces", "--no-role-passwords"))
	if err != nil {
		return nil, fmt.Errorf("read the roles: %w", err)
	}
	defer p.kill()
	text, err := io.ReadAll(io.LimitReader(p, maxGlobals+1))
	if err == nil && len(text) > maxGlobals {
		err = fmt.Errorf("they are more than %d bytes", maxGlobals)
	}
	if err != nil {
		return nil, fmt.Errorf("read the roles: %w", err)
	}
	return text, nil
}

// dumping is one database on its way into the repository.
type dumping struct {
	candidate
	id      string
	globals []byte
	relay   *server.Relay
}

// dumpOne dumps one database and notes what came of it.
func (d *drill) dumpOne(ctx context.Context, running *server.Server, u dumping) {
	d.Progress(PhaseDump+" "+u.Name, 0, 0)
	started := d.Now()
	done := DumpedDatabase{Database: u.Name, Result: NotRun, Why: "it was not restored"}
	document, stored, err := d.store(ctx, running, u)
	done.DumpSeconds = d.Now().Sub(started).Seconds()
	if err != nil {
		done.Result, done.Why = verdictOfDump(err), "it could not be dumped: "+words(err)
	} else {
		done.ID, done.Bytes, done.StoredBytes, done.SHA256 = u.id, document.Archive.Size, stored, document.Archive.SHA256
		done.Tables, done.Rows = len(document.Tables), document.Rows()
		d.clock.addBytes(PhaseDump, done.Bytes)
		d.dumped.pending = append(d.dumped.pending, &pendingDump{Dump: document, place: len(d.result.Dumps), bytes: u.Bytes})
	}
	d.result.Dumps = append(d.result.Dumps, done)
}

// store counts a database, dumps it as a stream, and stores the document about it at last.
func (d *drill) store(ctx context.Context, running *server.Server, u dumping) (document *Dump, stored int64, err error) {
	holds, err := countRows(ctx, d.connect(running), u.Name)
	if err != nil {
		return nil, 0, err
	}
	w, err := d.Cluster.StartDump(ctx, u.id)
	if err != nil {
		return nil, 0, err
	}
	t := d.result.Target
	document = &Dump{
		ID: u.id, Drill: d.result.ID, Database: u.Name, PostgreSQL: d.result.Environment.PostgreSQL, PgDump: d.dumped.tools.version,
		TargetLSN: t.ReachedLSN, TargetTime: t.ReachedTime, Encoding: u.Encoding, Collate: u.Collate, CType: u.CType,
		LargeObjects: holds.largeObjects, Tables: holds.tables,
	}
	if document.Archive, err = d.storeArchive(ctx, u.relay, w, u.Name); err != nil {
		return nil, 0, err
	}
	globals := newCounted(bytes.NewReader(u.globals))
	if err := w.Store(ctx, catalog.DumpGlobals, globals); err != nil {
		return nil, 0, err
	}
	document.Globals = globals.content()
	body, err := json.Marshal(document)
	if err != nil {
		return nil, 0, fmt.Errorf("write the document of dump %s: %w", u.id, err)
	}
	return document, w.Stored(catalog.DumpArchive), w.Commit(ctx, body)
}

// storeArchive has pg_dump's output go into the repository as it comes.
func (d *drill) storeArchive(ctx context.Context, relay *server.Relay, w *catalog.DumpWriter, database string) (DumpContent, error) {
	p, err := startProgram(ctx, d.client(ctx, relay, sessionSettings(d.major()), "pg_dump", database,
		"--format=custom", "--compress=0", "--no-subscriptions", "--no-tablespaces", "--lock-wait-timeout="+lockPatience))
	if err != nil {
		return DumpContent{}, err
	}
	defer p.kill()
	archive := newCounted(p)
	if err := w.Store(ctx, catalog.DumpArchive, archive); err != nil {
		return DumpContent{}, err
	}
	return archive.content(), nil
}

// judgeDumps makes one check of all databases.
func (d *drill) judgeDumps() {
	var verdicts []Verdict
	var bytes, stored, rows int64
	wrong := ""
	tables := 0
	for _, u := range d.result.Dumps {
		verdicts = append(verdicts, u.Result)
		bytes, stored, rows, tables = bytes+u.Bytes, stored+u.StoredBytes, rows+u.Rows, tables+u.Tables
		if u.Result != Pass {
			wrong = also(wrong, u.Database+": "+u.Why)
		}
	}
	detail := fmt.Sprintf("%d databases (%s, %s stored) were dumped into the repository and restored from there, with all %d rows of %d tables, in %s",
		len(verdicts), size(bytes), size(stored), rows, tables, spell(d.clock.spent[PhaseDump].Round(time.Millisecond)))
	if wrong != "" {
		detail = wrong
	}
	d.checks.worsen(CheckDump, Worst(verdicts...), detail)
}
