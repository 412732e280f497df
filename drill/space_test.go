package drill_test

import (
	"path/filepath"
	"strings"
	"testing"

	"lifeboat/drill"
	"lifeboat/internal/pgtest"
)

func TestADrillTakesNoMoreDiskThanItMay(t *testing.T) {
	t.Parallel()
	s := newScene(t, pgtest.Newest(t), nil)
	s.quietStory()
	o := s.options(t)
	o.DiskLimit = 100 << 20
	r := s.drill(t, o)
	why := check(t, r, drill.CheckBackup)
	if r.Verdict != drill.Unproven || why.Result != drill.Unproven || !strings.Contains(why.Detail, "the limit is") || !strings.Contains(why.Detail, "disk_limit") {
		t.Errorf("%s, %+v", r.Verdict, why)
	}
	wantWhys(t, r)
}

// TestDrillsInOneDirectoryShareItsLimit runs a drill while another one has the disk for one.
func TestDrillsInOneDirectoryShareItsLimit(t *testing.T) {
	t.Parallel()
	s := newScene(t, pgtest.Newest(t), nil)
	s.quietStory()
	o := s.options(t)
	o.DiskLimit = 300 << 20 // a drill of this cluster takes some 200 MB
	second := o
	var denied *drill.Result
	o.Progress = func(phase string, _, _ int64) {
		if phase != drill.PhaseReplay || denied != nil {
			return
		}
		var err error
		if denied, err = drill.Run(t.Context(), second); err != nil {
			t.Errorf("the second drill: %v", err)
		}
	}
	if r := s.drill(t, o); r.Verdict != drill.Pass {
		tell(t, r)
		t.Errorf("the first drill: %s", r.Verdict)
	}
	if denied == nil {
		t.Fatal("there was no second drill")
	}
	if why := check(t, denied, drill.CheckBackup); denied.Verdict != drill.Unproven || !strings.Contains(why.Detail, "other drills have") {
		t.Errorf("the second drill: %s, %+v", denied.Verdict, why)
	}
	if ballasts, err := filepath.Glob(filepath.Join(o.WorkDirectory, "*", "ballast")); err != nil || len(ballasts) != 0 {
		t.Errorf("left: %v, %v", ballasts, err)
	}
}
