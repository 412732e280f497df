package drill

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"

	"lifeboat/verify/census"
)

// candidate is a database of the scratch server.
type candidate struct {
	Name, Encoding, Collate, CType string
	Connectable, Template          bool
	Bytes                          int64
}

// candidates are all databases, by name.
func candidates(ctx context.Context, connect census.Connect) (map[string]candidate, error) {
	conn, err := connect(ctx, "")
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	rows, err := conn.Query(ctx, `SELECT datname::text, pg_encoding_to_char(encoding)::text, datcollate::text, datctype::text,
		datallowconn AND datconnlimit <> -2, datistemplate, pg_database_size(oid) FROM pg_database`)
	if err != nil {
		return nil, err
	}
	list, err := pgx.CollectRows(rows, pgx.RowToStructByPos[candidate])
	if err != nil {
		return nil, err
	}
	found := map[string]candidate{}
	for _, c := range list {
		found[c.Name] = c
	}
	return found, nil
}

// choose are the databases that the options name, in order; those that cannot be dumped are the reasons why.
func (o DumpOptions) choose(found map[string]candidate) (chosen []candidate, refused []DumpedDatabase) {
	for _, c := range found {
		if o.All && c.Connectable && !c.Template {
			chosen = append(chosen, c)
		}
	}
	for _, name := range o.Databases {
		c, there := found[name]
		switch {
		case !there:
			refused = append(refused, DumpedDatabase{Database: name, Result: Unproven, Why: "there is no such database at the target"})
		case !c.Connectable:
			refused = append(refused, DumpedDatabase{Database: name, Result: Unproven, Why: "it takes no connections"})
		default:
			chosen = append(chosen, c)
		}
	}
	slices.SortFunc(chosen, func(a, b candidate) int { return cmp.Compare(a.Name, b.Name) })
	return slices.CompactFunc(chosen, func(a, b candidate) bool { return a.Name == b.Name }), refused
}

// contents are what a database holds that a dump of it must bring back.
type contents struct {
	tables       []DumpTableCount
	largeObjects int64
}

// dumpedTables are the tables whose rows pg_dump takes: not unlogged and temporary ones, whose rows no backup holds, and
// not those of extensions, which the extension makes.
const dumpedTables = `SELECT n.nspname::text, c.relname::text, 0::bigint FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
	WHERE c.relkind = 'r' AND c.relpersistence = 'p' AND n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname !~ '^pg_toast'
	AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e') ORDER BY 1, 2`

// countRows counts a database's rows.
func countRows(ctx context.Context, connect census.Connect, database string) (contents, error) {
	var found contents
	conn, err := connect(ctx, database)
	if err != nil {
		return found, err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	rows, err := conn.Query(ctx, dumpedTables)
	if err != nil {
		return found, err
	}
	if found.tables, err = pgx.CollectRows(rows, pgx.RowToStructByPos[DumpTableCount]); err != nil {
		return found, err
	}
	for i := range found.tables {
		t := &found.tables[i]
		query := "SELECT count(*) FROM ONLY " + pgx.Identifier{t.Schema, t.Name}.Sanitize()
		if err := conn.QueryRow(ctx, query).Scan(&t.Rows); err != nil {
			return found, fmt.Errorf("count the rows of %s: %w", t, err)
		}
	}
	return found, conn.QueryRow(ctx, "SELECT count(*) FROM pg_largeobject_metadata").Scan(&found.largeObjects)
}

// differences are what is not the same in a restored database, in words.
func (c contents) differences(restored contents) []string {
	var differ []string
	rows := map[[2]string]int64{}
	for _, t := range restored.tables {
		rows[[2]string{t.Schema, t.Name}] = t.Rows
	}
	for _, t := range c.tables {
		n, there := rows[[2]string{t.Schema, t.Name}]
		switch {
		case !there:
			differ = append(differ, fmt.Sprintf("table %s did not come back", t))
		case n != t.Rows:
			differ = append(differ, fmt.Sprintf("table %s had %d rows and has %d", t, t.Rows, n))
		}
	}
	if c.largeObjects != restored.largeObjects {
		differ = append(differ, fmt.Sprintf("there were %d large objects and are %d", c.largeObjects, restored.largeObjects))
	}
	return differ
}
