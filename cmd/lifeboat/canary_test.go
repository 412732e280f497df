package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"lifeboat/internal/objectstore"
	"lifeboat/internal/pgtest"
)

// aviary is an installation in which every secret is a canary, with a sealed and signed repository in a bucket.
type aviary struct {
	*installation
	store    objectstore.Server
	identity string // a file

	secrets []canary // belong nowhere but into the files below "held" and "escrow", and into the configuration
	rows    canary   // belong into data directories only
	names   []canary // may be told to operators, and are not to be read in a sealed repository
	words   map[string]string

	spy      *spy
	said     bytes.Buffer // all that commands have printed
	commands int
}

func TestNoSecretShowsAnywhere(t *testing.T) {
	t.Parallel()
	a := newAviary(t)
	a.spy = spyOn(newSearcher(append(a.secrets, a.rows)...), a.dir, a.server.DataDir)
	t.Cleanup(func() {
		if a.spy != nil {
			a.spy.stop()
		}
	})
	a.live(t)
	a.showHooks(t)
	a.liveByEnvironment(t)
	a.failWithWrongSecrets(t)
	a.failWithSecretsInWrongPlaces(t)
	a.failWithoutAStore(t)
	a.searchProcesses(t)
	a.searchWords(t)
	a.searchFiles(t)
	a.searchRepository(t)
}

func newAviary(t *testing.T) *aviary {
	t.Helper()
	a := &aviary{installation: bareInstallation(t, pgtest.Newest(t)), store: objectstore.S3(t), words: map[string]string{}}
	a.ownDirectory("held")
	a.place = fmt.Sprintf("  url: s3://%s/production\n  s3: {endpoint: %q, region: us-east-1, path_style: true, credentials_file: %q}\n",
		a.store.Bucket, a.store.Endpoint, a.path("held/credentials"))
	a.secrets = append(a.secrets, canary{"the store's secret key", a.store.SecretKey})
	login := fmt.Sprintf("[default]\naws_access_key_id = %s\naws_secret_access_key = %s\n", a.store.AccessKey, a.store.SecretKey)
	a.write("held/credentials", login)
	a.write("held/session", fmt.Sprintf("%saws_session_token = %s\n", login, a.secret("session token")))
	a.write("held/wrong", strings.Replace(login, a.store.SecretKey, a.secret("another store's secret key"), 1))
	a.identity = a.seal()
	a.keepKeys(t)
	a.start(pgtest.Options{DataChecksums: true})
	a.fill(t)
	return a
}

// secret makes a canary with the characters that passwords and keys have.
func (a *aviary) secret(what string) string {
	text := "Canary/" + rand.Text() + "+~&=x"
	a.secrets, a.words[what] = append(a.secrets, canary{what, text}), text
	return text
}

// name makes a canary of letters and digits that is no secret from operators.
func (a *aviary) name(what string) string {
	text := "canary" + strings.ToLower(rand.Text())
	a.names, a.words[what] = append(a.names, canary{what, text}), text
	return text
}

// keepKeys makes canaries of the keys that the installation was given.
func (a *aviary) keepKeys(t *testing.T) {
	t.Helper()
	for _, line := range strings.Fields(readText(t, a.identity)) {
		if strings.HasPrefix(line, "AGE-SECRET-KEY-") {
			a.secrets, a.words["identity"] = append(a.secrets, canary{"identity", line}), line
		}
	}
	line := keyLine(readText(t, a.path("escrow/signing")))
	raw, err := base64.StdEncoding.DecodeString(line)
	if err != nil || len(raw) != 158 || a.words["identity"] == "" {
		t.Fatalf("the keys have another form: %v, %d bytes", err, len(raw))
	}
	a.words["signing key"] = line
	a.secrets = append(a.secrets, canary{"signing key", string(raw[62:94])}) // the seed; the rest is known to the public
}

