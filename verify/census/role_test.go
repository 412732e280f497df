package census

import (
	"context"
	"path/filepath"
	"strings"
	"testing"

	"lifeboat/internal/pgtest"
)

const secrets = `
CREATE ROLE reader LOGIN; CREATE ROLE owner;
CREATE TABLE open (id int); INSERT INTO open VALUES (1), (2); GRANT SELECT ON open TO reader;
CREATE TABLE closed (id int); INSERT INTO closed VALUES (1);
CREATE TABLE by_column (id int, secret int); GRANT SELECT (id) ON by_column TO reader;
CREATE TABLE by_row (id int); INSERT INTO by_row VALUES (1), (2); GRANT SELECT ON by_row TO reader;
ALTER TABLE by_row ENABLE ROW LEVEL SECURITY; CREATE POLICY one ON by_row USING (id = 1);
CREATE SCHEMA inner_room; CREATE TABLE inner_room.hidden (id int); GRANT SELECT ON inner_room.hidden TO reader;
CREATE ROLE everywhere LOGIN; GRANT pg_read_all_data TO everywhere;
GRANT EXECUTE ON FUNCTION pg_create_restore_point(text) TO reader, everywhere;
CREATE FUNCTION public.count(bigint) RETURNS bigint LANGUAGE sql AS 'SELECT 0::bigint';
CREATE FUNCTION public.pg_current_snapshot() RETURNS text LANGUAGE sql AS $$SELECT 'trap'::text$$;
ALTER ROLE reader SET search_path = public, pg_catalog; ALTER ROLE reader SET "DateStyle" = 'German';
SELECT lo_from_bytea(0, 'large'); CREATE SEQUENCE numbers; SELECT nextval('numbers');
ALTER ROLE everywhere SET statement_timeout = 500; ALTER ROLE everywhere SET row_security = on;`

// TestSelectIsEnough takes a census as roles without any other right.
func TestSelectIsEnough(t *testing.T) {
	t.Parallel()
	pgtest.Each(t, func(t *testing.T, install pgtest.Install) {
		ctx := deadline(t)
		p := startPrimary(t, install, pgtest.Options{})
		p.Exec(ctx, secrets)
		p.Exec(ctx, "CREATE DATABASE private")
		p.Exec(ctx, "REVOKE CONNECT ON DATABASE private FROM PUBLIC")
		reader := p.censusAs(ctx, "reader")
		d := reader.database(t, "postgres")
		if got := d.table(t, "open"); got.Comparable != Exact || got.Rows != 2 || d.Cut == nil {
			t.Errorf("what it may read: %+v, cut %v", got, d.Cut)
		}
		for name, why := range map[string]string{
			"closed": "no SELECT", "by_column": "no SELECT", "by_row": "row-level security", "pg_largeobject": "no SELECT", "hidden": "no USAGE privilege on schema",
		} {
			if got := d.table(t, name); got.Comparable != None || !strings.Contains(got.Why, why) {
				t.Errorf("%s: %+v", name, got)
			}
		}
		if s := d.Details.Sequences; len(s) != 1 || s[0].Last != nil {
			t.Errorf("a sequence that it may not read: %+v", s)
		}
		if got := reader.database(t, "private"); !got.Snapshot.IsZero() || got.Why != "no CONNECT privilege" {
			t.Errorf("a database that it may not enter: %+v", got)
		}
		d = p.censusAs(ctx, "everywhere").database(t, "postgres")
		for _, name := range []string{"open", "closed", "by_column", "hidden", "pg_largeobject", "pg_largeobject_metadata"} {
			if got := d.table(t, name); got.Comparable != Exact {
				t.Errorf("with pg_read_all_data, %s: %+v", name, got)
			}
		}
		if s := d.Details.Sequences; len(s) != 1 || s[0].Last == nil {
			t.Errorf("with pg_read_all_data, sequences %+v", s)
		}
		if got := d.table(t, "by_row"); got.Comparable != None {
			t.Errorf("with pg_read_all_data, by_row: %+v", got)
		}
	})
}

func (p *primary) censusAs(ctx context.Context, role string) *Census {
	p.t.Helper()
	o := p.options(ctx, role)
	o.Connect = connectAs(p.Cluster, role)
	c, err := Take(ctx, o)
	if err != nil {
		p.t.Fatal(err)
	}
	return c
}

// TestCensusIsRefused is about servers and directories that are not those meant.
func TestCensusIsRefused(t *testing.T) {
	t.Parallel()
	ctx := deadline(t)
	p := startPrimary(t, pgtest.Newest(t), pgtest.Options{OwnIdentity: true})
	other := startPrimary(t, pgtest.Newest(t), pgtest.Options{OwnIdentity: true})
	p.Exec(ctx, "CREATE ROLE nobody_special LOGIN")
	for _, c := range []struct {
		name   string
		change func(*Options)
		want   string
	}{
		{"another cluster", func(o *Options) { o.Identity.SystemIdentifier++ }, "the server is cluster"},
		{"another cluster's pg_wal", func(o *Options) { o.WALDirectory = filepath.Join(other.DataDir, "pg_wal") }, "belongs to cluster"},
		{"no such directory", func(o *Options) { o.WALDirectory = "/nowhere" }, "no longer in pg_wal"},
		{"no right to make restore points", func(o *Options) { o.Connect = connectAs(p.Cluster, "nobody_special") }, "pg_create_restore_point"},
		{"no id", func(o *Options) { o.ID = "" }, "id"},
		{"an id beyond a restore point's name", func(o *Options) { o.ID = strings.Repeat("x", 41) }, "id"},
	} {
		o := p.options(ctx, "refused")
		c.change(&o)
		if _, err := Take(ctx, o); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}
