package drill_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"lifeboat/drill"
	"lifeboat/internal/objectstore"
	"lifeboat/internal/pgtest"
	"lifeboat/restore"
	"lifeboat/storage/catalog"
)

// oddNames are names of databases that a shell, libpq or pg_restore could take for something else.
var oddNames = []string{`a "b'c;$(x)`, "-rf", "--help", "dbname=postgres", "postgresql://x", `back\slash`, "ünïcode", "%s", "Caps and space"}

// shopSchema has what dumps are known to stumble over.
const shopSchema = `
CREATE ROLE "the owner" LOGIN PASSWORD 'do not store me'; CREATE ROLE clerk; GRANT clerk TO "the owner" WITH ADMIN OPTION;
ALTER ROLE clerk SET work_mem = '8MB';
CREATE SCHEMA "Odd schema" AUTHORIZATION "the owner"; CREATE SCHEMA fine;
CREATE EXTENSION pgcrypto SCHEMA fine;
CREATE TYPE fine.mood AS ENUM ('sad', 'ok');
CREATE TABLE "Odd schema"."odd ""table"";--" ("the col" int GENERATED ALWAYS AS IDENTITY, m fine.mood DEFAULT 'ok', twice int, s int GENERATED ALWAYS AS (twice * 2) STORED);
INSERT INTO "Odd schema"."odd ""table"";--" (twice) SELECT generate_series(1, 100);
CREATE TABLE fine.part (id int, at date, note text) PARTITION BY RANGE (id);
CREATE TABLE fine.part_low PARTITION OF fine.part FOR VALUES FROM (0) TO (50);
CREATE TABLE fine.part_rest PARTITION OF fine.part DEFAULT;
INSERT INTO fine.part SELECT i, '2026-01-01', 'note' FROM generate_series(0, 199) i;
CREATE TABLE fine.parent (a int); CREATE TABLE fine.child (b int) INHERITS (fine.parent);
INSERT INTO fine.parent VALUES (1); INSERT INTO fine.child VALUES (1, 2), (3, 4);
CREATE MATERIALIZED VIEW fine.full_view AS SELECT count(*) AS n FROM fine.part;
CREATE MATERIALIZED VIEW fine.never AS SELECT count(*) AS n FROM fine.part WITH NO DATA;
CREATE TABLE fine.guarded (owner text, secret text); INSERT INTO fine.guarded VALUES ('clerk', 'x'), ('other', 'y');
ALTER TABLE fine.guarded ENABLE ROW LEVEL SECURITY; ALTER TABLE fine.guarded FORCE ROW LEVEL SECURITY;
CREATE POLICY own ON fine.guarded USING (owner = current_user);
CREATE UNLOGGED TABLE fine.volatile AS SELECT 1 AS a;
CREATE EXTENSION postgres_fdw SCHEMA fine; CREATE SERVER far FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host '127.0.0.1', port '1');
CREATE USER MAPPING FOR CURRENT_USER SERVER far OPTIONS (user 'x', password 'y'); CREATE FOREIGN TABLE fine.elsewhere (a int) SERVER far;
CREATE FUNCTION fine.refuse() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'no DDL here'; END $$;
CREATE FUNCTION fine.audit() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO fine.log VALUES (1); RETURN NEW; END $$;
CREATE TABLE fine.log (a int); CREATE TRIGGER audit AFTER INSERT ON fine.guarded FOR EACH ROW EXECUTE FUNCTION fine.audit();
CREATE TABLE fine.nothing (); CREATE SEQUENCE fine.counter START 42; CREATE VIEW fine.seen AS SELECT * FROM fine.guarded;
CREATE PUBLICATION everything FOR ALL TABLES;
CREATE SUBSCRIPTION from_afar CONNECTION 'host=127.0.0.1 port=1 password=hidden' PUBLICATION x WITH (connect = false);
SELECT lo_create(0), lo_from_bytea(0, 'large'); GRANT SELECT ON ALL TABLES IN SCHEMA fine TO clerk;
ALTER TABLE fine.log OWNER TO "the owner"; COMMENT ON TABLE fine.log IS 'line
\! touch /tmp/never';
CREATE EVENT TRIGGER refuse ON ddl_command_end WHEN TAG IN ('CREATE VIEW') EXECUTE FUNCTION fine.refuse();`

