package census

import (
	"slices"
	"strconv"
	"testing"

	"lifeboat/internal/pgtest"
)

// everyKind makes one relation of each kind that a census meets.
const everyKind = `
CREATE TABLE nothing_in_it (id int);
CREATE TABLE no_columns (); INSERT INTO no_columns DEFAULT VALUES; INSERT INTO no_columns DEFAULT VALUES;
CREATE SCHEMA "S ""p"; CREATE TABLE "S ""p"."wéird' ""na
me$1" ("co""l umn" text, "ROW" int); INSERT INTO "S ""p"."wéird' ""na
me$1" SELECT 'ü' || i, i FROM generate_series(1, 100) i;
CREATE TABLE parted (id int, v text) PARTITION BY RANGE (id);
CREATE TABLE parted_low PARTITION OF parted FOR VALUES FROM (0) TO (50);
CREATE TABLE parted_high PARTITION OF parted FOR VALUES FROM (50) TO (1000);
INSERT INTO parted SELECT i, i::text FROM generate_series(0, 199) i;
CREATE TABLE parent (id int); CREATE TABLE child () INHERITS (parent);
INSERT INTO parent VALUES (1); INSERT INTO child SELECT generate_series(1, 7);
CREATE MATERIALIZED VIEW view_of AS SELECT id * 2 AS twice FROM parted;
CREATE MATERIALIZED VIEW view_empty AS SELECT 1 AS one WITH NO DATA;
CREATE UNLOGGED TABLE forgetful AS SELECT 1 AS one;
CREATE FOREIGN DATA WRAPPER nowhere; CREATE SERVER far FOREIGN DATA WRAPPER nowhere;
CREATE FOREIGN TABLE elsewhere (id int) SERVER far;
CREATE TYPE mood AS ENUM ('glad', 'sad'); CREATE TYPE pair AS (a int, b text); CREATE DOMAIN small AS int CHECK (VALUE < 1000);
CREATE TABLE types (j json, jb jsonb, a int[], t text[], b bytea, r int4range, p pair, m mood, s small, f float8, n numeric,
  c money, i interval, ts timestamptz, d date, ip inet, u uuid, bits bit varying, pt point, cls regclass, nul text,
  total int GENERATED ALWAYS AS (s * 2) STORED);
INSERT INTO types SELECT json_build_object('i', i), jsonb_build_object('x', i::text), ARRAY[i, i + 1], ARRAY['a,"b', NULL],
  decode(md5(i::text), 'hex'), int4range(i, i + 5), ROW(i, 'b (' || i)::pair, 'glad', i, i / 3.0::float8, 'NaN', i, make_interval(days => i),
  '2024-01-15 14:46:00+00'::timestamptz + make_interval(hours => i), '2024-01-15', '10.0.0.1', md5(i::text)::uuid, B'1011', point(i, 1),
  'pg_class', NULL FROM generate_series(1, 200) i;
CREATE TABLE toasted AS SELECT i AS id, string_agg(md5((i * j)::text), '') AS long FROM generate_series(1, 20) i, generate_series(1, 500) j GROUP BY i;
CREATE TABLE lost_column (a int, b int, c text); INSERT INTO lost_column SELECT i, i, i FROM generate_series(1, 50) i;
ALTER TABLE lost_column DROP COLUMN b; ALTER TABLE lost_column ADD COLUMN d int DEFAULT 5;
CREATE TABLE updated (id int, v int); INSERT INTO updated SELECT i, 0 FROM generate_series(1, 5000) i;
UPDATE updated SET v = id WHERE id % 3 = 0; DELETE FROM updated WHERE id % 5 = 0;
CREATE TABLE secured AS SELECT i AS id FROM generate_series(1, 9) i; ALTER TABLE secured ENABLE ROW LEVEL SECURITY; ALTER TABLE secured FORCE ROW LEVEL SECURITY;
SELECT lo_from_bytea(0, decode(repeat('ab', 5000), 'hex')) FROM generate_series(1, 4);
CREATE SEQUENCE numbers; CREATE VIEW plain_view AS SELECT 1 AS one;`

