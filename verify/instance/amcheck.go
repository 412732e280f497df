package instance

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// Amcheck says how heaps and indexes are examined.
type Amcheck struct {
	// HeapAllIndexed looks in each B-tree for every row of its table, too. It takes several times as long.
	HeapAllIndexed bool

	// Shared includes the catalogues that all databases share: once is enough.
	Shared bool
}

// ErrNoAmcheck says that the server's programs come without the extension amcheck.
var ErrNoAmcheck = errors.New("this host's PostgreSQL comes without the extension amcheck, which is part of contrib")

// Relations examines every heap, TOAST tables included, every B-tree and, from version 18 on, every GIN index of a
// database with PostgreSQL's own extension amcheck (https://www.postgresql.org/docs/current/amcheck.html). Connect's
// sessions must be able to write: the extension is created in a transaction that is rolled back, in place of the
// database's own, and event triggers are off in it.
//
// Indexes whose comparison is a user's own code are left out, and so are those in the order of a collation that has
// another version on this host. Where the extension is not there the finding is NotRun.
func Relations(ctx context.Context, connect Connect, database string, o Amcheck) Finding {
	const doing = "examine heaps and indexes"
	s, err := open(ctx, connect, database)
	if err != nil {
		return refused(doing, err)
	}
	defer s.close()
	e := &examination{session: s, options: o}
	if err := e.prepare(ctx); err != nil {
		if errors.Is(err, ErrNoAmcheck) {
			return found(NotRun, "%s", err)
		}
		return refused(doing, err)
	}
	for _, step := range []func(context.Context) error{e.examineHeaps, e.examineIndexes} {
		if err := step(ctx); err != nil {
			return refused(doing, err)
		}
	}
	return e.finding()
}

// examination is what was examined so far, and what was wrong.
type examination struct {
	*session
	options        Amcheck
	stale          []stale
	heaps, indexes int64
	bytes          int64
	broken         []string
	leftOut        []string
	staleLeftOut   bool
}

// schema is where the extension's functions are.
const schema = "lifeboat_amcheck"

// prepare opens the transaction and creates the extension in it.
func (e *examination) prepare(ctx context.Context) error {
	if err := e.trustSystemOnly(ctx); err != nil {
		return err
	}
	known, _, err := e.count(ctx, "SELECT count(*), 0 FROM pg_available_extensions WHERE name = 'amcheck'")
	if err != nil {
		return err
	}
	if known == 0 {
		return ErrNoAmcheck
	}
	if e.stale, err = e.staleCollations(ctx); err != nil {
		return err
	}
	if _, err := e.Exec(ctx, "BEGIN READ WRITE"); err != nil {
		return err
	}
	if err := e.silenceTriggers(ctx); err != nil {
		return err
	}
	_, err = e.Exec(ctx, "DROP EXTENSION IF EXISTS amcheck CASCADE; CREATE SCHEMA "+schema+"; CREATE EXTENSION amcheck SCHEMA "+schema)
	if faultOf(err) == foreign {
		return ErrNoAmcheck
	}
	return err
}

// trustSystemOnly lets extensions and libraries come from the installation only, whatever settings the role has.
func (e *examination) trustSystemOnly(ctx context.Context) error {
	_, err := e.Exec(ctx, `SELECT set_config(name, CASE name WHEN 'dynamic_library_path' THEN '$libdir' ELSE '$system' END, false)
FROM pg_settings WHERE name IN ('dynamic_library_path', 'extension_control_path')`)
	return err
}

// silenceTriggers turns event triggers off, those that are always enabled, too. There are none for changes of event
// triggers themselves (https://www.postgresql.org/docs/current/event-trigger-definition.html).
func (e *examination) silenceTriggers(ctx context.Context) error {
	names, err := e.strings(ctx, "SELECT format('%I', evtname) FROM pg_event_trigger WHERE evtenabled <> 'D'")
	if err != nil {
		return err
	}
	for _, name := range names {
		if _, err := e.Exec(ctx, "ALTER EVENT TRIGGER "+name+" DISABLE"); err != nil {
			return err
		}
	}
	return nil
}

// heap is a relation whose rows can be examined.
type heap struct {
	OID   uint32
	Name  string
	Bytes int64
}

// listHeaps leaves out what recovery empties, and temporary tables, whose files no backup has. 2 is the OID of the
// access method heap.
const listHeaps = `
SELECT c.oid, c.oid::regclass::text, coalesce(pg_relation_size(c.oid), 0) FROM pg_class c
WHERE c.relkind IN ('r', 'm', 't') AND c.relam = 2 AND c.relpersistence = 'p' AND ($1 OR NOT c.relisshared) ORDER BY c.oid`

// firstWithHeaps is the first version whose amcheck examines heaps.
const firstWithHeaps = 140000

func (e *examination) examineHeaps(ctx context.Context) error {
	if e.version < firstWithHeaps {
		return nil
	}
	rows, err := e.Query(ctx, listHeaps, pgx.QueryExecModeExec, e.options.Shared)
	if err != nil {
		return err
	}
	list, err := pgx.CollectRows(rows, pgx.RowToStructByPos[heap])
	if err != nil {
		return err
	}
	for _, h := range list {
		var complaints []string
		err := e.attempt(ctx, func() (err error) {
			complaints, err = e.strings(ctx, "SELECT format('block %s, item %s: %s', blkno, offnum, msg) FROM "+schema+
				".verify_heapam(relation := $1::oid, on_error_stop := false, check_toast := true, skip := 'none') LIMIT 100", h.OID)
			return err
		})
		if err := e.note(h.Name, complaints, err); err != nil {
			return err
		}
		e.heaps, e.bytes = e.heaps+1, e.bytes+h.Bytes
	}
	return nil
}

// attempt runs a query that may fail without ending the transaction.
func (e *examination) attempt(ctx context.Context, query func() error) error {
	if _, err := e.Exec(ctx, "SAVEPOINT relation"); err != nil {
		return err
	}
	err := query()
	if ctx.Err() != nil || e.IsClosed() {
		return err
	}
	if _, end := e.Exec(ctx, "ROLLBACK TO SAVEPOINT relation; RELEASE SAVEPOINT relation"); end != nil {
		return end
	}
	return err
}

// note keeps what was found out about one relation. An error that says nothing about it is returned.
func (e *examination) note(name string, complaints []string, err error) error {
	if err == nil {
		if len(complaints) > 0 {
			e.broken = append(e.broken, fmt.Sprintf("%s: %s (%s)", name, complaints[0], plural(int64(len(complaints)), "complaint")))
		}
		return nil
	}
	switch faultOf(err) {
	case damage:
		e.broken = append(e.broken, name+": "+words(err))
	case foreign:
		e.leftOut = append(e.leftOut, name+", which needs a library that this host lacks")
	case locked:
		e.leftOut = append(e.leftOut, name+", which a prepared transaction holds")
	case unknown:
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

func (e *examination) finding() Finding {
	depth := "B-trees and their order"
	if e.options.HeapAllIndexed {
		depth = "B-trees, their order, and every row in them"
	}
	detail := fmt.Sprintf("%s and %d indexes (%s)", plural(e.heaps, "heap"), e.indexes, depth)
	if len(e.leftOut) > 0 {
		detail += "; left out: " + some(e.leftOut)
	}
	f := Finding{Result: Pass, Detail: detail, Bytes: e.bytes, Objects: e.heaps + e.indexes}
	if e.staleLeftOut {
		f.Result = Warn
	}
	if len(e.broken) > 0 {
		f.Result, f.Detail = Fail, some(e.broken)
	}
	return f
}
