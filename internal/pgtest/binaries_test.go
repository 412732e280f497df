package pgtest_test

import (
	"path/filepath"
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
