package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"lifeboat/internal/objectstore"
	"lifeboat/internal/pgtest"
	"lifeboat/internal/wal"
)

// with is the same installation with another configuration, for one test of several at once.
func (in *installation) with(t *testing.T, replace ...string) *installation {
	t.Helper()
	other := *in
	other.t = t
	name := strings.NewReplacer("/", "-", " ", "-").Replace(t.Name()) + ".yaml"
	other.write(name, strings.NewReplacer(replace...).Replace(readText(t, in.config)))
	other.config = other.path(name)
	return &other
}

// wantNothingIn wants no drill's leavings in a work directory.
func wantNothingIn(t *testing.T, work string, besides ...string) {
	t.Helper()
	found, err := os.ReadDir(work)
	if err != nil && !os.IsNotExist(err) {
		t.Error(err)
	}
	for _, entry := range found {
		if len(besides) == 0 || entry.Name() != besides[0] {
			t.Errorf("left behind: %s", entry.Name())
		}
	}
}

// TestWhatADrillCannotUseIsToldInASentence gives drills a wrong input each: none is a pass, and none leaves anything.
func TestWhatADrillCannotUseIsToldInASentence(t *testing.T) {
	t.Parallel()
	in := bareInstallation(t, pgtest.Newest(t))
	in.stored = objectstore.NewSealedPlace(t)
	in.place, in.keys = in.stored.YAML(t), in.stored.ReaderYAML()
	in.start(pgtest.Options{DataChecksums: true, WALSegmentMB: 1})
	in.must("init")
	ctx := t.Context()
	in.server.Exec(ctx, "CREATE TABLE ledger AS SELECT generate_series(1, 10) AS id")
	in.must("census") // lies before the backup
	in.must("backup")
	segment := in.customSegment(ctx)
	in.must("key", "generate", "--identity-file", in.path("other.txt"))
	in.write("file", "")
	copied := in.stored.Copy(t) // before drills write to the repository
	scratch, bin := in.path("scratch"), "postgres_bin: \""+in.install.BinDir+"\""
	for name, tc := range map[string]struct {
		replace []string
		args    []string
		code    int
		says    []string
	}{
		"a name that there is not": {nil, []string{"weekly"}, exitUsage, []string{`no drill is called "weekly"`, "there is nightly, quarterly"}},
		"words that are no target": {nil, []string{"--to", "yesterday"}, exitUsage, []string{`"yesterday" is no target: write latest, random, restore point, before last ddl`}},
		"two targets":              {nil, []string{"--to", "random", "--to-latest"}, exitUsage, []string{"choose one recovery target"}},
		"words in the configuration": {
			[]string{"    targets:", "    drills: {nightly: {to: soon}}\n    targets:"}, nil, exitUsage, []string{"yaml:", `drill nightly: to: "soon" is no target`},
		},
		"no restore point":            {nil, []string{"--to", "restore point"}, exitUnreachable, []string{"no operator has made a restore point", "nearest"}},
		"no DDL":                      {nil, []string{"--to", "before last ddl"}, exitUnreachable, []string{"no transaction has changed the schema behind a backup"}},
		"no such timeline":            {nil, []string{"--timeline", "9"}, exitUnreachable, []string{"no backup can be recovered along timeline 9"}},
		"only a census of before":     {nil, nil, exitUnproven, []string{"none of the 1 censuses lies between the end of backup", "lifeboat census"}},
		"another version's programs":  {[]string{bin, "postgres_bin: \"" + pgtest.Debian(t).BinDir + "\""}, nil, exitUnproven, []string{"has version 15", "install the package postgresql-18"}},
		"no programs":                 {[]string{bin, "postgres_bin: /nowhere"}, nil, exitUnproven, []string{"no PostgreSQL 18 server found", "install the package postgresql-18"}},
		"a server's data directory":   {[]string{scratch, in.server.DataDir + "/scratch"}, nil, exitUnproven, []string{"lies in a server's data directory", "a directory of their own"}},
		"a file as work directory":    {[]string{scratch, in.path("file") + "/scratch"}, nil, exitUnproven, []string{"scratch directory", "not a directory"}},
		"a place that cannot be used": {[]string{scratch, "/proc/scratch"}, nil, exitUnproven, []string{"scratch directory", "no such file"}},
		"somebody else's directory":   {[]string{scratch, othersDirectory(t)}, nil, exitUnproven, []string{"scratch directory", "permission denied"}},
		"another identity":            {nil, []string{"--identity-file", in.path("other.txt")}, exitUnproven, []string{"none of the identities at hand fits"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			own := in.with(t, append(tc.replace, scratch, in.path("scratch "+name))...)
			if len(tc.replace) > 0 && tc.replace[0] == scratch {
				own = in.with(t, tc.replace...)
			}
			own.ends(tc.code, append([]string{"drill", "run"}, tc.args...)...).says(t, tc.says...)
			// Evidence that cannot be read back stays with the drill.
			wantNothingIn(t, in.path("scratch "+name), "evidence")
		})
	}
	t.Run("a custom resource manager", func(t *testing.T) {
		t.Parallel()
		own := in.with(t, in.place, copied.YAML(t), in.path("state"), in.path("state of the copy"))
		name := filepath.Base(segment)
		copied.Remove(t, copied.Objects(t, "clusters/main/[0-9]*/wal/*/*/"+name)[0])
		own.must("archive-push", segment)
		own.ends(exitUnproven, "drill", "run").says(t, "custom resource manager 128", "shared_preload_libraries")
		if o := own.must("restore", "--target-dir", own.path("r"), "--dry-run"); !strings.Contains(o, "custom resource manager 128") {
			t.Errorf("the plan says\n%s", o)
		}
		own.must("verify")
		wantNothingIn(t, in.path("scratch"))
	})
}

