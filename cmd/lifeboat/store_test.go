package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"lifeboat/internal/objectstore"
	"lifeboat/internal/pgtest"
)

// onS3 puts the installation's repository into a bucket of a server of its own, with credentials in a file.
func (in *installation) onS3() objectstore.Server {
	in.t.Helper()
	server := objectstore.S3(in.t)
	in.credentials(server.AccessKey, server.SecretKey)
	in.place = in.s3Place(server, server.Bucket)
	return server
}

func (in *installation) s3Place(server objectstore.Server, bucket string) string {
	return fmt.Sprintf("  url: s3://%s/production\n  s3: {endpoint: %q, region: us-east-1, path_style: true, credentials_file: %q}\n",
		bucket, server.Endpoint, in.path("s3-credentials"))
}

func (in *installation) credentials(access, secret string) {
	in.write("s3-credentials", fmt.Sprintf("[default]\naws_access_key_id = %s\naws_secret_access_key = %s\n", access, secret))
}

func (in *installation) onGCS() {
	in.t.Helper()
	server := objectstore.GCS(in.t)
	in.place = fmt.Sprintf("  url: gs://%s/production\n  gcs: {endpoint: %q}\n", server.Bucket, server.Endpoint)
}

// seal makes keys by the command and names in the configuration what a machine needs that makes backups. It returns the
// identity file, which no configuration names.
func (in *installation) seal() string {
	in.t.Helper()
	in.ownDirectory("escrow")
	identity := in.path("escrow/identity.txt")
	recipient := document(in.t, in.bare("key", "generate", "--identity-file", identity, "--output", "json"))["recipient"]
	public := document(in.t, in.bare("key", "generate", "--signing", in.path("escrow/signing"), "--output", "json"))["public_key"]
	in.keys = fmt.Sprintf("  encryption: {recipients: [%s]}\n  signing: {key_file: %q, public_keys: [%s]}\n", recipient, in.path("escrow/signing"), public)
	return identity
}

// ownDirectory makes a directory of the user that PostgreSQL runs as.
func (in *installation) ownDirectory(name string) {
	in.t.Helper()
	err := os.Mkdir(in.path(name), 0o700)
	if user := pgtest.UnprivilegedUser(); err == nil && user != nil {
		err = os.Chown(in.path(name), int(user.Uid), int(user.Gid))
	}
	if err != nil {
		in.t.Fatal(err)
	}
}

// bare types a command that needs no configuration.
func (in *installation) bare(args ...string) string {
	in.t.Helper()
	o := in.runProgram("lifeboat", args...)
	if o.code != exitDone {
		in.t.Fatalf("lifeboat %v: exit code %d\n%s%s", args, o.code, o.out, o.errors)
	}
	return o.out
}

func TestASealedAndSignedRepositoryIsUsedThroughItsWholeLife(t *testing.T) {
	t.Parallel()
	for name, open := range map[string]func(*installation){
		"file": func(*installation) {}, "s3": func(in *installation) { in.onS3() }, "gcs": (*installation).onGCS,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			in := bareInstallation(t, pgtest.Newest(t))
			open(in)
			identity := in.seal()
			in.start(pgtest.Options{DataChecksums: true})
			in.must("init")
			in.server.Exec(t.Context(), "CREATE TABLE kept AS SELECT generate_series(1, 10000) AS n")
			in.must("backup")
			in.must("census")
			in.checkWriter(t)
			in.checkReader(t, identity)
			in.checkStrangers(t, identity)
		})
	}
}

// checkWriter looks at a machine that has no identity: it sees what there is and can prove a part of it.
func (in *installation) checkWriter(t *testing.T) {
	t.Helper()
	list := document(t, in.must("list", "--output", "json"))
	if len(list["backups"].([]any)) != 1 || len(list["windows"].([]any)) != 1 || len(list["problems"].([]any)) != 0 {
		t.Errorf("list: %v", list)
	}
	in.ends(exitUnproven, "verify").says(t, "identity")
	o := in.run("check")
	o.says(t, "none on this machine", "put, get", "sealed for age1")
	if o.code != exitDone {
		t.Errorf("check: exit code %d\n%s%s", o.code, o.out, o.errors)
	}
	in.must("backup")
	in.must("census")
}

