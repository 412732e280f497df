package instance

import (
	"context"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
)

// reference is a rule that columns of one catalogue name a row of another one.
type reference struct {
	From    string
	Columns []string
	To      string
	Keys    []string
	IsArray bool // the last column is an array, each of whose elements names a row
	IsOpt   bool // 0 names none
}

// listReferences asks PostgreSQL for its own list, which it has since version 14. What refers to large objects is left
// out with them.
const listReferences = `
SELECT fktable::text AS from, fkcols AS columns, pktable::text AS to, pkcols AS keys, is_array, is_opt
FROM pg_get_catalog_foreign_keys() WHERE fktable <> 'pg_catalog.pg_largeobject'::regclass ORDER BY 1, 2, 3`

// firstWithReferences is the first version that can list its references.
const firstWithReferences = 140000

// dangling are rules that PostgreSQL's list does not have. Each query gives the number of rows that break one, and the
// lowest of their OIDs.
var dangling = []struct{ what, sql string }{
	{"relations whose columns are not those that pg_class counts", `
SELECT count(*), coalesce(min(c.oid::bigint), 0) FROM pg_class c
WHERE c.relnatts <> (SELECT count(*) FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0)`},
	{"indexes that pg_index does not have", `
SELECT count(*), coalesce(min(c.oid::bigint), 0) FROM pg_class c
WHERE c.relkind IN ('i', 'I') AND NOT EXISTS (SELECT FROM pg_index i WHERE i.indexrelid = c.oid)`},
}

// followAll looks for references to what is not there.
func (r *reading) followAll(ctx context.Context) error {
	for _, d := range dangling {
		if err := r.follow(ctx, d.what, d.sql); err != nil {
			return err
		}
	}
	if err := r.followDependencies(ctx); err != nil || r.version < firstWithReferences {
		return err
	}
	rows, err := r.Query(ctx, listReferences, pgx.QueryExecModeExec)
	if err != nil {
		return err
	}
	list, err := pgx.CollectRows(rows, pgx.RowToStructByPos[reference])
	if err != nil {
		return err
	}
	for _, ref := range list {
		what := fmt.Sprintf("references from %s (%s) to rows that %s does not have", ref.From, strings.Join(ref.Columns, ", "), ref.To)
		if err := r.follow(ctx, what, ref.query()); err != nil {
			return err
		}
	}
	return nil
}

// followDependencies looks for entries of pg_depend whose object, or what that depends on, is not there. PostgreSQL's own
// functions that describe objects may crash on broken catalogues, so the rows themselves are looked for.
func (r *reading) followDependencies(ctx context.Context) error {
	for _, side := range []string{"", "ref"} {
		catalogues, err := r.strings(ctx, fmt.Sprintf("SELECT DISTINCT %[1]sclassid::regclass::text FROM pg_depend WHERE %[1]sclassid <> 0", side))
		if err != nil {
			return r.note("pg_depend", err)
		}
		for _, catalogue := range catalogues {
			what := fmt.Sprintf("entries of pg_depend (%sobjid) to rows that %s does not have", side, catalogue)
			err := r.follow(ctx, what, fmt.Sprintf(`
SELECT count(*), coalesce(min(d.%[1]sobjid::bigint), 0) FROM pg_depend d
WHERE d.%[1]sclassid = '%[2]s'::regclass AND NOT EXISTS (SELECT FROM %[2]s o WHERE o.oid = d.%[1]sobjid)`, side, catalogue))
			if err != nil {
				return err
			}
		}
	}
	return nil
}

func (r *reading) follow(ctx context.Context, what, sql string) error {
	n, first, err := r.count(ctx, sql)
	if err != nil {
		return r.note(what, err)
	}
	r.references++
	if n > 0 {
		r.broken = append(r.broken, fmt.Sprintf("%d %s, such as %d", n, what, first))
	}
	return nil
}

// query counts the rows that name nothing, and gives the lowest value that does.
func (f reference) query() string {
	var columns, conditions, matches []string
	for i, column := range f.Columns {
		name, expression := fmt.Sprintf("k%d", i), pgx.Identifier{column}.Sanitize()
		if f.IsArray && i == len(f.Columns)-1 {
			expression = "unnest(" + expression + ")"
		}
		columns = append(columns, expression+" AS "+name)
		conditions = append(conditions, name+" IS NOT NULL")
		if f.IsOpt {
			conditions = append(conditions, name+" <> 0")
		}
		matches = append(matches, fmt.Sprintf("p.%s = f.%s", pgx.Identifier{f.Keys[i]}.Sanitize(), name))
	}
	return fmt.Sprintf("SELECT count(*), coalesce(min(k%d::bigint), 0) FROM (SELECT %s FROM %s) AS f WHERE %s AND NOT EXISTS (SELECT FROM %s AS p WHERE %s)",
		len(f.Columns)-1, strings.Join(columns, ", "), f.From, strings.Join(conditions, " AND "), f.To, strings.Join(matches, " AND "))
}