// fill makes roles with a password each, and tables and settings to be kept from those who read the repository.
func (a *aviary) fill(t *testing.T) {
	t.Helper()
	ctx := t.Context()
	for _, role := range []string{"configured", "passfile", "service"} {
		a.server.Exec(ctx, fmt.Sprintf("CREATE ROLE %s SUPERUSER LOGIN PASSWORD '%s'", role, a.secret("password of "+role)))
	}
	rules := filepath.Join(a.server.DataDir, "pg_hba.conf")
	if err := os.WriteFile(rules, []byte("local all configured,passfile,service scram-sha-256\n"+readText(t, rules)), 0o600); err != nil {
		t.Fatal(err)
	}
	space := filepath.Join(pgtest.TempDir(t), a.name("tablespace's path"))
	if out, err := pgtest.Command(ctx, a.install, "/bin/mkdir", space).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	a.words["tablespace"] = space
	a.server.Exec(ctx, fmt.Sprintf("CREATE TABLESPACE elsewhere LOCATION '%s'", space))
	a.server.Exec(ctx, fmt.Sprintf("ALTER SYSTEM SET log_timezone = '<%s>0'", a.name("setting")))
	a.server.Exec(ctx, "SELECT pg_reload_conf()")
	a.rows = canary{"row", "Row/" + rand.Text() + "+~&=x"}
	a.server.Exec(ctx, fmt.Sprintf("CREATE TABLE %s TABLESPACE elsewhere AS SELECT '%s'::text AS row FROM generate_series(1, 10000)",
		a.name("table"), a.rows.text))

	host := a.server.DSN("postgres")
	a.configure(strings.Replace(host, "user=postgres", "user=configured password="+a.words["password of configured"], 1), a.server.DataDir)
	a.write("held/passfile", fmt.Sprintf("*:*:*:passfile:%s\n", a.words["password of passfile"]))
	a.write("held/service", fmt.Sprintf("[production]\nuser=service\npassword=%s\n", a.words["password of service"]))
	a.variant("passfile", "user=configured password="+a.words["password of configured"], "user=passfile passfile="+a.path("held/passfile"))
	a.variant("service", "user=configured password="+a.words["password of configured"],
		"service=production servicefile="+a.path("held/service"))
}

// variant writes a configuration that differs from the usual one in one place.
func (a *aviary) variant(name, from, to string) string {
	a.t.Helper()
	text := readText(a.t, a.config)
	if strings.Count(text, from) != 1 {
		a.t.Fatalf("the configuration has not one %q", from)
	}
	a.write("held/"+name+".yaml", strings.Replace(text, from, to, 1))
	return name
}

// types is a command with a configuration, the usual one where it has no name, in each form of logs by turns. It wants an
// exit code.
func (a *aviary) types(code int, configuration string, environment []string, args ...string) outcome {
	a.t.Helper()
	ctx, cancel := context.WithTimeout(a.t.Context(), 5*time.Minute)
	defer cancel()
	o := a.typesUntil(ctx, configuration, environment, args...)
	if o.code != code {
		a.t.Fatalf("lifeboat %v (%s): exit code %d, not %d\n%s%s", args, configuration, o.code, code, o.out, o.errors)
	}
	return o
}

// typesUntil interrupts the command at the end of the context, as an operator would.
func (a *aviary) typesUntil(ctx context.Context, configuration string, environment []string, args ...string) outcome {
	a.t.Helper()
	path := a.config
	if configuration != "" {
		path = a.path("held/" + configuration + ".yaml")
	}
	formats := []string{"text", "json"}
	a.commands++
	args = append([]string{"--config", path, "--log-level", "debug", "--log-format", formats[a.commands%2]}, args...)
	cmd := pgtest.Command(ctx, a.install, filepath.Join(a.bin, "lifeboat"), args...)
	cmd.Env = append(cmd.Env, environment...)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGINT) }
	cmd.WaitDelay = time.Minute
	o := finished(a.t, cmd)
	fmt.Fprintf(&a.said, "lifeboat %v\n%s%s\n", args, o.out, o.errors)
	return o
}