func (in *installation) checkReader(t *testing.T, identity string) {
	t.Helper()
	in.must("verify", "--identity-file", identity)
	drill := document(t, in.must("drill", "run", "--identity-file", identity, "--output", "json"))
	if drill["verdict"] != "pass" {
		t.Errorf("drill: %v", drill)
	}
	if shown := in.must("drill", "show", drill["id"].(string), "--identity-file", identity); !strings.Contains(shown, "evidence: signed by key ") || !strings.Contains(shown, ", verified") {
		t.Errorf("drill show says\n%s", shown)
	}
	if o := in.run("check", "--identity-file", identity); o.code != exitDone || !strings.Contains(o.out, "it opens backup") {
		t.Errorf("check: exit code %d\n%s%s", o.code, o.out, o.errors)
	}
	target := in.path("recovered")
	in.must("restore", "--target-dir", target, "--identity-file", identity, "--archive-mode", "off", "--port", freePort(t), "--start")
	t.Cleanup(func() {
		_ = pgtest.Command(context.Background(), in.install, "pg_ctl", "stop", "-D", target, "-m", "immediate").Run()
	})
	copied := in.second(t, target)
	defer copied.Stop()
	if rows := copied.Value(t.Context(), "SELECT count(*)::text FROM kept"); rows != "10000" {
		t.Errorf("%s rows", rows)
	}
}

// checkStrangers wants nothing to be written for those who cannot read.
func (in *installation) checkStrangers(t *testing.T, identity string) {
	t.Helper()
	other := in.path("escrow/other.txt")
	in.bare("key", "generate", "--identity-file", other)
	for _, o := range []outcome{
		in.ends(exitError, "restore", "--target-dir", in.path("refused"), "--identity-file", other),
		in.ends(exitError, "restore", "--target-dir", in.path("refused")),
	} {
		o.says(t, "sealed", "identit", "hint:")
	}
	if _, err := os.Stat(in.path("refused")); err == nil {
		t.Error("the directory was made")
	}
	in.ends(exitError, "check", "--identity-file", other).says(t, "it fits none of the recipients", "none of the identities at hand fits")
	if err := os.Chmod(identity, 0o644); err != nil {
		t.Fatal(err)
	}
	in.ends(exitUsage, "restore", "--target-dir", in.path("refused"), "--identity-file", identity).says(t, "chmod 600")
	in.ends(exitError, "check", "--identity-file", identity).says(t, "chmod 600")
	in.checkForgeries(t)
	in.ends(exitUsage, "restore", "--target-dir", in.path("refused"), "--identity-file", in.path("none")).says(t, "there is no such file")
}

// checkForgeries trusts another key than the one that has signed.
func (in *installation) checkForgeries(t *testing.T) {
	t.Helper()
	trusted := in.keys
	public := document(t, in.bare("key", "generate", "--signing", in.path("escrow/others"), "--output", "json"))["public_key"]
	in.keys = regexp.MustCompile(`public_keys: .*`).ReplaceAllString(trusted, fmt.Sprintf("public_keys: [%s]}", public))
	in.configure(in.server.DSN("postgres"), in.server.DataDir)
	in.ends(exitFail, "list").says(t, "is not signed by a trusted key")
	in.ends(exitError, "check").says(t, "is not signed by a trusted key", "own public key is not among those that are trusted")
	in.keys = trusted
	in.configure(in.server.DSN("postgres"), in.server.DataDir)
}

