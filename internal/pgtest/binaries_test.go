package pgtest_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"

	"lifeboat/internal/pgtest"
)

func TestPostgreSQLsUserRunsTheBinaries(t *testing.T) {
	t.Parallel()
	dir := pgtest.BuildBinaries(t)
	if again := pgtest.BuildBinaries(t); again != dir {
		t.Errorf("built into %s and %s", dir, again)
	}
	cmd := pgtest.Command(t.Context(), pgtest.Newest(t), filepath.Join(dir, "lifeboat"), "--help")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("lifeboat --help: %v: %s", err, out)
	}
}

// TestProgramsRunWhileOthersAreStarted runs each program as soon as it is there. Of programs that the test wrote itself, one in
// a hundred was busy.
func TestProgramsRunWhileOthersAreStarted(t *testing.T) {
	t.Parallel()
	for number := range 8 {
		t.Run(strconv.Itoa(number), func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			for try := range 15 {
				script, program := filepath.Join(dir, "script"+strconv.Itoa(try)), filepath.Join(dir, "program"+strconv.Itoa(try))
				pgtest.WriteScript(t, script, "echo it runs")
				pgtest.CopyProgram(t, "/bin/echo", program)
				for path, want := range map[string]string{script: "it runs\n", program: "\n"} {
					if out, err := exec.Command(path).CombinedOutput(); err != nil || string(out) != want {
						t.Errorf("%s: %v: %q", path, err, out)
					}
					if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o755 {
						t.Errorf("%v, %v", info, err)
					}
				}
			}
		})
	}
}
