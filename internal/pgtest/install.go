package pgtest

import (
	"cmp"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// EnvInstalls names the environment variable that lists the bin directories of the PostgreSQL
// installations to test with, separated by colons. Without it, they are looked for.
const EnvInstalls = "LIFEBOAT_TEST_POSTGRES"

// Install is one PostgreSQL installation: at least initdb, pg_ctl and postgres.
type Install struct {
	Major  int
	BinDir string
}

// HasTool tells whether the installation has the named program, such as pg_verifybackup.
func (i Install) HasTool(name string) bool {
	info, err := os.Stat(i.Tool(name))
	return err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0
}

// Tool is the path of the named program in this installation.
func (i Install) Tool(name string) string { return filepath.Join(i.BinDir, name) }

// String is the version as it stands in names of subtests.
func (i Install) String() string { return "postgres" + strconv.Itoa(i.Major) }

// installs looks for installations once in a process: the result cannot change while tests run.
var installs = sync.OnceValues(findInstalls)

// Versions lists the installations to test with, oldest first. The test fails where there is none.
func Versions(t testing.TB) []Install {
	t.Helper()
	found, err := installs()
	if err != nil {
		t.Fatalf("find PostgreSQL: %v", err)
	}
	if len(found) == 0 {
		t.Fatalf("no PostgreSQL found: run .ci/postgres test, or name bin directories in $%s", EnvInstalls)
	}
	return slices.Clone(found)
}

// Each runs a test, in parallel, once with every installation.
func Each(t *testing.T, test func(t *testing.T, install Install)) {
	t.Helper()
	for _, install := range Versions(t) {
		t.Run(install.String(), func(t *testing.T) {
			t.Parallel()
			test(t, install)
		})
	}
}

// Newest is the installation with the highest major version.
func Newest(t testing.TB) Install {
	t.Helper()
	found := Versions(t)
	return found[len(found)-1]
}

// Debian is the newest installation that has PostgreSQL's client programs too, as a distribution's has. The
// programs speak with servers of every version that the tests use, pg_verifybackup and pg_waldump excepted.
func Debian(t testing.TB) Install {
	t.Helper()
	for _, install := range slices.Backward(Versions(t)) {
		if install.HasTool("psql") && install.HasTool("pgbench") && install.HasTool("pg_verifybackup") {
			return install
		}
	}
	t.Fatal("no PostgreSQL with client programs found: run .ci/postgres test")
	return Install{}
}

func findInstalls() ([]Install, error) {
	var found []Install
	for _, dir := range binDirs() {
		install, err := inspect(dir)
		if err != nil {
			return nil, err
		}
		found = append(found, install)
	}
	slices.SortStableFunc(found, func(a, b Install) int { return cmp.Compare(a.Major, b.Major) })
	return slices.CompactFunc(found, func(a, b Install) bool { return a.Major == b.Major }), nil
}

func binDirs() []string {
	if list := os.Getenv(EnvInstalls); list != "" {
		return filepath.SplitList(list)
	}
	dirs := glob("/usr/lib/postgresql/*/bin")
	if root, err := moduleRoot(); err == nil {
		dirs = append(dirs, glob(filepath.Join(root, ".cache/postgres/*/bin"))...)
		dirs = append(dirs, glob(filepath.Join(root, ".cache/postgres/debian/usr/lib/postgresql/*/bin"))...)
	}
	return slices.DeleteFunc(dirs, func(dir string) bool { return !Install{BinDir: dir}.HasTool("initdb") })
}

func glob(pattern string) []string {
	matches, err := filepath.Glob(pattern)
	if err != nil {
		panic(err) // the patterns are constants
	}
	return matches
}

// moduleRoot is the directory above the working directory that holds go.mod.
func moduleRoot() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("find the module's root: %w", err)
	}
	for ; dir != "/"; dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, nil
		}
	}
	return "", fmt.Errorf("find the module's root: %w", os.ErrNotExist)
}

var versionLine = regexp.MustCompile(`^postgres \(PostgreSQL\) (\d+)`)

// inspect asks the server program for its version, and copies an installation that PostgreSQL's user cannot
// reach to where it can.
func inspect(binDir string) (Install, error) {
	install := Install{BinDir: binDir}
	if UnprivilegedUser() != nil && !reachable(binDir) {
		copied, err := copyInstall(binDir)
		if err != nil {
			return Install{}, err
		}
		install.BinDir = copied
	}
	out, err := exec.Command(install.Tool("postgres"), "--version").Output()
	if err != nil {
		return Install{}, fmt.Errorf("ask %s for its version: %w", install.Tool("postgres"), err)
	}
	match := versionLine.FindSubmatch(out)
	if match == nil {
		return Install{}, fmt.Errorf("%s is no PostgreSQL server: %q", install.Tool("postgres"), strings.TrimSpace(string(out)))
	}
	install.Major, err = strconv.Atoi(string(match[1]))
	return install, err
}

// copyInstall copies a self-contained installation (bin, lib and share side by side) below the shared
// directory, once for all test processes.
func copyInstall(binDir string) (string, error) {
	dir, err := sharedOnce("install", binDir, func(dir string) error {
		return run(exec.Command("cp", "-a", "--reflink=auto", filepath.Dir(binDir)+"/.", dir))
	})
	if err != nil {
		return "", fmt.Errorf("copy PostgreSQL from %s: %w", binDir, err)
	}
	return filepath.Join(dir, filepath.Base(binDir)), nil
}
