package census

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"
)

// relation is a table, a leaf of a partitioned table, a materialized view or a foreign table, as the transaction's
// snapshot sees it.
type relation struct {
	oid          uint32
	schema, name string
	kind         string // pg_class.relkind
	unlogged     bool
	populated    bool
	usable       bool   // USAGE on its schema
	selectable   bool   // SELECT on all of it
	secured      bool   // row-level security would hide rows
	filenode     uint32 // what its storage is called; TRUNCATE and rewrites change it
	columns      []string
	shape        string // numbers and types of the columns
}

// listRelations leaves out what is PostgreSQL's own, except for pg_largeobject and pg_largeobject_metadata (2613 and
// 2995), and what is temporary. Virtual generated columns (since version
// 18) are left out too: they hold nothing. The largest tables come first.
const listRelations = `
SELECT c.oid, n.nspname::text, c.relname::text, c.relkind::text, c.relpersistence = 'u', c.relispopulated,
  coalesce(has_schema_privilege(n.oid, 'USAGE'), false), coalesce(has_table_privilege(c.oid, 'SELECT'), false),
  coalesce(row_security_active(c.oid), false), c.relfilenode,
  coalesce(a.names, '{}'), coalesce(a.shape, '')
FROM pg_class c
JOIN pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN LATERAL (
  SELECT array_agg(attname::text ORDER BY attnum) AS names,
    string_agg(concat_ws(' ', attnum, atttypid::oid::text, attcollation::oid::text), ',' ORDER BY attnum) AS shape
  FROM pg_attribute
  WHERE attrelid = c.oid AND attnum > 0 AND NOT attisdropped AND attgenerated <> 'v'
) a ON true
WHERE c.relkind IN ('r', 'm', 'f') AND c.relpersistence <> 't'
  AND (n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast') OR c.oid IN (2613, 2995))
ORDER BY c.relpages DESC, c.oid`

// queryRelations lists the relations of the session's database that the transaction's snapshot sees.
func queryRelations(ctx context.Context, conn *pgx.Conn) ([]relation, error) {
	rows, err := conn.Query(ctx, listRelations)
	if err != nil {
		return nil, fmt.Errorf("list tables: %w", err)
	}
	relations, err := pgx.CollectRows(rows, scanRelation)
	if err != nil {
		return nil, fmt.Errorf("list tables: %w", err)
	}
	return relations, nil
}

func scanRelation(row pgx.CollectableRow) (relation, error) {
	var r relation
	err := row.Scan(&r.oid, &r.schema, &r.name, &r.kind, &r.unlogged, &r.populated, &r.usable, &r.selectable,
		&r.secured, &r.filenode, &r.columns, &r.shape)
	return r, err
}

// quoted is the relation's name in SQL.
func (r relation) quoted() string { return pgx.Identifier{r.schema, r.name}.Sanitize() }

// absence says why a physical copy does not have the relation's rows; empty if it has.
func (r relation) absence() string {
	switch {
	case r.kind == "f":
		return "foreign table: its rows are elsewhere"
	case r.unlogged:
		return "unlogged: recovery empties it"
	case r.kind == "m" && !r.populated:
		return "materialized view that is not populated"
	}
	return ""
}

// obstacle says why the relation's rows cannot be counted by this role; empty if they can.
func (r relation) obstacle() string {
	switch {
	case !r.usable:
		return "no USAGE privilege on schema " + pgx.Identifier{r.schema}.Sanitize()
	case !r.selectable:
		return "no SELECT privilege"
	case r.secured:
		return "row-level security hides rows from this role: it needs BYPASSRLS"
	}
	return ""
}

// splitRelations separates what can be compared with a physical copy from what cannot.
func splitRelations(relations []relation) (tables []relation, skipped []Skipped) {
	for _, r := range relations {
		if why := r.absence(); why != "" {
			skipped = append(skipped, Skipped{OID: r.oid, Schema: r.schema, Name: r.name, Why: why})
		} else {
			tables = append(tables, r)
		}
	}
	slices.SortFunc(skipped, func(a, b Skipped) int {
		return cmp.Or(cmp.Compare(a.Schema, b.Schema), cmp.Compare(a.Name, b.Name))
	})
	return tables, skipped
}