// dumpScene is a server with odd databases, backed up.
func dumpScene(t *testing.T, install pgtest.Install, place *objectstore.Place) *scene {
	t.Helper()
	s := newSceneAt(t, place, install, nil)
	for _, name := range append([]string{"shop", "empty", "pattern"}, oddNames...) {
		s.createDatabase(name)
	}
	s.in("shop", shopSchema)
	s.in(oddNames[0], "CREATE TABLE t AS SELECT generate_series(1, 10) a")
	s.in("postgres", "ALTER DATABASE pattern IS_TEMPLATE true; ALTER DATABASE shop OWNER TO \"the owner\"; ALTER DATABASE shop SET default_transaction_read_only = on;"+
		"ALTER DATABASE shop SET session_preload_libraries = 'nowhere'; CREATE TABLE public.plain AS SELECT generate_series(1, 7) a")
	s.backUpAll()
	return s
}

func (s *scene) createDatabase(name string) {
	s.t.Helper()
	s.server.Exec(s.t.Context(), `CREATE DATABASE "`+strings.ReplaceAll(name, `"`, `""`)+`"`)
}

// backUpAll makes a backup, and has the WAL archived to its end.
func (s *scene) backUpAll() {
	s.t.Helper()
	s.backup()
	s.server.Exec(s.t.Context(), "CREATE TABLE later (a int)")
	s.archiveAll()
}

// in runs statements in a database, one transaction each.
func (s *scene) in(database, statements string) {
	s.t.Helper()
	config, err := pgx.ParseConfig(s.server.DSN("postgres"))
	if err != nil {
		s.t.Fatal(err)
	}
	config.Database = database
	conn, err := pgx.ConnectConfig(s.t.Context(), config)
	if err != nil {
		s.t.Fatal(err)
	}
	defer conn.Close(context.WithoutCancel(s.t.Context()))
	if _, err := conn.PgConn().Exec(s.t.Context(), statements).ReadAll(); err != nil {
		s.t.Fatal(err)
	}
}

func TestDumpsRestoreWithEveryRow(t *testing.T) {
	t.Parallel()
	s := dumpScene(t, pgtest.Debian(t), objectstore.NewPlace(t))
	o := s.options(t)
	o.Dump = drill.DumpOptions{All: true}
	r := s.drill(t, o)
	if c := check(t, r, drill.CheckDump); c.Result != drill.Pass {
		tell(t, r)
		t.Fatalf("%s: %s", c.Result, c.Detail)
	}
	s.wantDumps(r, append([]string{"shop", "empty", "postgres"}, oddNames...)...)
	shop := s.dumpOf("shop")
	rows := map[string]int64{}
	for _, table := range shop.Tables {
		rows[table.String()] = table.Rows
	}
	for table, want := range map[string]int64{
		`Odd schema.odd "table";--`: 100, "fine.part_low": 50, "fine.part_rest": 150, "fine.parent": 1, "fine.child": 2, "fine.guarded": 2, "fine.nothing": 0,
	} {
		if got, there := rows[table]; !there || got != want {
			t.Errorf("%s has %d rows in the dump, want %d", table, got, want)
		}
	}
	if _, there := rows["fine.volatile"]; there || shop.LargeObjects != 2 || shop.Drill != r.ID {
		t.Errorf("%+v", shop)
	}
	s.wantNoSecrets(shop)
	s.restoreElsewhere(shop)
	if c := check(t, r, drill.CheckRepository); c.Result != drill.Pass {
		t.Errorf("repository: %+v", c)
	}
}

func (s *scene) wantDumps(r *drill.Result, want ...string) {
	s.t.Helper()
	var got []string
	for _, u := range r.Dumps {
		got = append(got, u.Database)
		if u.Result != drill.Pass || u.Bytes == 0 || u.StoredBytes == 0 || u.SHA256 == "" {
			s.t.Errorf("%+v", u)
		}
	}
	slices.Sort(want)
	if !slices.Equal(got, want) {
		s.t.Errorf("%q were dumped, want %q", got, want)
	}
	if i := slices.IndexFunc(r.Phases, func(p drill.Phase) bool { return p.Name == drill.PhaseDump }); i < 0 || r.Phases[i].Seconds <= 0 || r.Phases[i].Bytes == 0 {
		s.t.Errorf("phases: %+v", r.Phases)
	}
}