func TestKeysAreMadePrivateAndNeverOverwritten(t *testing.T) {
	t.Parallel()
	in := bareInstallation(t, pgtest.Newest(t))
	in.ownDirectory("keys")
	identity, signing := in.path("keys/identity"), in.path("keys/signing")
	out := in.bare("key", "generate", "--identity-file", identity) + in.bare("key", "generate", "--signing", signing) +
		in.bare("key", "generate", "--post-quantum", "--identity-file", in.path("keys/pq"))
	for _, want := range []string{"recipient: age1", "recipient: age1pq1", "identity_file: " + identity, "key_file: " + signing, "public key: RW", "Copy it now"} {
		if !strings.Contains(out, want) {
			t.Errorf("does not say %q:\n%s", want, out)
		}
	}
	if strings.Contains(out, "AGE-SECRET") {
		t.Error("the secret is shown")
	}
	for path, mode := range map[string]os.FileMode{identity: 0o600, signing: 0o600, signing + ".pub": 0o644} {
		info, err := os.Stat(path)
		if err != nil || info.Mode().Perm() != mode {
			t.Errorf("%s: %v, %v", path, info, err)
		}
	}
	before, _ := os.ReadFile(identity)
	for _, args := range [][]string{{"--identity-file", identity}, {"--signing", signing}} {
		if o := in.runProgram("lifeboat", append([]string{"key", "generate"}, args...)...); o.code != exitError || !strings.Contains(o.errors, "never overwritten") {
			t.Errorf("%v: exit code %d\n%s", args, o.code, o.errors)
		}
	}
	if after, _ := os.ReadFile(identity); string(after) != string(before) {
		t.Error("the identity was overwritten")
	}
	for _, args := range [][]string{{}, {"--identity-file", "a", "--signing", "b"}, {"--signing", "b", "--post-quantum"}} {
		if o := in.runProgram("lifeboat", append([]string{"key", "generate"}, args...)...); o.code != exitUsage {
			t.Errorf("%v: exit code %d", args, o.code)
		}
	}
}

func TestAFirstInitMakesASealedRepositoryInABucket(t *testing.T) {
	t.Parallel()
	in := bareInstallation(t, pgtest.Newest(t))
	server := objectstore.S3(t)
	in.write("s3-credentials", fmt.Sprintf("[default]\naws_access_key_id = %s\naws_secret_access_key = %s\n", server.AccessKey, server.SecretKey))
	in.ownDirectory("keys")
	recipient := document(t, in.bare("key", "generate", "--identity-file", in.path("keys/identity"), "--output", "json"))["recipient"].(string)
	in.start(pgtest.Options{})
	if err := os.Remove(in.config); err != nil {
		t.Fatal(err)
	}
	environment := []string{"AWS_SHARED_CREDENTIALS_FILE=" + in.path("s3-credentials")}
	init := []string{"init", "--repository", "s3://" + server.Bucket + "/new", "--endpoint", server.Endpoint, "--region", "us-east-1", "--path-style",
		"--recipient", recipient, "--connection", in.server.DSN("postgres"), "--data-directory", in.server.DataDir}
	o := in.runWith(environment, init...)
	o.says(t, "repository ready: s3://bucket/new", "is known")
	if o.code != exitDone {
		t.Fatalf("init: exit code %d", o.code)
	}
	raw, err := os.ReadFile(filepath.Join(server.Directory, "new/lifeboat.json"))
	if err != nil || !strings.Contains(string(raw), `"sealed":true`) {
		t.Errorf("the repository's document: %s, %v", raw, err)
	}
}

// runWith types a command with some more environment.
func (in *installation) runWith(environment []string, args ...string) outcome {
	in.t.Helper()
	cmd := pgtest.Command(in.t.Context(), in.install, filepath.Join(in.bin, "lifeboat"), append([]string{"--config", in.config}, args...)...)
	cmd.Env = append(cmd.Env, environment...)
	return finished(in.t, cmd)
}
