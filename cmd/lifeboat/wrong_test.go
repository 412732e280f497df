package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"lifeboat/internal/pgtest"
)

// says wants words in what a command told the operator, in a single sentence with at most a hint after it.
func (o outcome) says(t *testing.T, words ...string) {
	t.Helper()
	for _, word := range words {
		if !strings.Contains(o.errors+o.out, word) {
			t.Errorf("does not say %q but\n%s%s", word, o.out, o.errors)
		}
	}
	if strings.Contains(o.errors, "goroutine ") {
		t.Errorf("crashed:\n%s", o.errors)
	}
}

func TestWrongUsageExitsWithTwoAndSaysWhatIsRight(t *testing.T) {
	t.Parallel()
	in := bareInstallation(t, pgtest.Newest(t))
	in.configure("host=/nowhere", "/nowhere")
	in.write("bad.yaml", "repository: {url: 'file:///r'}\nclustres: {}\n")
	for name, tc := range map[string]struct {
		args []string
		want []string
	}{
		"command":        {[]string{"bakcup"}, []string{"no command \"bakcup\""}},
		"flag":           {[]string{"list", "--colour"}, []string{"--colour"}},
		"output":         {[]string{"list", "--output", "xml"}, []string{"text or json"}},
		"log level":      {[]string{"list", "--log-level", "loud"}, []string{"debug, info, warn or error"}},
		"log format":     {[]string{"list", "--log-format", "xml"}, []string{"text or json"}},
		"configuration":  {[]string{"list", "--config", in.path("bad.yaml")}, []string{"bad.yaml:2:1", "clustres"}},
		"no file":        {[]string{"list", "--config", in.path("none.yaml")}, []string{"lifeboat init"}},
		"operands":       {[]string{"archive-push"}, []string{"usage: lifeboat archive-push PATH"}},
		"cluster":        {[]string{"list", "--cluster", "other"}, []string{"no cluster is called \"other\""}},
		"backup type":    {[]string{"backup", "--type", "diff"}, []string{"--type is full"}},
		"no directory":   {[]string{"restore"}, []string{"--target-dir"}},
		"two targets":    {[]string{"restore", "--target-dir", "/x", "--to-latest", "--to-lsn", "0/1"}, []string{"choose one recovery target"}},
		"no zone":        {[]string{"restore", "--target-dir", "/x", "--to-time", "2026-01-02 03:04:05"}, []string{"zone"}},
		"odd LSN":        {[]string{"restore", "--target-dir", "/x", "--to-lsn", "12"}, []string{"12"}},
		"odd xid":        {[]string{"restore", "--target-dir", "/x", "--to-xid", "2"}, []string{"3 or above"}},
		"odd timeline":   {[]string{"restore", "--target-dir", "/x", "--timeline", "0"}, []string{"--timeline"}},
		"archive mode":   {[]string{"restore", "--target-dir", "/x", "--archive-mode", "on"}, []string{"preserve or off"}},
		"tablespace map": {[]string{"restore", "--target-dir", "/x", "--tablespace-map", "a"}, []string{"OLD=NEW"}},
		"summary format": {[]string{"drill", "summary", "--format", "pdf"}, []string{"text, html or json"}},
		"summary year":   {[]string{"drill", "summary", "--year", "26"}, []string{"2026"}},
		"summary day":    {[]string{"drill", "summary", "--from", "1.4.2026"}, []string{"2026-04-01"}},
		"summary order":  {[]string{"drill", "summary", "--from", "2026-04-02", "--to", "2026-04-01"}, []string{"before"}},
		"summary times":  {[]string{"drill", "summary", "--year", "2026", "--from", "2026-04-02"}, []string{"choose a time"}},
		"list verdict":   {[]string{"drill", "list", "--verdict", "good"}, []string{"pass, warn, fail or unproven"}},
		"report format":  {[]string{"drill", "report", "x", "--format", "pdf"}, []string{"html, json or junit"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			(&installation{t: t, install: in.install, bin: in.bin, config: in.config}).ends(exitUsage, tc.args...).says(t, tc.want...)
		})
	}
}

