package instance

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"lifeboat/internal/pgtest"
)

// TestEveryPageIsChecked holds the layer against PostgreSQL's own program, with a tablespace and damage in it.
func TestEveryPageIsChecked(t *testing.T) {
	t.Parallel()
	install := pgtest.Debian(t)
	c := pgtest.Start(t, install, pgtest.Options{DataChecksums: true})
	space := pgtest.TempDir(t)
	for _, sql := range []string{"CREATE TABLESPACE apart LOCATION '" + space + "'",
		"CREATE TABLE there TABLESPACE apart AS SELECT i AS id FROM generate_series(1, 10000) i; CREATE TABLE here AS TABLE there; CREATE UNLOGGED TABLE quick AS TABLE there"} {
		c.Exec(t.Context(), sql)
	}
	there, here := c.Value(t.Context(), "SELECT pg_relation_filepath('there')"), c.Value(t.Context(), "SELECT pg_relation_filepath('here')")
	if f := Pages(t.Context(), PagesOptions{Directory: c.DataDir}); f.Result != Unproven || !strings.Contains(f.Detail, "did not shut down") {
		t.Errorf("while it runs: %+v", f)
	}
	c.Stop()
	agree := func(want Result, says ...string) {
		t.Helper()
		f := Pages(t.Context(), PagesOptions{Directory: c.DataDir, Workers: 4})
		oracle := pgtest.Command(t.Context(), install, "pg_checksums", "--check", "-D", c.DataDir)
		out, err := oracle.CombinedOutput()
		if f.Result != want || (err == nil) != (want == Pass) {
			t.Errorf("%+v; pg_checksums: %v: %s", f, err, out)
		}
		for _, part := range says {
			if !strings.Contains(f.Detail, part) {
				t.Errorf("%q does not say %q", f.Detail, part)
			}
		}
	}
	agree(Pass)
	flip(t, filepath.Join(c.DataDir, there), 3*8192+100)
	flip(t, filepath.Join(c.DataDir, here), 7*8192+8000)
	agree(Fail, "block 3 of "+there, "block 7 of "+here)
	if out, err := exec.CommandContext(t.Context(), "truncate", "-s", "-100", filepath.Join(c.DataDir, here)).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	agree(Fail, here+" ends within a page")
}

func flip(t *testing.T, path string, at int64) {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	content[at] ^= 4
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestAClusterWithoutChecksumsSaysSo(t *testing.T) {
	t.Parallel()
	c := pgtest.Start(t, pgtest.Debian(t), pgtest.Options{})
	c.Stop()
	if f := Pages(t.Context(), PagesOptions{Directory: c.DataDir}); f.Result != NotRun || !strings.Contains(f.Detail, "no data checksums") {
		t.Errorf("%+v", f)
	}
	if f := Pages(t.Context(), PagesOptions{Directory: pgtest.TempDir(t)}); f.Result != Unproven {
		t.Errorf("without anything: %+v", f)
	}
}
