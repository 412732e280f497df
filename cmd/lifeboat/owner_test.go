package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"lifeboat/internal/pgtest"
)

// An administrator types some commands as root; PostgreSQL's own user must be able to go on with what they made.
// An ordinary user's test shows the same with one user.
func TestWhatRootMakesBelongsToPostgreSQLsUser(t *testing.T) {
	t.Parallel()
	in := bareInstallation(t, pgtest.Newest(t))
	in.start(pgtest.Options{})
	in.server.Exec(t.Context(), "CREATE TABLE kept AS SELECT generate_series(1, 10) AS n")
	if err := os.Remove(in.config); err != nil {
		t.Fatal(err)
	}
	in.asMe("init", "--repository", "file://"+in.repository, "--connection", in.server.DSN("postgres"), "--data-directory", in.server.DataDir)
	in.asMe("backup")
	in.must("backup") // as PostgreSQL's user, in the repository that root made
	target := filepath.Join(t.TempDir(), "restored")
	in.asMe("restore", "--target-dir", target)
	for _, path := range []string{in.config, in.repository, target, filepath.Join(target, "global/pg_control")} {
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		want := uint32(os.Geteuid())
		if user := pgtest.UnprivilegedUser(); user != nil {
			want = user.Uid
		}
		if got := info.Sys().(*syscall.Stat_t).Uid; got != want {
			t.Errorf("%s belongs to user %d, not %d", path, got, want)
		}
	}
}

// asMe types a command as the test's own user.
func (in *installation) asMe(args ...string) {
	in.t.Helper()
	cmd := exec.Command(filepath.Join(in.bin, "lifeboat"), append([]string{"--config", in.config}, args...)...)
	if o := finished(in.t, cmd); o.code != 0 {
		in.t.Fatalf("lifeboat %v: exit code %d\n%s%s", args, o.code, o.out, o.errors)
	}
}
