package main

import (
	"context"
	"errors"
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
	for name, install := range map[string]func(*testing.T) lost{
		"plain": plainInstallation, "sealed": sealedInstallation, "s2": s2Installation,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			in := install(t)
			in.busyBackup(t)
			in.server.Exec(t.Context(), "INSERT INTO apart SELECT generate_series(1001, 1500)")
			in.switchWAL()
			rows := countRows(t, in.server)
			in.server.Stop()
			newRescue(t, in).brings(rows)
		})
	}
}

func TestTheRescuePageRecoversToAMomentBetweenTwoBackups(t *testing.T) {
	t.Parallel()
	in := plainInstallation(t)
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
	in := plainInstallation(t)
	segment := in.backupFrom()
	in.server.Stop()
	for name, says := range map[string]string{
		"backups/*/record.json":     "is damaged",
		"backups/*/index":           "did NOT match",
		"backups/*/packs/00/000001": "did NOT match",
		segment:                     "is missing, without which",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRescue(t, in)
			flipABit(t, r.object(name))
			r.stops(says)
		})
	}
	t.Run("segment of another checksum", func(t *testing.T) {
		t.Parallel()
		r := newRescue(t, in)
		path := r.object(segment)
		sum := regexp.MustCompile(`("size":[0-9]+,"sha256":")[0-9a-f]{8}`)
		changed := sum.ReplaceAllString(readText(t, path), "${1}00000000")
		if err := errors.Join(os.Chmod(path, 0o600), os.WriteFile(path, []byte(changed), 0o600)); err != nil {
			t.Fatal(err)
		}
		r.stops("is missing, without which")
	})
}

func TestTheRescuePageStopsAtWhatIsNotSignedOrNotForTheIdentity(t *testing.T) {
	t.Parallel()
	in, other := sealedInstallation(t), newKeyFiles(t)
	segment := in.backupFrom()
	in.server.Stop()
	for name, c := range map[string]struct {
		change func(r *rescue)
		says   string
	}{
		"record changed":    {func(r *rescue) { flipABit(r.t, r.object("backups/*/record.json")) }, "is not signed with this key"},
		"signature removed": {func(r *rescue) { r.rename("backups/*/record.json.minisig", "gone") }, "is not signed with this key"},
		"another key":       {func(r *rescue) { r.settings["PUBLIC_KEY"] = other.public }, "is not signed with this key"},
		"another identity":  {func(r *rescue) { r.settings["IDENTITY"] = other.identity }, "no identity matched"},
		"record moved":      {func(r *rescue) { r.rename("backups/*", "20990101T000000Z-full-aaaaaa") }, "is that of clusters/main/"},
		"segment changed":   {func(r *rescue) { flipABit(r.t, r.object(segment)) }, "is missing, without which"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRescue(t, in)
			c.change(r)
			r.stops(c.says)
		})
	}
}

func TestTheRescuePagesOneLinerGathersItsBlocks(t *testing.T) {
	t.Parallel()
	r := &rescue{t: t, page: rescuePage}
	line := regexp.MustCompile(`(?m)^    (sed .*) > rescue\.sh$`).FindStringSubmatch(readText(t, rescuePage))
	if line == nil {
		t.Fatal("the page has no line that makes rescue.sh")
	}
	cmd := exec.Command("bash", "-c", line[1])
	cmd.Dir = filepath.Dir(rescuePage)
	out, err := cmd.Output()
	if want := strings.Join(r.blocks("sh"), ""); err != nil || string(out) != want {
		t.Errorf("%v; rescue.sh is\n%s\nnot\n%s", err, out, want)
	}
}

// lost is an installation that will be lost, and what was kept of its keys in another place.
type lost struct {
	*installation
	keys keyFiles
}

func plainInstallation(t *testing.T) lost {
	t.Helper()
	return lost{installation: newFileInstallation(t, postgres15(t))}
}

// sealedInstallation encrypts and signs. It has no identity.
func sealedInstallation(t *testing.T) lost {
	t.Helper()
	in := lost{bareInstallation(t, postgres15(t)), newKeyFiles(t)}
	in.start(pgtest.Options{DataChecksums: true})
	in.write("lifeboat.yaml", strings.Replace(readText(t, in.config), "\nclusters:\n", fmt.Sprintf(`
  encryption: {recipients: [%s]}
  signing: {key_file: %q, public_keys: [%s]}
clusters:
`, in.keys.recipient, in.keys.signing, keyLine(readText(t, in.keys.public))), 1))
	in.must("init")
	return in
}

