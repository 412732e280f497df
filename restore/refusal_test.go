package restore_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"lifeboat/restore"
)

// refuseOccupied restores without a map, which would write into the live tablespace.
func refuseOccupied(t *testing.T, s *scene) {
	t.Helper()
	o := s.planOptions(t)
	plan, err := restore.MakePlan(t.Context(), s.cluster, restore.Target{Kind: restore.KindLatest}, o)
	if err != nil {
		t.Fatal(err)
	}
	_, err = restore.Execute(t.Context(), s.cluster, plan, execOptions())
	var occupied *restore.NotEmptyError
	if !errors.As(err, &occupied) || occupied.Path != plan.Tablespaces[0].Location {
		t.Errorf("restore over a live tablespace gave %v", err)
	}
	nothing(t, o.Directory)
}

// nothing fails the test where a path exists.
func nothing(t *testing.T, path string) {
	t.Helper()
	if _, err := os.Lstat(path); !errors.Is(err, os.ErrNotExist) {
		names, _ := filepath.Glob(filepath.Join(path, "*"))
		t.Errorf("%s was left: %v %v", path, err, names)
	}
}