// live does everything once.
func (a *aviary) live(t *testing.T) {
	t.Helper()
	identity := []string{"--identity-file", a.identity}
	with := func(args ...string) []string { return append(args, identity...) }
	a.types(exitDone, "", nil, "init")
	a.types(exitDone, "", nil, "backup")
	a.types(exitDone, "passfile", nil, "backup", "--output", "json")
	a.types(exitDone, "service", nil, "census")
	a.types(exitDone, "passfile", nil, "census", "--output", "json")
	a.server.Exec(t.Context(), "INSERT INTO "+a.words["table"]+" SELECT row FROM "+a.words["table"]+" LIMIT 1")
	a.switchWAL()
	a.types(exitDone, "service", nil, with("check")...)
	a.types(exitDone, "passfile", nil, with("check", "--output", "json")...)
	segment := a.server.Value(t.Context(), "SELECT last_archived_wal FROM pg_stat_archiver")
	a.types(exitDone, "", nil, "archive-push", filepath.Join(a.server.DataDir, "pg_wal", segment))
	a.types(fetchUnknown, "", nil, "archive-get", segment, a.path("fetched")) // there is no identity
	a.types(exitDone, "", nil, with("list")...)
	a.types(exitDone, "", nil, with("list", "--output", "json")...)
	a.types(exitDone, "", nil, with("verify")...)
	a.types(exitUnproven, "", nil, "verify", "--output", "json")
	a.types(exitDone, "", nil, with("restore", "--dry-run", "--target-dir", a.path("planned"))...)
	a.types(exitDone, "", nil, with("restore", "--start", "--output", "json", "--archive-mode", "off", "--port", freePort(t),
		"--target-dir", a.path("recovered"), "--tablespace-map", a.words["tablespace"]+"="+a.path("moved"))...)
	if out, err := pgtest.Command(t.Context(), a.install, "pg_ctl", "stop", "-D", a.path("recovered"), "-m", "fast").CombinedOutput(); err != nil {
		t.Fatalf("pg_ctl stop: %v\n%s", err, out)
	}
	drill := document(t, a.types(exitDone, "service", nil, with("drill", "run", "--output", "json")...).out)
	a.types(exitDone, "", nil, with("drill", "list")...)
	a.types(exitDone, "", nil, with("drill", "show", drill["id"].(string))...)
	for _, format := range []string{"html", "json", "junit"} {
		a.types(exitDone, "", nil, with("drill", "report", drill["id"].(string), "--format", format)...)
	}
}

// liveByEnvironment gives the commands what they need of the store in their environment, and nobody else.
func (a *aviary) liveByEnvironment(t *testing.T) {
	t.Helper()
	a.variant("environment", fmt.Sprintf(", credentials_file: %q", a.path("held/credentials")), "")
	environment := []string{
		"AWS_ACCESS_KEY_ID=" + a.store.AccessKey, "AWS_SECRET_ACCESS_KEY=" + a.store.SecretKey,
		"PGPASSWORD=" + a.words["password of configured"],
	}
	for _, args := range [][]string{{"check", "--identity-file", a.identity}, {"backup"}, {"census"}, {"list"}, {"drill", "run", "--identity-file", a.identity}} {
		a.types(exitDone, "environment", environment, args...)
	}
	a.types(exitError, "environment", environment, "restore", "--start", "--identity-file", a.identity, "--target-dir", a.path("refused"),
		"--tablespace-map", a.words["tablespace"]+"="+a.path("refused-space"))
	environment = append(environment, "AWS_SESSION_TOKEN="+a.words["session token"])
	a.types(exitError, "environment", environment, "drill", "run", "--identity-file", a.identity)
}

// failWithWrongSecrets uses secrets that fit nothing, which fit elsewhere perhaps.
func (a *aviary) failWithWrongSecrets(t *testing.T) {
	t.Helper()
	other := a.path("escrow/other.txt")
	a.bare("key", "generate", "--identity-file", other)
	a.types(exitError, "", nil, "restore", "--target-dir", a.path("refused"), "--identity-file", other)
	a.types(exitError, "", nil, "check", "--identity-file", other)
	a.types(exitUnproven, "", nil, "drill", "run", "--identity-file", other)

	password := a.variant("wrong-password", a.words["password of configured"], a.words["password of service"])
	for _, command := range []string{"backup", "census", "check"} {
		a.types(exitError, password, nil, command).says(t, "password")
	}
	for _, file := range []string{"wrong", "session"} { // the store knows of no session
		credentials := a.variant(file, "held/credentials", "held/"+file)
		for _, args := range [][]string{{"list"}, {"check"}, {"backup"}, {"archive-push", "/none/000000010000000000000001"}, {"init"}} {
			a.types(exitError, credentials, nil, args...)
		}
		a.types(fetchUnknown, credentials, nil, "archive-get", "000000010000000000000001", a.path("fetched"))
	}
}

