package main

import (
	"context"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"lifeboat/internal/pgtest"
)

// rescuePage tells how to restore without Lifeboat. Its blocks of commands are what these tests run.
const rescuePage = "../../docs/rescue.md"

func TestTheRescuePageRecoversAllThatWasArchived(t *testing.T) {
	t.Parallel()
	in := newInstallation(t, postgres15(t))
	in.busyBackup(t)
	in.server.Exec(t.Context(), "INSERT INTO apart SELECT generate_series(1001, 1500)")
	in.switchWAL()
	rows := countRows(t, in.server)
	in.server.Stop()
	newRescue(t, in).brings(rows)
}

func TestTheRescuePageRecoversToAMomentBetweenTwoBackups(t *testing.T) {
	t.Parallel()
	in := newInstallation(t, postgres15(t))
	in.busyBackup(t)
	rows := countRows(t, in.server)
	moment := in.server.Value(t.Context(), "SELECT clock_timestamp()::text")
	in.server.Exec(t.Context(), "TRUNCATE apart")
	in.must("backup")
	in.server.Stop()
	r := newRescue(t, in)
	r.settings["TARGET"] = moment
	r.brings(rows)
}

func TestTheRescuePageStopsAtDamage(t *testing.T) {
	t.Parallel()
	in := newInstallation(t, postgres15(t))
	in.must("backup")
	in.server.Stop()
	for name, damage := range map[string]struct{ pattern, says string }{
		"record":  {"backups/*/record.json", "is damaged"},
		"index":   {"backups/*/index", "did NOT match"},
		"pack":    {"backups/*/packs/00/000001", "did NOT match"},
		"segment": {"wal/*/*/????????????????????????", "is missing, without which"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRescue(t, in)
			flipAByte(t, r.settings["REPOSITORY"]+"/clusters/main/*/"+damage.pattern)
			if out, err := r.follow(); err == nil || !strings.Contains(out, damage.says) {
				t.Errorf("the page's commands end with %v and do not say %q:\n%s", err, damage.says, out)
			}
		})
	}
}

// busyBackup takes a backup while pgbench writes, of a cluster with a tablespace.
func (in *installation) busyBackup(t *testing.T) {
	t.Helper()
	ctx := t.Context()
	in.server.Exec(ctx, fmt.Sprintf("CREATE TABLESPACE elsewhere LOCATION '%s'", pgtest.TempDir(t)))
	in.server.Exec(ctx, "CREATE TABLE apart TABLESPACE elsewhere AS SELECT generate_series(1, 1000) AS n")
	in.server.Pgbench(ctx, 2, 1, 0)
	load, stop := context.WithCancel(ctx)
	var group errgroup.Group
	group.Go(func() error { return in.load(load) })
	in.must("backup")
	stop()
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
	for in.server.Value(ctx, "SELECT count(*)::text FROM pg_stat_activity WHERE application_name = 'pgbench'") != "0" {
		time.Sleep(20 * time.Millisecond) // what was on its way when the clients went away
	}
}

// load writes until it is told to stop.
func (in *installation) load(ctx context.Context) error {
	cmd := pgtest.Command(ctx, pgtest.Debian(in.t), "pgbench", "-n", "-c", "2", "-T", "600", in.server.DSN("postgres"))
	out, err := cmd.CombinedOutput()
	if ctx.Err() == nil {
		return fmt.Errorf("pgbench ended early: %w: %s", err, out)
	}
	return nil
}

// countRows counts the rows of every table, and sums up what pgbench has moved.
func countRows(t *testing.T, c *pgtest.Cluster) string {
	t.Helper()
	return c.Value(t.Context(), `SELECT concat_ws(' ',
		(SELECT count(*) FROM apart), (SELECT count(*) FROM pgbench_accounts), (SELECT count(*) FROM pgbench_history),
		(SELECT sum(abalance) FROM pgbench_accounts), (SELECT sum(delta) FROM pgbench_history))`)
}

// rescue is the day when the server is lost, and all that is left is a copy of the repository.
type rescue struct {
	t        *testing.T
	install  pgtest.Install
	dir      string
	settings map[string]string // what the page's first block asks for
}