// dumpOf is the newest dump of a database.
func (s *store) dumpOf(database string) *drill.Dump {
	s.t.Helper()
	dumps, problems, err := drill.ListDumps(s.t.Context(), s.cluster)
	if err != nil || len(problems) > 0 {
		s.t.Fatal(err, problems)
	}
	for _, u := range slices.Backward(dumps) {
		if u.Database == database {
			return u
		}
	}
	s.t.Fatalf("no dump of %s", database)
	return nil
}

func (s *store) read(u *drill.Dump, part catalog.DumpPart) []byte {
	s.t.Helper()
	in, err := u.Open(s.t.Context(), s.cluster, part)
	if err != nil {
		s.t.Fatal(err)
	}
	defer in.Close()
	content, err := io.ReadAll(in)
	if err != nil {
		s.t.Fatal(err)
	}
	return content
}

// wantNoSecrets wants neither passwords of roles nor those of subscriptions in a dump.
func (s *store) wantNoSecrets(u *drill.Dump) {
	s.t.Helper()
	globals, archive := withoutKeys(s.read(u, catalog.DumpGlobals)), s.read(u, catalog.DumpArchive)
	for _, secret := range []string{"PASSWORD", "SCRAM-SHA", "md5", "hidden", "TABLESPACE"} {
		if bytes.Contains(globals, []byte(secret)) || secret == "hidden" && bytes.Contains(archive, []byte(secret)) {
			s.t.Errorf("the dump holds %q", secret)
		}
	}
	if !bytes.Contains(globals, []byte(`CREATE ROLE "the owner"`)) {
		s.t.Errorf("globals: %s", globals)
	}
}

// withoutKeys is a dump's text without the lines that hold psql to its keys, in whose random letters any word may stand.
func withoutKeys(text []byte) []byte {
	return regexp.MustCompile(`(?m)^\\(un)?restrict \w+$`).ReplaceAll(text, nil)
}

// restoreElsewhere restores a dump with pg_restore into another database of the server that it came from.
func (s *scene) restoreElsewhere(u *drill.Dump) {
	s.t.Helper()
	s.createDatabase("elsewhere")
	cmd := pgtest.Command(s.t.Context(), s.install, "pg_restore", "--exit-on-error", "--no-publications", "--dbname="+s.server.DSN("elsewhere"))
	cmd.Stdin = bytes.NewReader(s.read(u, catalog.DumpArchive))
	if out, err := cmd.CombinedOutput(); err != nil {
		s.t.Fatalf("pg_restore: %v\n%s", err, out)
	}
	conn, err := s.connect(s.t.Context(), "elsewhere")
	if err != nil {
		s.t.Fatal(err)
	}
	defer conn.Close(context.WithoutCancel(s.t.Context()))
	var rows, populated int
	if err := conn.QueryRow(s.t.Context(), "SELECT (SELECT count(*) FROM fine.part), (SELECT count(*) FROM pg_matviews WHERE ispopulated)").Scan(&rows, &populated); err != nil {
		s.t.Fatal(err)
	}
	if rows != 200 || populated != 1 {
		s.t.Errorf("%d rows, %d populated views", rows, populated)
	}
}

// TestRestoringADumpRunsNoCodeOutside has a dump whose restore runs code that writes where the server's user may.
func TestRestoringADumpRunsNoCodeOutside(t *testing.T) {
	t.Parallel()
	s := newScene(t, pgtest.Debian(t), nil)
	escaped := filepath.Join(pgtest.TempDir(t), "escaped")
	s.in("postgres", fmt.Sprintf(`CREATE FUNCTION write() RETURNS text LANGUAGE plpgsql AS $$ BEGIN
			COPY (SELECT 1) TO PROGRAM 'tee %[1]s'; RETURN 'out'; EXCEPTION WHEN OTHERS THEN RETURN 'kept in'; END $$;
		CREATE MATERIALIZED VIEW escape AS SELECT public.write() AS result`, escaped))
	if err := os.Remove(escaped); err != nil {
		t.Fatal(err) // the server itself writes there
	}
	s.backUpAll()
	o := s.options(t)
	o.Dump = drill.DumpOptions{All: true}
	r := s.drill(t, o)
	if c := check(t, r, drill.CheckDump); c.Result != drill.Pass {
		t.Errorf("%+v", c)
	}
	if r.Environment.Isolation == nil || !r.Environment.Isolation.Isolated {
		t.Errorf("isolation: %s", r.Environment.Isolation)
	}
	if exists(escaped) {
		t.Error("the restored server wrote outside of its directory")
	}
}