// failWithSecretsInWrongPlaces mistakes one file, or one line of the configuration, for another.
func (a *aviary) failWithSecretsInWrongPlaces(t *testing.T) {
	t.Helper()
	a.types(exitUsage, "", nil, "list", "--identity-file", a.path("escrow/signing"))
	a.types(exitUsage, "", nil, "restore", "--target-dir", a.path("refused"), "--identity-file", a.path("held/passfile"))
	a.types(exitUsage, "", nil, "list", "--output", "json", "--identity-file", a.path("held/credentials"))
	password := "password=" + a.words["password of configured"]
	recipients := a.keys[strings.Index(a.keys, "age1"):strings.Index(a.keys, "]")]
	trusted := a.keys[strings.LastIndex(a.keys, "[")+1 : strings.LastIndex(a.keys, "]")]
	for name, change := range map[string][2]string{
		"identity as recipient":        {recipients, a.words["identity"]},
		"signing key as public key":    {trusted, a.words["signing key"]},
		"identity as signing key":      {"escrow/signing", "escrow/identity.txt"},
		"credentials as signing key":   {"escrow/signing", "held/credentials"},
		"secret in the URL":            {"s3://" + a.store.Bucket, "s3://key:" + a.store.SecretKey + "@" + a.store.Bucket},
		"secret in the endpoint":       {"http://", "http://key:" + a.store.SecretKey + "@"},
		"secret as an odd setting":     {"path_style: true", "secret_key: " + a.store.SecretKey},
		"secret as a truth value":      {"path_style: true", "path_style: " + a.store.SecretKey},
		"unfinished connection":        {password, password + " port"},
		"odd port":                     {password, password + " port=x"},
		"spaces around the password":   {password, strings.Replace(password, "=", " = ", 1) + " port=x"},
		"quoted password":              {password, "password='" + a.words["password of configured"] + " port=x"},
		"mistaken service file":        {password, "service=x servicefile=" + a.path("held/credentials")},
		"connection as a URL":          {"host=", "postgres://configured:" + a.words["password of configured"] + "@nowhere:x/"},
		"connection as a list":         {"connection: ", "connection: [x], x: "},
		"quote that is never closed":   {"state_directory: ", "state_directory: \"" + a.words["password of configured"] + " "},
		"indentation after the secret": {"    data_directory", "\tdata_directory"},
	} {
		variant := a.variant(strings.ReplaceAll(name, " ", "-"), change[0], change[1])
		if o := a.typesUntil(t.Context(), variant, nil, "backup"); o.code != exitUsage {
			t.Errorf("%s: exit code %d\n%s%s", name, o.code, o.out, o.errors)
		}
	}
	mistaken := a.variant("mistaken-credentials", "held/credentials", "escrow/identity.txt")
	a.types(exitError, mistaken, nil, "list")
}

// failWithoutAStore waits for a store that is away, and is told to stop.
func (a *aviary) failWithoutAStore(t *testing.T) {
	t.Helper()
	away := a.variant("away", a.store.Endpoint, "http://127.0.0.1:1")
	for _, args := range [][]string{{"list"}, {"backup"}, {"archive-push", filepath.Join(a.server.DataDir, "pg_wal", "000000010000000000000001")}} {
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		if o := a.typesUntil(ctx, away, nil, args...); o.code == exitDone {
			t.Errorf("lifeboat %v succeeds without a store", args)
		}
		cancel()
	}
	a.types(exitUnproven, away, nil, "check")
}