func newRescue(t *testing.T, in *installation) *rescue {
	t.Helper()
	r := &rescue{t: t, install: in.install, dir: pgtest.TempDir(t)}
	copyTree(t, in.repository, r.path("repository"))
	r.settings = map[string]string{
		"REPOSITORY": r.path("repository"), "CLUSTER": "main", "IDENTITY": "", "PUBLIC_KEY": "",
		"TARGET": "", "LABEL": "", "TIMELINE": "",
		"BIN": in.install.BinDir, "PGDATA": r.path("data"), "TABLESPACES": r.path("spaces"), "WORK": r.path("work"), "PORT": "5499",
	}
	return r
}

func (r *rescue) path(name string) string { return filepath.Join(r.dir, name) }

// brings follows the page to its end and wants these rows in the server that comes of it.
func (r *rescue) brings(rows string) {
	r.t.Helper()
	if out, err := r.follow(); err != nil {
		r.t.Fatalf("the page's commands: %v\n%s", err, out)
	}
	server, err := pgtest.StartDir(r.t, r.install, r.path("data"), pgtest.Options{})
	if err != nil {
		r.t.Fatal(err)
	}
	defer server.Stop()
	if got := countRows(r.t, server); got != rows {
		r.t.Errorf("rows and sums are %s, not %s", got, rows)
	}
}

// follow runs the page's commands, in order, in one shell, as the page says.
func (r *rescue) follow() (string, error) {
	r.t.Helper()
	bash, err := exec.LookPath("bash")
	if err != nil {
		r.t.Fatal(err)
	}
	if err := os.WriteFile(r.path("script"), []byte(r.script()), 0o644); err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { // a page that breaks may leave its server
		_ = pgtest.Command(context.Background(), r.install, "pg_ctl", "stop", "-D", r.path("data"), "-m", "immediate").Run()
	})
	cmd := pgtest.Command(r.t.Context(), r.install, bash, "-euo", "pipefail", r.path("script"))
	cmd.Env = append(cmd.Env, "PATH="+r.searchPath())
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// script is the page's blocks with the settings of this rescue.
func (r *rescue) script() string {
	r.t.Helper()
	page, err := os.ReadFile(rescuePage)
	if err != nil {
		r.t.Fatal(err)
	}
	var blocks []string
	for _, found := range regexp.MustCompile("(?ms)^```sh\n(.*?)^```$").FindAllStringSubmatch(string(page), -1) {
		blocks = append(blocks, found[1])
	}
	if fences := strings.Count(string(page), "```"); len(blocks) < 2 || fences != 2*len(blocks) {
		r.t.Fatalf("%s has %d fences around %d blocks of commands", rescuePage, fences, len(blocks))
	}
	blocks[0] = r.filledIn(blocks[0])
	return strings.Join(blocks, "\n")
}

// filledIn is the page's first block, which has one line for each setting.
func (r *rescue) filledIn(block string) string {
	r.t.Helper()
	missing := maps.Clone(r.settings)
	filled := regexp.MustCompile(`(?m)^([A-Z_]+)=.*$`).ReplaceAllStringFunc(block, func(line string) string {
		name, _, _ := strings.Cut(line, "=")
		value, known := r.settings[name]
		if !known {
			r.t.Errorf("the page asks for %s", name)
		}
		delete(missing, name)
		return name + "='" + value + "'"
	})
	if len(missing) > 0 {
		r.t.Fatalf("the page does not ask for %v", missing)
	}
	return filled
}

// searchPath leads to zstd, and to copies of those tools that PostgreSQL's user may not reach where they are.
func (r *rescue) searchPath() string {
	r.t.Helper()
	zstd, err := exec.LookPath("zstd")
	if err != nil {
		r.t.Fatal(err)
	}
	return strings.Join([]string{"/usr/local/bin", "/usr/bin", "/bin", filepath.Dir(zstd)}, ":")
}

func flipAByte(t *testing.T, pattern string) {
	t.Helper()
	found, err := filepath.Glob(pattern)
	if err != nil || len(found) == 0 {
		t.Fatalf("%s: %v, %v", pattern, found, err)
	}
	path := found[len(found)-1]
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	content[len(content)/2] ^= 1
	if err := os.Chmod(path, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
}
