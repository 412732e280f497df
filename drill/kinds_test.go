package drill_test

import (
	"context"
	"strings"
	"testing"

	"lifeboat/drill"
	"lifeboat/internal/pgtest"
)

// kinds is one of everything that a drill must neither overlook nor take for a defect. What is written in PL/pgSQL here
// refuses to run on a scratch server, which does not archive.
const kinds = `
CREATE FUNCTION refuse() RETURNS void LANGUAGE plpgsql IMMUTABLE AS $$BEGIN
  IF current_setting('archive_mode') = 'off' THEN RAISE EXCEPTION 'code of the backup was run'; END IF; END$$;
CREATE FUNCTION twice(i int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$BEGIN PERFORM public.refuse(); RETURN 2 * i; END$$;
CREATE FUNCTION backwards(a int, b int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$BEGIN PERFORM public.refuse(); RETURN sign(b - a); END$$;
CREATE OPERATOR CLASS back FOR TYPE int USING btree AS OPERATOR 1 >, OPERATOR 2 >=, OPERATOR 3 =, OPERATOR 4 <=, OPERATOR 5 <,
  FUNCTION 1 backwards(int, int);
CREATE FUNCTION nothing() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN PERFORM public.refuse(); RETURN NEW; END$$;

CREATE TABLE parted (id int, v text) PARTITION BY RANGE (id);
CREATE TABLE parted_low PARTITION OF parted FOR VALUES FROM (0) TO (50);
CREATE TABLE parted_high PARTITION OF parted FOR VALUES FROM (50) TO (1000);
INSERT INTO parted SELECT i, i::text FROM generate_series(0, 199) i;
CREATE INDEX ON parted (v); CREATE INDEX ON parted USING hash (id); CREATE INDEX ON parted USING brin (id);
CREATE FOREIGN DATA WRAPPER nowhere; CREATE SERVER far FOREIGN DATA WRAPPER nowhere; CREATE FOREIGN TABLE elsewhere (id int) SERVER far;
CREATE UNLOGGED TABLE forgetful (id int PRIMARY KEY); INSERT INTO forgetful SELECT generate_series(1, 1000);
CREATE TABLE secured (id int, owner name DEFAULT current_user); INSERT INTO secured SELECT generate_series(1, 10);
ALTER TABLE secured ENABLE ROW LEVEL SECURITY; ALTER TABLE secured FORCE ROW LEVEL SECURITY; CREATE POLICY own ON secured USING (owner = 'nobody');
CREATE MATERIALIZED VIEW view_of AS SELECT id * 2 AS twice FROM parted; CREATE UNIQUE INDEX ON view_of (twice);
CREATE MATERIALIZED VIEW view_empty AS SELECT 1 AS one WITH NO DATA; CREATE VIEW plain_view AS SELECT * FROM view_of;
CREATE TABLE documents (j jsonb, words tsvector, p point, r int4range, EXCLUDE USING gist (r WITH &&));
INSERT INTO documents SELECT jsonb_build_object('i', i), to_tsvector('simple', i || ' word'), point(i, i), int4range(i * 10, i * 10 + 5) FROM generate_series(1, 300) i;
CREATE INDEX ON documents USING gin (j); CREATE INDEX ON documents USING gin (words); CREATE INDEX ON documents USING spgist (p);
CREATE TABLE toasted AS SELECT i AS id, string_agg(md5((i * j)::text), '') AS long FROM generate_series(1, 20) i, generate_series(1, 500) j GROUP BY i;
CREATE TABLE calculated AS SELECT i AS id FROM generate_series(1, 500) i; CREATE INDEX ON calculated (twice(id)); CREATE INDEX ON calculated (id back);
CREATE INDEX ON calculated (id) WHERE id > 10;
CREATE TRIGGER ever AFTER INSERT ON calculated FOR EACH ROW EXECUTE FUNCTION nothing(); ALTER TABLE calculated ENABLE ALWAYS TRIGGER ever;
CREATE TABLE narrowed (a int, b int, c text); INSERT INTO narrowed SELECT i, i, i FROM generate_series(1, 50) i; ALTER TABLE narrowed DROP COLUMN b;
CREATE EXTENSION hstore; CREATE EXTENSION citext; CREATE EXTENSION amcheck;
CREATE TABLE extended (h hstore, c citext PRIMARY KEY); INSERT INTO extended SELECT hstore('k', i::text), 'C' || i FROM generate_series(1, 200) i;
CREATE INDEX ON extended USING gin (h); CREATE VIEW of_extension AS SELECT h -> 'k' AS k FROM extended WHERE c = 'c7'::citext;
CREATE STATISTICS both_of ON a, c FROM narrowed; CREATE DOMAIN small AS int CHECK (VALUE < 1000); CREATE TYPE mood AS ENUM ('glad', 'sad');
CREATE TABLE serials (id int GENERATED ALWAYS AS IDENTITY, s small); INSERT INTO serials (s) SELECT generate_series(1, 40);
CREATE SEQUENCE unasked; CREATE SEQUENCE downward INCREMENT -1; CREATE SEQUENCE circle MAXVALUE 5 CYCLE; CREATE SEQUENCE restarted; CREATE SEQUENCE dropped_later;
SELECT nextval('downward'), nextval('circle'), nextval('restarted'), nextval('dropped_later') FROM generate_series(1, 40);
SELECT lo_from_bytea(0, decode(repeat('ab', 5000), 'hex')) FROM generate_series(1, 3);
CREATE TABLE dropped (id int); CREATE TABLE renamed (id int); CREATE TABLE locked (id int); CREATE VIEW of_locked AS SELECT id FROM locked;
CREATE TABLE prepared (id int PRIMARY KEY); ANALYZE;
CREATE FUNCTION refuse_commands() RETURNS event_trigger LANGUAGE plpgsql AS $$BEGIN PERFORM public.refuse(); END$$;
CREATE EVENT TRIGGER refuse_commands ON ddl_command_start EXECUTE FUNCTION refuse_commands(); ALTER EVENT TRIGGER refuse_commands ENABLE ALWAYS;`

