package instance

import (
	"context"
	"fmt"
)

// definition is a kind of object whose definition PostgreSQL forms from the catalogues: the table that lists them, their
// OID there, the text, and which of them have one.
type definition struct{ kind, from, oid, text, where string }

var definitions = []definition{
	{"view", "pg_class", "oid", "pg_get_viewdef(oid)", "relkind IN ('v', 'm')"},
	{"rule", "pg_rewrite", "oid", "pg_get_ruledef(oid)", "true"},
	{"index", "pg_index", "indexrelid", "pg_get_indexdef(indexrelid)", "true"},
	{"constraint", "pg_constraint", "oid", "pg_get_constraintdef(oid)", "true"},
	{"function", "pg_proc", "oid", "pg_get_functiondef(oid)", "prokind <> 'a'"},
	{"trigger", "pg_trigger", "oid", "pg_get_triggerdef(oid)", "true"},
	{"default", "pg_attrdef", "oid", "pg_get_expr(adbin, adrelid)", "true"},
	{"partitioned table", "pg_partitioned_table", "partrelid", "pg_get_partkeydef(partrelid)", "true"},
	{"partition", "pg_class", "oid", "pg_get_expr(relpartbound, oid)", "relpartbound IS NOT NULL"},
	{"statistics object", "pg_statistic_ext", "oid", "pg_get_statisticsobjdef(oid)", "true"},
	{"policy", "pg_policy", "oid", "pg_get_expr(polqual, polrelid)", "polqual IS NOT NULL"},
	{"policy", "pg_policy", "oid", "pg_get_expr(polwithcheck, polrelid)", "polwithcheck IS NOT NULL"},
	{"type", "pg_type", "oid", "format_type(oid, NULL)", "true"},
}

// formAll forms the definitions of all objects: a kind at once, and one by one where that fails.
func (r *reading) formAll(ctx context.Context) error {
	for _, d := range definitions {
		all, formed, err := r.count(ctx, fmt.Sprintf("SELECT count(*), count(%s) FROM pg_catalog.%s WHERE %s", d.text, d.from, d.where))
		if err == nil && formed == all {
			r.definitions += all
			continue
		}
		if err != nil && faultOf(err) == unknown {
			return err
		}
		if err := r.formEach(ctx, d); err != nil {
			return err
		}
	}
	return nil
}

// describe names an object as PostgreSQL does, or by its OID where that fails.
func (r *reading) describe(ctx context.Context, d definition, oid string) string {
	class := d.from
	if d.from == "pg_index" || d.from == "pg_partitioned_table" {
		class = "pg_class"
	}
	names, err := r.strings(ctx, "SELECT pg_describe_object($1::regclass, $2::oid, 0)", class, oid)
	if err != nil || len(names) == 0 {
		return d.kind + " " + oid
	}
	return names[0]
}

// formEach finds which objects of a kind have no definition.
func (r *reading) formEach(ctx context.Context, d definition) error {
	oids, err := r.strings(ctx, fmt.Sprintf("SELECT %s::text FROM pg_catalog.%s WHERE %s", d.oid, d.from, d.where))
	if err != nil {
		return r.note(d.kind, err)
	}
	for _, oid := range oids {
		what := r.describe(ctx, d, oid)
		_, formed, err := r.count(ctx, fmt.Sprintf("SELECT count(*), count(%s) FROM pg_catalog.%s WHERE %s AND %s = %s::oid", d.text, d.from, d.where, d.oid, oid))
		switch {
		case err != nil:
			if err := r.note(what, err); err != nil {
				return err
			}
		case formed == 0:
			r.broken = append(r.broken, what+" has no definition")
		default:
			r.definitions++
		}
	}
	return nil
}
