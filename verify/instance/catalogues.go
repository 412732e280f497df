package instance

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// Catalogues reads every catalogue of a database in full, forms the definitions of its views, indexes, constraints,
// functions and so on from them, and follows every reference from one catalogue to another. No code of the database's
// runs. pg_largeobject is left out: it holds users' data.
//
// Bytes are those of the catalogues' texts, Objects their rows.
func Catalogues(ctx context.Context, connect Connect, database string) Finding {
	s, err := open(ctx, connect, database)
	if err != nil {
		return refused("read the catalogues", err)
	}
	defer s.close()
	l := &reading{session: s}
	for _, step := range []func(context.Context) error{l.readAll, l.formAll, l.followAll} {
		if err := step(ctx); err != nil {
			return refused("read the catalogues", err)
		}
	}
	return l.finding()
}

// reading is what was read so far, and what was wrong.
type reading struct {
	*session
	catalogues, definitions, references int64
	rows, bytes                         int64
	broken                              []string // damage
	leftOut                             []string // what could not be formed, which is no damage
}

func (r *reading) finding() Finding {
	detail := fmt.Sprintf("%d catalogues read, %s formed", r.catalogues, plural(r.definitions, "definition"))
	detail += fmt.Sprintf(", %d kinds of references followed", r.references)
	if len(r.leftOut) > 0 {
		detail += "; not formed: " + some(r.leftOut)
	}
	f := Finding{Result: Pass, Detail: detail, Bytes: r.bytes, Objects: r.rows}
	if len(r.broken) > 0 {
		f.Result = Fail
		f.Detail = some(r.broken) + "; look whether production has the same"
	}
	return f
}

// listCatalogues lists PostgreSQL's own tables with an expression that forms the texts of all their columns. Those of
// the pseudo-type anyarray hold values of users' types, whose output function may come from anywhere: only their length
// is asked for, which expands them as well. 16384 is the first OID that is not PostgreSQL's own.
const listCatalogues = `
SELECT c.relname::text, string_agg(
  CASE WHEN t.typname IN ('anyarray', '_pg_statistic') THEN format('coalesce(array_length(%I, 1), 0)', a.attname)
    ELSE format('coalesce(octet_length(%I::text), 0)', a.attname) END, ' + ' ORDER BY a.attnum)
FROM pg_class c
JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
JOIN pg_type t ON t.oid = a.atttypid
WHERE c.relnamespace = 'pg_catalog'::regnamespace AND c.relkind = 'r' AND c.oid < 16384 AND c.relname <> 'pg_largeobject'
GROUP BY c.oid, c.relname ORDER BY c.relname`

// readAll reads every row of every catalogue.
func (r *reading) readAll(ctx context.Context) error {
	rows, err := r.Query(ctx, listCatalogues, pgx.QueryExecModeExec)
	if err != nil {
		return err
	}
	list, err := pgx.CollectRows(rows, pgx.RowToStructByPos[struct{ Name, Lengths string }])
	if err != nil {
		return err
	}
	for _, c := range list {
		n, bytes, err := r.count(ctx, "SELECT count(*), coalesce(sum("+c.Lengths+"), 0)::bigint FROM ONLY "+pgx.Identifier{"pg_catalog", c.Name}.Sanitize())
		if err := r.note(c.Name, err); err != nil {
			return err
		}
		r.catalogues, r.rows, r.bytes = r.catalogues+1, r.rows+n, r.bytes+bytes
	}
	return nil
}

// note keeps what an error says about one thing; one that says nothing about it is returned.
func (r *reading) note(what string, err error) error {
	if err == nil {
		return nil
	}
	switch faultOf(err) {
	case damage:
		r.broken = append(r.broken, what+": "+words(err))
	case foreign:
		r.leftOut = append(r.leftOut, what+", which needs a library that this host lacks")
	case locked:
		r.leftOut = append(r.leftOut, what+", which a transaction that has not ended holds")
	case unknown:
		return err
	}
	return nil
}