func TestWithoutARepositoryItSaysHowToMakeOne(t *testing.T) {
	t.Parallel()
	in := bareInstallation(t, pgtest.Newest(t))
	in.configure("host=/nowhere", "/nowhere")
	for _, command := range []string{"list", "backup", "verify", "census"} {
		in.ends(exitError, command).says(t, "lifeboat init")
	}
	in.ends(exitError, "drill", "run").says(t, "lifeboat init")
	in.ends(exitError, "archive-push", in.path("000000010000000000000001")).says(t, "lifeboat init")
}

func TestInitIsHarmlessWhenRepeatedAndSaysWhenItsServerIsAway(t *testing.T) {
	t.Parallel()
	in := newInstallation(t, pgtest.Newest(t))
	again := in.must("init")
	if !strings.Contains(again, "is known") {
		t.Errorf("init says %s", again)
	}
	away := bareInstallation(t, in.install)
	away.configure("host=/nowhere", "")
	away.ends(exitError, "init").says(t, "repository is ready", "run 'lifeboat init' again")
}

func TestADirectoryOfSomethingElseIsNoPlaceForARepository(t *testing.T) {
	t.Parallel()
	in := newFileInstallation(t, pgtest.Newest(t))
	in.repository = in.server.DataDir
	in.configure(in.server.DSN("postgres"), in.server.DataDir)
	in.ends(exitError, "init").says(t, "is no repository", "hint: name an empty or a new directory")
	in.ends(exitError, "list").says(t, "no repository here", "hint:")
	if _, err := os.Stat(filepath.Join(in.server.DataDir, "lifeboat.json")); err == nil {
		t.Error("a repository was made in the data directory")
	}
}

func TestADamagedRepositoryIsToldAtOnce(t *testing.T) {
	t.Parallel()
	in := newInstallation(t, pgtest.Newest(t))
	in.must("backup")
	in.flip("lifeboat.json", 0.5)
	for _, command := range [][]string{{"backup"}, {"list"}, {"verify"}, {"restore", "--target-dir", in.path("r")}, {"drill", "run"}} {
		in.ends(exitFail, command...).says(t, "damaged", "lifeboat verify")
	}
}

func TestAFirstInitWritesAPrivateConfigurationThatWorks(t *testing.T) {
	t.Parallel()
	in := bareInstallation(t, pgtest.Debian(t))
	in.start(pgtest.Options{})
	if err := os.Remove(in.config); err != nil {
		t.Fatal(err)
	}
	out := in.must("init", "--repository", "file://"+in.repository, "--connection", in.server.DSN("postgres"), "--data-directory", in.server.DataDir)
	for _, want := range []string{"GRANT EXECUTE", "archive_command", "lifeboat-wal\" push"} {
		if !strings.Contains(out, want) {
			t.Errorf("init does not print %q:\n%s", want, out)
		}
	}
	info, err := os.Stat(in.config)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the configuration: %v, %v", info, err)
	}
	in.must("backup")
}

func TestAnUnreachableServerIsNamedAndNothingIsMade(t *testing.T) {
	t.Parallel()
	in := newInstallation(t, pgtest.Newest(t))
	in.server.Stop()
	in.ends(exitError, "backup").says(t, "no backup was made", "hint:")
	in.ends(exitError, "census").says(t, "no census was taken", "hint:")
	list := document(t, in.must("list", "--output", "json"))
	if len(list["backups"].([]any)) != 0 || len(list["unfinished"].([]any)) != 0 {
		t.Errorf("list: %v", list)
	}
	in.ends(exitError, "check").says(t, "start the server", "there is none")
}

func TestMissingPrivilegesAreNamedAsGrants(t *testing.T) {
	t.Parallel()
	in := newInstallation(t, pgtest.Newest(t))
	in.server.Exec(t.Context(), "CREATE ROLE poor LOGIN")
	in.configure(strings.Replace(in.server.DSN("postgres"), "user=postgres", "user=poor", 1), in.server.DataDir)
	in.ends(exitError, "backup").says(t, "GRANT EXECUTE ON FUNCTION pg_catalog.pg_backup_start(text, boolean)")
	in.ends(exitError, "check").says(t, "GRANT pg_read_all_settings")
}