// Collations of ICU are only there where the server was built with it.
const nondeterministic = `
CREATE COLLATION loose (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
CREATE TABLE loosely (name text COLLATE loose); INSERT INTO loosely VALUES ('a'), ('A'), ('b');`

const virtualColumn = `CREATE TABLE virtual (a int, twice int GENERATED ALWAYS AS (a * 2) VIRTUAL); INSERT INTO virtual VALUES (1), (2);`

// startKinds makes a server with every kind of relation, and segments so small that a census reads several.
func startKinds(t *testing.T, install pgtest.Install) *primary {
	t.Helper()
	ctx := deadline(t)
	p := startPrimary(t, install, pgtest.Options{WALSegmentMB: 1})
	p.Exec(ctx, everyKind)
	if p.Value(ctx, "SELECT count(*) > 0 FROM pg_collation WHERE collprovider = 'i'") == "t" {
		p.Exec(ctx, nondeterministic)
	}
	if install.Major >= 18 {
		p.Exec(ctx, virtualColumn)
	}
	return p
}

func TestEveryKindOfTableIsCountedAndCompared(t *testing.T) {
	t.Parallel()
	pgtest.Each(t, func(t *testing.T, install pgtest.Install) {
		ctx := deadline(t)
		p := startKinds(t, install)
		p.copy(ctx)
		whole := p.census(ctx, "whole")
		o := p.options(ctx, "sampled")
		o.SampleBudget, o.CountBudget = 64<<10, 128<<10
		sampled, err := Take(ctx, o)
		if err != nil {
			t.Fatal(err)
		}
		p.flushArchive(ctx)
		p.checkKinds(whole.database(t, "postgres"))
		checkSamples(t, whole.database(t, "postgres"), sampled.database(t, "postgres"))
		p.proveExact(whole)
		p.proveExact(sampled)
	})
}

// checkKinds checks a census against plain counting.
func (p *primary) checkKinds(d Database) {
	p.t.Helper()
	ctx := deadline(p.t)
	for _, table := range d.Tables {
		if table.Comparable != Exact || table.Fingerprint == "" || table.Sample != nil {
			p.t.Errorf("%s: %+v", table.Name, table)
		}
		r := relation{schema: table.Schema, name: table.Name}
		if got := p.Value(ctx, "SELECT count(*) FROM ONLY "+r.quoted()); got != strconv.FormatInt(table.Rows, 10) {
			p.t.Errorf("%s: %d rows in the census, %s in the table", table.Name, table.Rows, got)
		}
	}
	for _, name := range []string{"nothing_in_it", "no_columns", "wéird' \"na\nme$1", "parted_low", "parted_high", "parent", "child", "view_of", "types", "toasted", "secured",
		"pg_largeobject", "pg_largeobject_metadata"} {
		d.table(p.t, name)
	}
	if got, want := skippedNames(d), []string{"elsewhere", "forgetful", "view_empty"}; !slices.Equal(got, want) {
		p.t.Errorf("skipped %v, not %v", got, want)
	}
	if slices.ContainsFunc(d.Tables, func(t Table) bool { return t.Name == "parted" || t.Name == "numbers" || t.Name == "plain_view" }) {
		p.t.Error("what holds no rows was counted")
	}
}

func skippedNames(d Database) []string {
	var list []string
	for _, s := range d.Skipped {
		list = append(list, s.Name)
	}
	return list
}

func checkSamples(t *testing.T, whole, sampled Database) {
	t.Helper()
	large := sampled.table(t, "updated")
	if large.Sample == nil || !large.Sample.Rows || large.Rows >= whole.table(t, "updated").Rows {
		t.Errorf("a table beyond both budgets: %+v", large)
	}
	if small := sampled.table(t, "child"); small.Sample != nil || small.Fingerprint != whole.table(t, "child").Fingerprint {
		t.Errorf("a table within the budget: %+v", small)
	}
}