// showHooks lets hooks do their work, as PostgreSQL has, until the spy has met each with who does it: those that were needed may have
// been over between two looks.
func (a *aviary) showHooks(t *testing.T) {
	t.Helper()
	segment := a.server.Value(t.Context(), "SELECT last_archived_wal FROM pg_stat_archiver")
	for doer, hook := range map[string][]string{
		"lifeboat archive-push": {"push", "--config", a.config, filepath.Join(a.server.DataDir, "pg_wal", segment)},
		"lifeboat archive-get":  {"fetch", "--config", a.config, segment, a.path("fetched")},
	} {
		met := soon(func() bool {
			o := a.runProgram("lifeboat-wal", hook...)
			fmt.Fprintf(&a.said, "lifeboat-wal %v\n%s%s\n", hook, o.out, o.errors)
			return a.spy.saw(doer) && a.spy.saw("lifeboat-wal "+hook[0])
		})
		if !met {
			t.Errorf("no %s was met", doer)
		}
	}
}

func (a *aviary) searchProcesses(t *testing.T) {
	t.Helper()
	a.spy.stop()
	for leak := range a.spy.leaks {
		t.Error(leak)
	}
	for _, program := range []string{"lifeboat --config", "lifeboat-wal push", "lifeboat archive-push", "lifeboat-wal fetch", "lifeboat archive-get", "postgres"} {
		if !a.spy.seen[program] {
			t.Errorf("no process %q was seen, of %v", program, slices.Sorted(maps.Keys(a.spy.seen)))
		}
	}
	for _, program := range []string{"versitygw", "lifeboat"} {
		if a.spy.holders[program] == 0 {
			t.Errorf("%s was not seen with the secrets that it needs, so nobody's environment was", program)
		}
	}
	a.spy = nil
}

// searchWords looks through what commands and servers have said.
func (a *aviary) searchWords(t *testing.T) {
	t.Helper()
	search := newSearcher(append(a.secrets, a.rows)...)
	for _, what := range search.in(a.said.Bytes()) {
		t.Errorf("%s was printed:\n%s", what, around(a, what))
	}
	for _, what := range search.in([]byte(a.server.Log())) {
		t.Errorf("%s is in the server's log:\n%s", what, a.server.Log())
	}
}

// around is what was printed by the commands that printed a secret.
func around(a *aviary, what string) string {
	var text strings.Builder
	for _, c := range append(a.secrets, a.rows) {
		for command := range strings.SplitSeq(a.said.String(), "\nlifeboat [") {
			if c.what == what && newSearcher(c).in([]byte(command)) != nil {
				text.WriteString(command)
			}
		}
	}
	return text.String()
}

// searchFiles looks through all files that were made beside those that hold the secrets: the restored directory, what is
// remembered of the repository, and what drills have left.
func (a *aviary) searchFiles(t *testing.T) {
	t.Helper()
	search := newSearcher(a.secrets...)
	held := func(path string) bool {
		return path == "lifeboat.yaml" || strings.HasPrefix(path, "held/") || strings.HasPrefix(path, "escrow/")
	}
	found, _ := search.inTree(t, a.dir, held)
	for _, leak := range found {
		t.Error(leak)
	}
	for _, file := range []string{"recovered/" + hookFile, "recovered/postgresql.auto.conf", "recovered/lifeboat.restore.log"} {
		if _, err := os.Stat(a.path(file)); err != nil {
			t.Errorf("was not searched: %v", err)
		}
	}
	everything, _ := search.inTree(t, a.dir, nil)
	for _, c := range a.secrets {
		if !slices.ContainsFunc(everything, func(leak string) bool { return strings.HasPrefix(leak, c.what+" in ") }) {
			t.Errorf("%s is not even found where it belongs", c.what)
		}
	}
}

// searchRepository looks through the objects as they are stored, with their names and metadata.
func (a *aviary) searchRepository(t *testing.T) {
	t.Helper()
	search := newSearcher(slices.Concat(a.secrets, a.names, []canary{a.rows})...)
	found, files := search.inTree(t, filepath.Dir(filepath.Dir(a.store.Directory)), nil)
	for _, leak := range found {
		t.Errorf("the store shows %s", leak)
	}
	if files < 20 {
		t.Errorf("only %d files", files)
	}
}