// TestDumpsThatCannotBeProven has databases that do not restore, each in its own way, beside a sound one.
func TestDumpsThatCannotBeProven(t *testing.T) {
	t.Parallel()
	s := newSceneAt(t, objectstore.NewSealedPlace(t), pgtest.Debian(t), nil)
	for _, name := range []string{"sound", "extended", "broken", "closed"} {
		s.createDatabase(name)
	}
	s.in("sound", "CREATE TABLE t AS SELECT generate_series(1, 10) a")
	s.in("extended", "CREATE EXTENSION citext; UPDATE pg_extension SET extname = 'nowhere_to_be_found' WHERE extname = 'citext'")
	s.in("broken", `CREATE TABLE a (x int); CREATE TABLE z (x int); INSERT INTO z VALUES (1); INSERT INTO a VALUES (1);
		CREATE FUNCTION known(int) RETURNS bool LANGUAGE plpgsql AS $$ BEGIN RETURN EXISTS (SELECT FROM public.z WHERE z.x = $1); END $$;
		ALTER TABLE a ADD CHECK (known(x))`)
	s.in("postgres", "ALTER DATABASE closed ALLOW_CONNECTIONS false")
	s.backUpAll()
	o := s.options(t)
	o.Dump = drill.DumpOptions{Databases: []string{"sound", "extended", "broken", "closed", "absent"}}
	r := s.drill(t, o)
	for name, want := range map[string]struct {
		result drill.Verdict
		says   string
	}{
		"sound":    {drill.Pass, ""},
		"extended": {drill.Unproven, `restored: pg_restore: error: could not execute query: ERROR:  extension "nowhere_to_be_found" is not available`},
		"broken":   {drill.Fail, "violates check constraint"},
		"closed":   {drill.Unproven, "takes no connections"},
		"absent":   {drill.Unproven, "no such database"},
	} {
		i := slices.IndexFunc(r.Dumps, func(u drill.DumpedDatabase) bool { return u.Database == name })
		if i < 0 || r.Dumps[i].Result != want.result || !strings.Contains(r.Dumps[i].Why, want.says) {
			t.Errorf("%s: %+v, want %s: %s", name, r.Dumps, want.result, want.says)
		}
	}
	if c := check(t, r, drill.CheckDump); c.Result != drill.Fail || r.Verdict != drill.Fail || !strings.Contains(c.Detail, "broken: ") {
		t.Errorf("%s, %+v", r.Verdict, c)
	}
}

// TestDumpsAreReadBackFromTheRepository harms or stops a drill between making a dump and restoring it.
func TestDumpsAreReadBackFromTheRepository(t *testing.T) {
	t.Parallel()
	s := newSceneAt(t, objectstore.NewPlace(t), pgtest.Debian(t), nil)
	s.in("postgres", "CREATE TABLE t AS SELECT generate_series(1, 100) a")
	s.backUpAll()
	for name, c := range map[string]struct {
		at   string // the phase before which it happens
		harm func(t *testing.T, s *store, stop context.CancelFunc)
		want drill.Verdict
		says string
	}{
		"piece changed": {drill.PhaseDump, func(_ *testing.T, s *store, _ context.CancelFunc) { s.flipDump("archive/000001") }, drill.Fail, "archive/000001"},
		"roles changed": {drill.PhaseDump, func(_ *testing.T, s *store, _ context.CancelFunc) { s.flipDump("globals/000001") }, drill.Fail, "globals/000001"},
		"stopped while dumping": {drill.PhaseDump + " postgres", func(_ *testing.T, _ *store, stop context.CancelFunc) { stop() },
			drill.Unproven, "interrupted"},
		"stopped while restoring": {drill.PhaseDump, func(_ *testing.T, _ *store, stop context.CancelFunc) { stop() }, drill.Unproven, "interrupted"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := s.copy(t)
			ctx, stop := context.WithCancel(t.Context())
			defer stop()
			o := s.options(t)
			o.Dump = drill.DumpOptions{All: true}
			o.Progress = func(phase string, _, _ int64) {
				if phase == c.at {
					c.harm(t, s, stop)
				}
			}
			r, err := drill.Run(ctx, o)
			if err != nil {
				t.Fatal(err)
			}
			if got := check(t, r, drill.CheckDump); got.Result != c.want || !strings.Contains(got.Detail, c.says) {
				t.Errorf("%+v, want %s: %s", got, c.want, c.says)
			}
			wantNoLeavings(t, o.WorkDirectory)
		})
	}
}