// s2Installation is a sealed one that goes over to s2 when it has stored some WAL.
func s2Installation(t *testing.T) lost {
	t.Helper()
	in := sealedInstallation(t)
	in.switchWAL()
	in.write("lifeboat.yaml", strings.Replace(readText(t, in.config), "\n    data_directory:",
		"\n    wal: {compression: s2}\n    data_directory:", 1))
	buildTools(t, in.keys.tools, "../..", "github.com/klauspost/compress/s2/cmd/s2d")
	return in
}

// buildTools builds programs that a module names into a directory.
func buildTools(t *testing.T, into, module string, packages ...string) {
	t.Helper()
	build := exec.Command("go", append([]string{"build", "-buildvcs=false", "-o", into + "/"}, packages...)...)
	build.Dir = module
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build %v: %v\n%s", packages, err, out)
	}
}

// keyFiles are keys that the age and minisign tools have made.
type keyFiles struct {
	tools               string // directory of the tools
	identity, recipient string // a file, and who it is
	signing, public     string // files
}

// newKeyFiles builds the tools, where PostgreSQL's user can run them, and has them make keys.
func newKeyFiles(t *testing.T) keyFiles {
	t.Helper()
	dir := pgtest.TempDir(t)
	buildTools(t, dir, "../../.ci/servers", "filippo.io/age/cmd/age", "filippo.io/age/cmd/age-keygen", "aead.dev/minisign/cmd/minisign")
	k := keyFiles{tools: dir, identity: dir + "/identity.txt", signing: dir + "/lifeboat.key", public: dir + "/lifeboat.pub"}
	k.run(t, "age-keygen", "-o", k.identity)
	k.recipient = k.run(t, "age-keygen", "-y", k.identity)
	k.run(t, "minisign", "-G", "-W", "-s", k.signing, "-p", k.public)
	return k
}

// run runs one of the tools and returns what it prints.
func (k keyFiles) run(t *testing.T, tool string, args ...string) string {
	t.Helper()
	o := finished(t, pgtest.Command(t.Context(), postgres15(t), filepath.Join(k.tools, tool), args...))
	if o.code != 0 {
		t.Fatalf("%s: exit code %d\n%s%s", tool, o.code, o.out, o.errors)
	}
	return strings.TrimSpace(o.out)
}