// othersDirectory is one that PostgreSQL's user cannot write to.
func othersDirectory(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(pgtest.TempDir(t), "others")
	if err := os.Mkdir(dir, 0o555); err != nil {
		t.Fatal(err)
	}
	return filepath.Join(dir, "scratch")
}

// customSegment is an archived segment of the server in which a record was made one of an extension.
func (in *installation) customSegment(ctx context.Context) string {
	in.t.Helper()
	in.server.Exec(ctx, "SELECT pg_logical_emit_message(false, 'lifeboat', 'custom')")
	name := in.server.Value(ctx, "SELECT pg_walfile_name(pg_current_wal_insert_lsn())")
	in.switchWAL()
	if err := os.Mkdir(in.path("patched"), 0o700); err != nil {
		in.t.Fatal(err)
	}
	pgtest.GiveAway(in.t, in.path("patched"))
	path := in.path("patched/" + name)
	in.must("archive-get", name, path)
	raw := []byte(readText(in.t, path))
	makeCustom(in.t, name, raw)
	in.write("patched/"+name, string(raw))
	return path
}

// makeCustom gives the first logical message of a segment another resource manager, and its checksum.
func makeCustom(t *testing.T, name string, raw []byte) {
	t.Helper()
	const logicalMessage, header = 21, 24
	file, err := wal.ParseFileName(name)
	if err != nil {
		t.Fatal(err)
	}
	size := wal.SegmentSize(len(raw))
	reader := wal.NewReader(wal.NewSegmentPages(bytes.NewReader(raw), file.Start(size), int64(size)), size)
	if err := reader.FindFrom(file.Start(size)); err != nil {
		t.Fatal(err)
	}
	for {
		r, err := reader.Next()
		if err != nil {
			t.Fatalf("no message that lies on one page: %v", err)
		}
		if r.Rmgr != logicalMessage || r.End%wal.PageSize <= wal.LSN(r.Length) {
			continue
		}
		record := raw[r.LSN-file.Start(size):][:r.Length]
		record[17] = 128
		table := crc32.MakeTable(crc32.Castagnoli)
		binary.LittleEndian.PutUint32(record[20:], crc32.Update(crc32.Update(0, table, record[header:]), table, record[:20]))
		return
	}
}

// TestDrillsShareAWorkDirectory runs two at once in a directory that is not empty, along a cluster whose superuser and
// whose database postgres change then.
func TestDrillsShareAWorkDirectory(t *testing.T) {
	t.Parallel()
	in := newInstallation(t, pgtest.Debian(t))
	ctx := t.Context()
	in.server.Exec(ctx, "CREATE TABLE ledger AS SELECT generate_series(1, 10) AS id")
	in.server.Exec(ctx, "CREATE ROLE boss SUPERUSER LOGIN")
	in.must("backup")
	in.must("census")
	if err := os.Mkdir(in.path("scratch"), 0o700); err != nil {
		t.Fatal(err)
	}
	pgtest.GiveAway(t, in.path("scratch"))
	in.write("scratch/mine", "a letter")
	outcomes := make(chan outcome, 2)
	for range 2 {
		go func() { outcomes <- in.run("drill", "run") }()
	}
	for range 2 {
		if o := <-outcomes; o.code != exitDone {
			t.Errorf("exit code %d\n%s%s", o.code, o.out, o.errors)
		}
	}
	wantNothingIn(t, in.path("scratch"), "mine")
	if got := readText(t, in.path("scratch/mine")); got != "a letter" {
		t.Errorf("the file beside the drills is %q", got)
	}
	boss, err := pgx.Connect(ctx, strings.NewReplacer("user=postgres", "user=boss", "dbname=postgres", "dbname=template1").Replace(in.server.DSN("postgres")))
	if err != nil {
		t.Fatal(err)
	}
	in.asBoss(boss, "DROP DATABASE postgres WITH (FORCE)")
	in.ends(exitDone, "drill", "run").says(t, "recovered to latest; its one database answers")
	in.ends(exitDone, "drill", "run", "--to", "before last ddl").says(t, "it removes a database or a tablespace", "all 2 databases answer")
	in.asBoss(boss, "ALTER ROLE postgres RENAME TO former")
	in.ends(exitUnproven, "drill", "run").says(t, "role postgres, the superuser when backup", "make a new backup")
	wantNothingIn(t, in.path("scratch"), "mine")
}

// asBoss executes SQL, and has its WAL archived.
func (in *installation) asBoss(boss *pgx.Conn, sql string) {
	in.t.Helper()
	ctx := in.t.Context()
	if _, err := boss.Exec(ctx, sql); err != nil {
		in.t.Fatalf("%s: %v", sql, err)
	}
	var segment string
	if err := boss.QueryRow(ctx, "SELECT pg_walfile_name(pg_switch_wal())").Scan(&segment); err != nil {
		in.t.Fatal(err)
	}
	in.eventually(fmt.Sprintf("%s is archived", segment), func() bool {
		var archived bool
		err := boss.QueryRow(ctx, "SELECT coalesce(left(last_archived_wal, 24) >= $1, false) FROM pg_stat_archiver", segment).Scan(&archived)
		return err == nil && archived
	})
}
