package instance

import (
	"fmt"
	"strings"
	"testing"

	"lifeboat/internal/pgtest"
)

// TestBrokenCataloguesAreFound takes single rows out of catalogues, each in a database of its own.
func TestBrokenCataloguesAreFound(t *testing.T) {
	t.Parallel()
	pgtest.Each(t, func(t *testing.T, install pgtest.Install) {
		ctx := t.Context()
		c := pgtest.Start(t, install, pgtest.Options{Settings: map[string]string{"allow_system_table_mods": "on", "autovacuum": "off"}})
		number := 0
		for name, tc := range map[string]struct{ sql, says string }{
			"nothing":                {"", ""},
			"a table's column":       {"DELETE FROM pg_attribute WHERE attrelid = 'orders'::regclass AND attname = 'note'", "relations whose columns"},
			"a table":                {"DELETE FROM pg_class WHERE relname = 'orders'", "to rows that pg_class does not have"},
			"an index's description": {"DELETE FROM pg_index WHERE indexrelid = 'orders_pkey'::regclass", "indexes that pg_index does not have"},
			"a type":                 {"DELETE FROM pg_type WHERE typname = 'mood'", "to rows that pg_type does not have"},
			"a namespace":            {"DELETE FROM pg_namespace WHERE nspname = 'apart'", "to rows that pg_namespace does not have"},
			"a view's rule":          {"DELETE FROM pg_rewrite WHERE ev_class = 'recent'::regclass", "recent has no definition"},
			"a function's language":  {"UPDATE pg_proc SET prolang = 999999 WHERE proname = 'twice'", "to rows that pg_language does not have"},
			"what something needs":   {"DELETE FROM pg_ts_dict WHERE dictname = 'mine'", "entries of pg_depend"},
		} {
			number++
			database := fmt.Sprintf("broken_%d", number)
			c.Exec(ctx, "CREATE DATABASE "+database)
			conn, err := c.Connect(ctx, database)
			if err != nil {
				t.Fatal(err)
			}
			_, err = conn.Exec(ctx, `CREATE TYPE mood AS ENUM ('glad', 'sad'); CREATE SCHEMA apart; CREATE TABLE apart.inside (id int);
CREATE TABLE orders (id int PRIMARY KEY, m mood, note text); CREATE VIEW recent AS SELECT id FROM orders;
CREATE FUNCTION twice(i int) RETURNS int LANGUAGE sql AS 'SELECT 2 * i'; CREATE TEXT SEARCH DICTIONARY mine (TEMPLATE = simple);`+tc.sql)
			if err := conn.Close(ctx); err != nil {
				t.Fatal(err)
			}
			if err != nil {
				t.Fatal(err)
			}
			f := Catalogues(ctx, connector(c), database)
			want := Fail
			if tc.sql == "" {
				want = Pass
			}
			if f.Result != want || !strings.Contains(f.Detail, tc.says) {
				t.Errorf("%s: %s: %s; want %s and %q", name, f.Result, f.Detail, want, tc.says)
			}
		}
	})
}

func TestALayerThatCannotConnectProvesNothing(t *testing.T) {
	t.Parallel()
	c := pgtest.Start(t, pgtest.Newest(t), pgtest.Options{})
	for name, f := range map[string]Finding{
		"catalogues": Catalogues(t.Context(), connector(c), "nowhere"),
		"collations": Collations(t.Context(), connector(c), "nowhere"),
		"relations":  Relations(t.Context(), connector(c), "nowhere", Amcheck{}),
	} {
		if f.Result != Unproven || !strings.Contains(f.Detail, "nowhere") {
			t.Errorf("%s: %+v", name, f)
		}
	}
}