func TestTargetsOutsideTheWindowsExitWithFive(t *testing.T) {
	t.Parallel()
	in := newInstallation(t, pgtest.Newest(t))
	in.ends(exitUnreachable, "restore", "--target-dir", in.path("r")).says(t, "no backup")
	in.must("backup")
	for name, target := range map[string][]string{
		"in the future":           {"--to-time", "2199-01-01 00:00:00+00"},
		"before the first backup": {"--to-time", "2001-01-01 00:00:00+00"},
		"LSN ahead":               {"--to-lsn", "F/0"},
		"LSN before":              {"--to-lsn", "0/100"},
		"no such restore point":   {"--to-name", "nothing"},
		"no such transaction":     {"--to-xid", "4000000"},
	} {
		o := in.ends(exitUnreachable, append([]string{"restore", "--target-dir", in.path("r")}, target...)...)
		o.says(t, "cannot be reached", "nearest", "hint: reachable")
		if _, err := os.Stat(in.path("r")); err == nil {
			t.Errorf("%s: the directory was made", name)
		}
	}
	in.ends(exitUnreachable, "drill", "run", "--to-time", "2199-01-01 00:00:00+00").says(t, "cannot be reached")
}

func TestADirectoryThatIsNotEmptyIsLeftAlone(t *testing.T) {
	t.Parallel()
	in := newInstallation(t, pgtest.Newest(t))
	in.must("backup")
	in.ends(exitError, "restore", "--target-dir", in.server.DataDir).says(t, "not empty")
	if in.server.Value(t.Context(), "SELECT 1::text") != "1" {
		t.Error("the server is hurt")
	}
}

func TestAnotherClusterUnderTheSameNameIsRefusedAtTheDoor(t *testing.T) {
	t.Parallel()
	in := newInstallation(t, pgtest.Newest(t))
	other := pgtest.Start(t, in.install, pgtest.Options{OwnIdentity: true})
	foreign := filepath.Join(other.DataDir, "pg_wal", other.Value(t.Context(), "SELECT pg_walfile_name(pg_current_wal_lsn())"))
	in.ends(exitError, "archive-push", foreign).says(t, "system identifier")
	in.configure(other.DSN("postgres"), other.DataDir)
	in.ends(exitError, "backup").says(t, "another PostgreSQL cluster has this name", "hint:")
	in.ends(exitError, "init").says(t, "another PostgreSQL cluster has this name")
	in.ends(exitError, "check").says(t, "under this name")
}

func TestADrillWithoutACensusIsUnproven(t *testing.T) {
	t.Parallel()
	in := newInstallation(t, pgtest.Newest(t))
	in.must("backup")
	in.ends(exitUnproven, "drill", "run").says(t, "lifeboat census", "unproven")
	in.ends(exitUsage, "drill", "run", "weekly").says(t, "no drill is called \"weekly\"")
	in.ends(exitError, "drill", "show", "20260101T000000Z-aaaaaa").says(t, "20260101T000000Z-aaaaaa")
}

func TestDamageMakesVerifyExitWithThree(t *testing.T) {
	t.Parallel()
	in := newInstallation(t, pgtest.Newest(t))
	in.must("backup")
	in.must("verify")
	objects := in.stored.Objects(t, "")
	for _, key := range objects {
		in.flip(key, 0.7)
		if o := in.run("verify"); o.code != exitFail && o.code != exitError {
			t.Errorf("%s flipped: exit code %d\n%s", key, o.code, o.out)
		}
		in.flip(key, 0.7)
	}
	if len(objects) < 6 {
		t.Fatalf("%d objects", len(objects))
	}
	in.must("verify")
}

// flip inverts one byte of an object, at a share of its length.
func (in *installation) flip(key string, share float64) {
	in.t.Helper()
	raw := in.stored.Read(in.t, key)
	if len(raw) == 0 {
		in.t.Fatalf("%s is empty", key)
	}
	raw[int(share*float64(len(raw)-1))] ^= 0xff
	in.stored.Write(in.t, key, raw)
}