// afterCensus is what changes between the census and the target.
const afterCensus = `DROP TABLE dropped; ALTER TABLE renamed RENAME TO called_otherwise; CREATE TABLE born_later AS SELECT 1 AS id;
DROP SEQUENCE dropped_later; ALTER SEQUENCE restarted RESTART; SELECT nextval('downward'); DROP EXTENSION citext CASCADE;`

// TestEveryKindPasses drills a database with one of everything, of which nothing is a defect.
func TestEveryKindPasses(t *testing.T) {
	t.Parallel()
	pgtest.Each(t, func(t *testing.T, install pgtest.Install) {
		s := newScene(t, install, map[string]string{"max_prepared_transactions": "5"})
		ctx := t.Context()
		session := s.server.Conn(ctx) // ends with the test
		run := func(sql string) {
			t.Helper()
			if _, err := session.Exec(ctx, sql); err != nil {
				t.Fatalf("%s: %v", sql, err)
			}
		}
		s.server.Exec(ctx, kinds)
		run("CREATE TEMPORARY TABLE fleeting AS SELECT generate_series(1, 1000) AS id; CREATE INDEX ON fleeting (id)")
		run("BEGIN; INSERT INTO prepared SELECT generate_series(1, 10); PREPARE TRANSACTION 'waiting'")
		s.backup()
		s.census()
		s.server.Exec(ctx, afterCensus)
		run("BEGIN; LOCK TABLE locked IN ACCESS EXCLUSIVE MODE; INSERT INTO locked VALUES (1)")
		s.archiveAll()
		o := s.options(t)
		o.Examination.Amcheck = drill.AmcheckHeapAllIndexed
		r := s.drill(t, o)
		if r.Verdict != drill.Pass || r.Rows.Comparison != "exact" {
			t.Errorf("verdict %s, comparison %s", r.Verdict, r.Rows.Comparison)
		}
		s.wantKinds(ctx, r)
		if t.Failed() {
			tell(t, r)
		}
	})
}

// wantKinds wants what a sound instance has to be told about, and large objects compared.
func (s *scene) wantKinds(_ context.Context, r *drill.Result) {
	s.t.Helper()
	for name, says := range map[string]string{
		"sequences": "2 of them had given nothing, or begin anew", "extensions": "4 extensions as in the census",
		"catalogues":        "view public.of_locked, which a transaction that has not ended holds",
		"heaps and indexes": "the rows in public.calculated_twice_idx, which a function that the database holds calculates, public.calculated_id_idx, which is ordered",
	} {
		found := false
		for _, l := range layers(r, name) {
			found = found || strings.Contains(l.Detail, says)
			s.t.Logf("%+v", l)
		}
		if !found {
			s.t.Errorf("%s do not say %q", name, says)
		}
	}
	large := 0
	for _, table := range r.Rows.Tables {
		if strings.HasPrefix(table.Table, "pg_catalog.pg_largeobject") && table.Fingerprint == "match" && table.Expected >= 3 {
			large++
		}
	}
	if large != 2 {
		s.t.Errorf("%d catalogues of large objects were compared, not 2", large)
	}
}
