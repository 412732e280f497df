package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"lifeboat/internal/objectstore"
	"lifeboat/internal/pgtest"
)

// installation is a Lifeboat as an administrator would install it: binaries, configuration, repository, and the server
// that it looks after.
type installation struct {
	t          *testing.T
	install    pgtest.Install
	bin        string // directory of the programs
	dir        string
	config     string
	stored     *objectstore.Place // nil: in files, at repository
	repository string             // its directory; unused where place names another
	place      string             // lines of the configuration that say where the repository is; empty: files
	keys       string             // lines of the configuration that name keys
	server     *pgtest.Cluster
}

// outcome is how a command ended.
type outcome struct {
	code        int
	out, errors string
}

// newInstallation starts a server that archives through the hook, and makes it known to a new repository, which is in the
// kind of place that the environment asks for.
func newInstallation(t *testing.T, install pgtest.Install) *installation {
	t.Helper()
	in := bareInstallation(t, install)
	in.stored = objectstore.NewPlace(t)
	in.place, in.keys = in.stored.YAML(t), in.stored.ReaderYAML()
	in.start(pgtest.Options{DataChecksums: true})
	in.must("init")
	return in
}

// newFileInstallation is newInstallation with a plain repository in files, for tests of the directory itself: that it is moved
// away or set back, that it is none, and that the rescue page's commands read it.
func newFileInstallation(t *testing.T, install pgtest.Install) *installation {
	t.Helper()
	in := bareInstallation(t, install)
	in.start(pgtest.Options{DataChecksums: true})
	in.must("init")
	return in
}

// bareInstallation has no server yet.
func bareInstallation(t *testing.T, install pgtest.Install) *installation {
	t.Helper()
	in := &installation{t: t, install: install, bin: pgtest.BuildBinaries(t), dir: pgtest.TempDir(t)}
	in.config, in.repository = filepath.Join(in.dir, "lifeboat.yaml"), filepath.Join(in.dir, "repository")
	return in
}

func (in *installation) start(o pgtest.Options) {
	in.t.Helper()
	o.ArchiveCommand = fmt.Sprintf(`"%s/lifeboat-wal" push --config "%s" %%p`, in.bin, in.config)
	o.OwnIdentity = true
	// The restored server has these from here: not every machine knows localhost, or has the distribution's directory
	// for sockets.
	o.Settings = map[string]string{"listen_addresses": "127.0.0.1", "unix_socket_directories": "/tmp"}
	in.server = pgtest.Start(in.t, in.install, o)
	in.configure(in.server.DSN("postgres"), in.server.DataDir)
}

// configure writes the configuration. It promises a terabyte within seven seconds for each megabyte, which a machine that has much
// else to do keeps, too.
func (in *installation) configure(connection, dataDirectory string) {
	in.t.Helper()
	place := in.place
	if place == "" {
		place = fmt.Sprintf("  url: %q\n", "file://"+in.repository)
	}
	in.write("lifeboat.yaml", fmt.Sprintf(`repository:
%s%sclusters:
  main:
    connection: %q
    data_directory: %q
    targets: {restore_per_terabyte: 2000h, rpo: 1h}
scheduler: {work_directory: %q, postgres_bin: %q}
state_directory: %q
`, place, in.keys, connection, dataDirectory, in.path("scratch"), in.install.BinDir, in.path("state")))
}

func (in *installation) path(name string) string { return filepath.Join(in.dir, name) }

// write makes a private file of the user that PostgreSQL runs as.
func (in *installation) write(name, text string) {
	in.t.Helper()
	if err := os.WriteFile(in.path(name), []byte(text), 0o600); err != nil {
		in.t.Fatal(err)
	}
	if user := pgtest.UnprivilegedUser(); user != nil {
		if err := os.Chown(in.path(name), int(user.Uid), int(user.Gid)); err != nil {
			in.t.Fatal(err)
		}
	}
}

// run types a command as PostgreSQL's user.
func (in *installation) run(args ...string) outcome {
	in.t.Helper()
	return in.runProgram("lifeboat", append([]string{"--config", in.config}, args...)...)
}

func (in *installation) runProgram(name string, args ...string) outcome {
	in.t.Helper()
	ctx, cancel := context.WithTimeout(in.t.Context(), 5*time.Minute)
	defer cancel()
	return finished(in.t, pgtest.Command(ctx, in.install, filepath.Join(in.bin, name), args...))
}

func finished(t *testing.T, cmd *exec.Cmd) outcome {
	t.Helper()
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		t.Fatalf("%s: %v", cmd, err)
	}
	return outcome{code: cmd.ProcessState.ExitCode(), out: out.String(), errors: errs.String()}
}

// must types a command that has to succeed and returns what it printed.
func (in *installation) must(args ...string) string {
	in.t.Helper()
	o := in.run(args...)
	if o.code != 0 {
		in.t.Fatalf("lifeboat %s: exit code %d\n%s%s", strings.Join(args, " "), o.code, o.out, o.errors)
	}
	return o.out
}

// ends types a command and wants this exit code.
func (in *installation) ends(code int, args ...string) outcome {
	in.t.Helper()
	o := in.run(args...)
	if o.code != code {
		in.t.Fatalf("lifeboat %s: exit code %d, not %d\n%s%s", strings.Join(args, " "), o.code, code, o.out, o.errors)
	}
	return o
}

// document reads a command's JSON.
func document(t *testing.T, text string) map[string]any {
	t.Helper()
	var value map[string]any
	if err := json.Unmarshal([]byte(text), &value); err != nil {
		t.Fatalf("not one JSON document: %v\n%s", err, text)
	}
	return value
}

// has fails unless the document has all fields, which other people's scripts read.
func has(t *testing.T, what string, document any, fields ...string) map[string]any {
	t.Helper()
	object, ok := document.(map[string]any)
	if !ok {
		t.Fatalf("%s is %T", what, document)
	}
	for _, field := range fields {
		if _, ok := object[field]; !ok {
			t.Errorf("%s has no field %q", what, field)
		}
	}
	return object
}

// switchWAL finishes the current segment and waits until it is archived, and all before it. A segment in which nothing is
// written yet is not finished: then the one before it is the last.
func (in *installation) switchWAL() {
	in.t.Helper()
	ctx := in.t.Context()
	segment := in.server.Value(ctx, "SELECT pg_walfile_name(pg_switch_wal() - 1)")
	archived := soon(func() bool {
		return in.server.Value(ctx, "SELECT coalesce(left(last_archived_wal, 24) >= $1, false)::text FROM pg_stat_archiver", segment) == "true"
	})
	if !archived {
		in.t.Fatalf("%s is not archived:\n%s", segment, in.server.Log())
	}
}

// archivesAll waits until no hook has anything left to do: backups end before the server has archived the file that tells of them.
func (in *installation) archivesAll() {
	in.t.Helper()
	in.eventually("the server has archived all", func() bool {
		return in.server.Value(in.t.Context(), "SELECT count(*) FROM pg_ls_archive_statusdir() WHERE name LIKE '%.ready'") == "0"
	})
}

// soonPatience is for machines that have much else to do. It is longer than PostgreSQL's archiver and the agent rest after a
// failure, which is a minute.
const soonPatience = 3 * time.Minute

// soon looks again and again, and is false where it has not become so.
func soon(is func() bool) bool {
	for begun, looks := time.Now(), 0; looks < 1200 || time.Since(begun) < soonPatience; looks++ {
		if is() {
			return true
		}
		time.Sleep(50 * time.Millisecond)
	}
	return false
}