func readText(t *testing.T, path string) string {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

func keyLine(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return lines[len(lines)-1]
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

// backupFrom takes a backup and gives the pattern of the segment that it begins in, which it needs. The last one in the archive may be
// another: the server writes now and then, and archives when it stops.
func (in *installation) backupFrom() string {
	in.t.Helper()
	made := document(in.t, in.must("backup", "--output", "json"))
	return "wal/*/*/" + in.server.Value(in.t.Context(), "SELECT pg_walfile_name($1::pg_lsn)", made["start_lsn"])
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
	page     string            // that is followed
	tools    string            // directory of age and minisign, where they are needed
	settings map[string]string // what the page's first block asks for
}

func newRescue(t *testing.T, in lost) *rescue {
	t.Helper()
	r := &rescue{t: t, install: in.install, page: rescuePage, dir: pgtest.TempDir(t), tools: in.keys.tools}
	copyTree(t, in.repository, r.path("repository"))
	r.settings = map[string]string{
		"REPOSITORY": r.path("repository"), "CLUSTER": "main", "IDENTITY": in.keys.identity, "PUBLIC_KEY": in.keys.public,
		"TARGET": "", "LABEL": "", "TIMELINE": "",
		"BIN": in.install.BinDir, "PGDATA": r.path("data"), "TABLESPACES": r.path("spaces"), "WORK": r.path("work"), "PORT": "5499",
	}
	return r
}

func (r *rescue) path(name string) string { return filepath.Join(r.dir, name) }

// brings follows the page to its end and wants these rows in the server that comes of it. To follow it twice does no harm.
func (r *rescue) brings(rows string) {
	r.t.Helper()
	for range 2 {
		if out, err := r.follow(); err != nil {
			r.t.Fatalf("the page's commands: %v\n%s", err, out)
		}
	}
	if out, err := r.bash(r.intoService()); err != nil {
		r.t.Fatalf("the page's last commands: %v\n%s", err, out)
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

// stops follows the page, and wants it to end with these words.
func (r *rescue) stops(says string) {
	r.t.Helper()
	if out, err := r.follow(); err == nil || !strings.Contains(out, says) {
		r.t.Errorf("the page's commands end with %v and do not say %q:\n%s", err, says, out)
	}
}

// follow makes one script of the page's blocks, as the page says, and runs it.
func (r *rescue) follow() (string, error) {
	r.t.Helper()
	blocks := r.blocks("sh")
	r.t.Cleanup(func() { // a page that breaks may leave its server
		_ = pgtest.Command(context.Background(), r.install, "pg_ctl", "stop", "-D", r.path("data"), "-m", "immediate").Run()
	})
	return r.bash(strings.Join(append([]string{r.filledIn(blocks[0])}, blocks[1:]...), "\n"))
}

// intoService is what the page has typed when the restored server is found to be right.
func (r *rescue) intoService() string {
	r.t.Helper()
	return r.filledIn(r.blocks("sh")[0]) + strings.Join(r.blocks("bash"), "\n")
}

// bash runs a script as PostgreSQL's user.
func (r *rescue) bash(script string) (string, error) {
	r.t.Helper()
	bash, err := exec.LookPath("bash")
	if err == nil {
		err = os.WriteFile(r.path("rescue.sh"), []byte(script), 0o644)
	}
	if err != nil {
		r.t.Fatal(err)
	}
	cmd := pgtest.Command(r.t.Context(), r.install, bash, "-euo", "pipefail", r.path("rescue.sh"))
	cmd.Env = append(cmd.Env, "PATH="+r.searchPath())
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// blocks are the page's blocks of commands of one kind: sh for the script, bash for what comes after it. The page has no
// others.
func (r *rescue) blocks(kind string) []string {
	r.t.Helper()
	page := readText(r.t, r.page)
	fences := regexp.MustCompile("(?ms)^```([a-z]*)\n(.*?)^```$").FindAllStringSubmatch(page, -1)
	var blocks []string
	for _, fence := range fences {
		switch fence[1] {
		case kind:
			blocks = append(blocks, fence[2])
		case "sh", "bash":
		default:
			r.t.Fatalf("%s has a block that nothing runs: %s", r.page, fence[2])
		}
	}
	if len(blocks) == 0 {
		r.t.Fatalf("%s has no block of %s", r.page, kind)
	}
	return blocks
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

// searchPath leads to zstd, and to age and minisign where they are needed.
func (r *rescue) searchPath() string {
	r.t.Helper()
	zstd, err := exec.LookPath("zstd")
	if err != nil {
		r.t.Fatal(err)
	}
	path := []string{"/usr/local/bin", "/usr/bin", "/bin", filepath.Dir(zstd)}
	if r.tools != "" {
		path = append([]string{r.tools}, path...)
	}
	return strings.Join(path, ":")
}

// object is the path of the last object of the cluster that the pattern matches.
func (r *rescue) object(pattern string) string {
	r.t.Helper()
	found, err := filepath.Glob(r.path("repository/clusters/main/*/" + pattern))
	if err != nil || len(found) == 0 {
		r.t.Fatalf("%s: %v, %v", pattern, found, err)
	}
	return found[len(found)-1]
}

// rename gives an object or a directory of objects another name in the same place.
func (r *rescue) rename(pattern, name string) {
	r.t.Helper()
	from := r.object(pattern)
	if err := os.Rename(from, filepath.Join(filepath.Dir(from), name)); err != nil {
		r.t.Fatal(err)
	}
}

// flipABit changes a bit in the middle of a file.
func flipABit(t *testing.T, path string) {
	t.Helper()
	content := []byte(readText(t, path))
	content[len(content)/2] ^= 1
	if err := errors.Join(os.Chmod(path, 0o600), os.WriteFile(path, content, 0o600)); err != nil {
		t.Fatal(err)
	}
}