// flipDump changes a piece of the only dump.
func (s *store) flipDump(piece string) {
	s.t.Helper()
	s.place.Flip(s.t, s.objects("dumps/*/" + piece)[0])
}

// TestDumpDoesNotWaitForLocksThatStay has recovery pause in the middle of a transaction that removes a table.
func TestDumpDoesNotWaitForLocksThatStay(t *testing.T) {
	t.Parallel()
	s := newScene(t, pgtest.Debian(t), nil)
	s.quietStory()
	s.server.Exec(t.Context(), "DROP TABLE ledger")
	s.archiveAll()
	o := s.options(t)
	o.Wish = restore.Wish{Words: "before last ddl", Kind: restore.WishBeforeDDL}
	o.Dump, o.Deadline = drill.DumpOptions{Databases: []string{"postgres"}}, 5*time.Minute
	r := s.drill(t, o)
	if c := check(t, r, drill.CheckDump); c.Result != drill.Unproven || !strings.Contains(c.Detail, "lock timeout") {
		t.Errorf("%+v", c)
	}
	if c := check(t, r, drill.CheckPITR); c.Result != drill.Pass {
		t.Errorf("%+v", c)
	}
}

// TestDumpsNeedTheClientProgramsOfTheServersVersion is run with every version, some of which come without.
func TestDumpsNeedTheClientProgramsOfTheServersVersion(t *testing.T) {
	t.Parallel()
	pgtest.Each(t, func(t *testing.T, install pgtest.Install) {
		s := newScene(t, install, nil)
		s.backUpAll()
		o := s.options(t)
		o.Dump = drill.DumpOptions{Databases: []string{"postgres"}}
		r := s.drill(t, o)
		c := check(t, r, drill.CheckDump)
		if _, err := exec.LookPath(install.Tool("pg_dump")); err == nil {
			if c.Result != drill.Pass || len(r.Dumps) != 1 {
				t.Errorf("%+v", c)
			}
			return
		}
		if c.Result != drill.Unproven || !strings.Contains(c.Detail, "pg_restore and initdb of PostgreSQL") || !strings.Contains(c.Detail, "not installed") {
			t.Errorf("%+v", c)
		}
	})
}

// TestKilledDrillLeavesNothingOfItsDumps kills drills with SIGKILL while they dump, and while they restore a dump.
func TestKilledDrillLeavesNothingOfItsDumps(t *testing.T) {
	t.Parallel()
	s := newScene(t, pgtest.Debian(t), nil)
	s.in("postgres", "CREATE TABLE wide AS SELECT i, repeat(md5(i::text), 20) AS filler FROM generate_series(1, 30000) i; CREATE INDEX ON wide (filler)")
	s.backUpAll()
	for _, moment := range []struct {
		phase string
		after time.Duration
	}{
		{drill.PhaseDump + " postgres", 0}, {drill.PhaseDump + " postgres", 100 * time.Millisecond},
		{drill.PhaseDump, 50 * time.Millisecond}, {drill.PhaseDump, 900 * time.Millisecond},
	} {
		d := s.startDrill(t, noPhase, "postgres")
		d.await(t, moment.phase)
		time.Sleep(moment.after)
		if err := d.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
			t.Fatal(err)
		}
		_ = d.cmd.Wait()
		s.settleSoon(t, d.work)
		wantNoLeavings(t, d.work)
	}
	o := s.options(t)
	o.Dump = drill.DumpOptions{Databases: []string{"postgres"}}
	if r := s.drill(t, o); check(t, r, drill.CheckDump).Result != drill.Pass || check(t, r, drill.CheckRepository).Result != drill.Pass {
		tell(t, r)
		t.Error("the next drill does not pass")
	}
}
