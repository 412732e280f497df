package instance

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// index is one that amcheck can examine.
type index struct {
	OID        uint32
	Name       string
	Method     string // btree or gin
	Bytes      int64
	Stale      bool // in the order of a collation that has another version here
	Compared   bool // by code of a user
	Calculated bool // with code of a user
}

// listIndexes leaves out indexes that are not valid, of which nothing is promised. Code of a user is what is written in
// another language than C, so that it lies in the database: 12 and 13 are the OIDs of the languages internal and c
// (pg_language.dat). An index that calls some in an expression or a condition depends on it, or on an operator of it.
const listIndexes = `
SELECT c.oid, c.oid::regclass::text, m.amname::text, coalesce(pg_relation_size(c.oid), 0),
  i.indcollation::oid[] && $1::oid[],
  EXISTS (SELECT FROM unnest(i.indclass) AS class JOIN pg_opclass o ON o.oid = class
    JOIN pg_amproc f ON f.amprocfamily = o.opcfamily JOIN pg_proc p ON p.oid = f.amproc WHERE p.prolang NOT IN (12, 13)),
  EXISTS (SELECT FROM pg_depend d LEFT JOIN pg_operator o ON d.refclassid = 'pg_operator'::regclass AND o.oid = d.refobjid
    JOIN pg_proc p ON p.oid = CASE WHEN d.refclassid = 'pg_proc'::regclass THEN d.refobjid ELSE o.oprcode::oid END
    WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.refclassid IN ('pg_proc'::regclass, 'pg_operator'::regclass)
      AND p.prolang NOT IN (12, 13))
FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_am m ON m.oid = c.relam
WHERE c.relkind = 'i' AND m.amname = ANY ($2) AND c.relpersistence = 'p' AND i.indisvalid AND i.indisready AND i.indislive
  AND ($3 OR NOT c.relisshared)
ORDER BY c.oid`

// firstWithGIN is the first version whose amcheck examines GIN indexes.
const firstWithGIN = 180000

func (e *examination) examineIndexes(ctx context.Context) error {
	methods := []string{"btree"}
	if e.version >= firstWithGIN {
		methods = append(methods, "gin")
	}
	rows, err := e.Query(ctx, listIndexes, pgx.QueryExecModeExec, oidsOf(e.stale), methods, e.options.Shared)
	if err != nil {
		return err
	}
	list, err := pgx.CollectRows(rows, pgx.RowToStructByPos[index])
	if err != nil {
		return err
	}
	for _, i := range list {
		if err := e.examineIndex(ctx, i); err != nil {
			return err
		}
	}
	return nil
}

func (e *examination) examineIndex(ctx context.Context, i index) error {
	switch {
	case i.Stale:
		e.staleLeftOut = true
		e.leftOut = append(e.leftOut, i.Name+", whose collation has another version on this host")
		return nil
	case i.Compared:
		e.leftOut = append(e.leftOut, i.Name+", which is ordered by a function that the database holds")
		return nil
	}
	all := e.options.HeapAllIndexed && i.Method == "btree"
	if all && i.Calculated {
		e.leftOut = append(e.leftOut, "the rows in "+i.Name+", which a function that the database holds calculates")
		all = false
	}
	err := e.attempt(ctx, func() error {
		_, err := e.Exec(ctx, i.check(all), pgx.QueryExecModeExec, i.OID)
		return err
	})
	if err := e.note(i.Name, nil, err); err != nil {
		return err
	}
	e.indexes, e.bytes = e.indexes+1, e.bytes+i.Bytes
	return nil
}

// check is the query that ends in an error where the index is damaged.
func (i index) check(all bool) string {
	if i.Method == "gin" {
		return "SELECT " + schema + ".gin_index_check(index := $1::oid)"
	}
	return fmt.Sprintf("SELECT %s.bt_index_check(index := $1::oid, heapallindexed := %t)", schema, all)
}
