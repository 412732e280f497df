package main

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"

	"lifeboat/drill"
	"lifeboat/internal/pgtest"
)

// dumpPage tells how to restore a dump without Lifeboat. Its blocks of commands are what these tests run.
const dumpPage = "../../docs/rescue-dump.md"

// dumpedInstallation has a drill's dump of the database shop, and gives the drill's id.
func dumpedInstallation(t *testing.T, in lost) string {
	t.Helper()
	ctx := t.Context()
	in.server.Exec(ctx, "CREATE ROLE seller LOGIN PASSWORD 'secret'")
	in.server.Exec(ctx, "CREATE DATABASE shop OWNER seller")
	conn, err := in.server.Connect(ctx, "shop")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Exec(ctx, "CREATE TABLE sales AS SELECT generate_series(1, 1234) AS n; ALTER TABLE sales OWNER TO seller"); err != nil {
		t.Fatal(err)
	}
	if err := conn.Close(ctx); err != nil {
		t.Fatal(err)
	}
	in.must("backup")
	in.switchWAL()
	in.dumpInDrill("nightly", "shop")
	var result drill.Result
	out := in.opened("drill", "run", "--output", "json").out
	if err := json.Unmarshal([]byte(out), &result); err != nil || len(result.Dumps) != 1 || result.Dumps[0].Result != drill.Pass {
		t.Fatalf("drill: %v\n%s", err, out)
	}
	return result.ID
}

// dumpInDrill has a drill dump a database.
func (in *installation) dumpInDrill(name, database string) {
	in.t.Helper()
	text := readText(in.t, in.config)
	changed := strings.Replace(text, "    targets:", "    drills: {"+name+": {dump: {databases: ["+database+"]}}}\n    targets:", 1)
	if changed == text {
		in.t.Fatalf("the configuration has no targets:\n%s", text)
	}
	in.write("lifeboat.yaml", changed)
}

// opened types a command of somebody who has the identity, where there is one.
func (in lost) opened(args ...string) outcome {
	in.t.Helper()
	if in.keys.identity != "" {
		args = append(args, "--identity-file", in.keys.identity)
	}
	return in.run(args...)
}

// get types a command as opened does, which has to succeed, and returns what it printed.
func (in lost) get(args ...string) string {
	in.t.Helper()
	o := in.opened(args...)
	if o.code != 0 {
		in.t.Fatalf("%v: exit code %d\n%s%s", args, o.code, o.out, o.errors)
	}
	return o.out
}

func TestADumpIsListedAndFetched(t *testing.T) {
	t.Parallel()
	in := sealedInstallation(t)
	id := dumpedInstallation(t, in)
	if out := in.get("dump", "list"); !strings.Contains(out, id) || !strings.Contains(out, `"shop"`) || !strings.Contains(out, "1234") {
		t.Errorf("list: %s", out)
	}
	var listed []map[string]any
	if err := json.Unmarshal([]byte(in.get("dump", "list", "--output", "json")), &listed); err != nil || len(listed) != 1 ||
		listed[0]["drill"] != id || listed[0]["id"] != id+"-0001" || listed[0]["database"] != "shop" {
		t.Errorf("list: %v, %v", listed, err)
	}
	file := filepath.Join(pgtest.TempDir(t), "shop.dump")
	in.get("dump", "get", id, "shop", "--out", file)
	archive := readText(t, file)
	if !strings.HasPrefix(archive, "PGDMP") || in.get("dump", "get", id, "shop") != archive {
		t.Errorf("the archive has %d bytes and begins with %.10q", len(archive), archive)
	}
	if globals := in.get("dump", "get", id, "shop", "--globals"); !strings.Contains(globals, "CREATE ROLE seller") || strings.Contains(globals, "SCRAM") {
		t.Errorf("globals: %s", globals)
	}
	for args, says := range map[string]string{
		id + " none": "has no dump of database \"none\"", "20200101T000000Z-aaaaaa shop": "has no dump", id + " shop --out " + file: "file exists",
	} {
		if o := in.opened(append([]string{"dump", "get"}, strings.Fields(args)...)...); o.code != exitError || !strings.Contains(o.errors, says) {
			t.Errorf("dump get %s: exit code %d, %s", args, o.code, o.errors)
		}
	}
	if o := in.opened("dump", "get", id); o.code != exitUsage {
		t.Errorf("without a database: exit code %d", o.code)
	}
}

func TestTheDumpPageRestoresADatabase(t *testing.T) {
	t.Parallel()
	for name, install := range map[string]func(*testing.T) lost{"plain": plainInstallation, "sealed": sealedInstallation} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			in := install(t)
			dumpedInstallation(t, in)
			in.server.Stop()
			other := pgtest.Start(t, in.install, pgtest.Options{})
			r := newDumpRescue(t, in, other)
			if out, err := r.follow(); err != nil {
				t.Fatalf("the page's commands: %v\n%s", err, out)
			}
			conn, err := other.Connect(t.Context(), "shop")
			if err != nil {
				t.Fatal(err)
			}
			var rows, owned int
			err = conn.QueryRow(t.Context(), "SELECT (SELECT count(*) FROM sales), (SELECT count(*) FROM pg_tables WHERE tableowner = 'seller')").Scan(&rows, &owned)
			if err != nil || rows != 1234 || owned != 1 {
				t.Errorf("%d rows, %d tables of the owner, %v", rows, owned, err)
			}
			for says, change := range map[string]func(r *rescue){
				"there is no such dump": func(r *rescue) { r.settings["DATABASE"] = "other" },
				"is damaged":            func(r *rescue) { r.settings["PUBLIC_KEY"] = ""; flipABit(t, r.object("dumps/*/dump.json")) },
				"did NOT match":         func(r *rescue) { flipABit(t, r.object("dumps/*/archive/000001")) },
			} {
				r := newDumpRescue(t, in, other)
				change(r)
				r.stops(says)
			}
			if in.keys.public == "" {
				return
			}
			r = newDumpRescue(t, in, other)
			r.rename("dumps/*/dump.json.minisig", "gone")
			r.stops("is not signed with this key")
		})
	}
}

// newDumpRescue is the day when a database is wanted in another server, and all that is left is a copy of the repository.
func newDumpRescue(t *testing.T, in lost, into *pgtest.Cluster) *rescue {
	t.Helper()
	r := newRescue(t, in)
	r.page = dumpPage
	for _, name := range []string{"TARGET", "LABEL", "TIMELINE", "PGDATA", "TABLESPACES", "PORT"} {
		delete(r.settings, name)
	}
	r.settings["DATABASE"], r.settings["DUMP"], r.settings["CONNECTION"] = "shop", "", into.DSN("postgres")
	return r
}
