package main

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"lifeboat/internal/pgtest"
)

// forbidden types a command on a system without user namespaces.
func (in *installation) forbidden(environment []string, args ...string) outcome {
	in.t.Helper()
	ctx, cancel := context.WithTimeout(in.t.Context(), 3*time.Minute)
	defer cancel()
	cmd := pgtest.Command(ctx, in.install, filepath.Join(in.bin, "lifeboat"), append([]string{"--config", in.config}, args...)...)
	cmd.Env = append(cmd.Env, environment...)
	pgtest.ForbidNamespaces(cmd)
	return finished(in.t, cmd)
}

// TestDrillWithoutNamespaces drills on a system that does not let the server be kept apart: not at all, or, where the
// configuration says so, as the drill's user, with credentials that are lent and taken back.
func TestDrillWithoutNamespaces(t *testing.T) {
	t.Parallel()
	in := bareInstallation(t, pgtest.Newest(t))
	server := in.onS3()
	in.start(pgtest.Options{DataChecksums: true})
	in.must("init")
	in.server.Exec(t.Context(), "CREATE TABLE kept AS SELECT generate_series(1, 10) AS n")
	in.must("backup")
	in.must("census")
	in.place = strings.Replace(in.place, ", credentials_file: \""+in.path("s3-credentials")+"\"", "", 1)
	in.configure(in.server.DSN("postgres"), in.server.DataDir)
	environment := []string{"AWS_ACCESS_KEY_ID=" + server.AccessKey, "AWS_SECRET_ACCESS_KEY=" + server.SecretKey}

	o := in.forbidden(environment, "drill", "run", "--output", "json")
	r := document(t, o.out)
	if o.code != exitUnproven || r["verdict"] != "unproven" || !strings.Contains(o.out, "cannot be isolated") || !strings.Contains(o.out, "scheduler.isolation: best effort") {
		t.Errorf("without namespaces: exit code %d\n%s%s", o.code, o.out, o.errors)
	}
	in.amend("scheduler: {", "scheduler: {isolation: best effort, ")
	o = in.forbidden(environment, "drill", "run", "--output", "json")
	r = document(t, o.out)
	kept := has(t, "isolation", has(t, "environment", r["environment"], "isolation")["isolation"], "isolated", "missing")
	if r["verdict"] != "pass" || kept["isolated"] != false || !strings.Contains(kept["missing"].(string), "no namespaces") {
		t.Errorf("best effort: exit code %d\n%s%s", o.code, o.out, o.errors)
	}
	if left, err := filepath.Glob(in.path("scratch/.*")); err != nil || slices.ContainsFunc(left, func(path string) bool { return strings.Contains(path, lentPrefix) }) {
		t.Errorf("the drill left %v, %v", left, err)
	}
	o = in.runWith(environment, "drill", "run", "--output", "json")
	r = document(t, o.out)
	kept = has(t, "isolation", has(t, "environment", r["environment"], "isolation")["isolation"], "isolated", "namespaces")
	if r["verdict"] != "pass" || kept["isolated"] != true {
		t.Errorf("with namespaces: exit code %d\n%s%s", o.code, o.out, o.errors)
	}
}

// amend replaces a part of the configuration.
func (in *installation) amend(old, text string) {
	in.t.Helper()
	raw, err := os.ReadFile(in.config)
	if err != nil || !strings.Contains(string(raw), old) {
		in.t.Fatalf("%q is not in %s: %v", old, raw, err)
	}
	in.write("lifeboat.yaml", strings.Replace(string(raw), old, text, 1))
}
