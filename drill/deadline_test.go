package drill_test

import (
	"strings"
	"testing"
	"time"

	"lifeboat/drill"
	"lifeboat/internal/pgtest"
)

// TestADrillThatHangsStopsAtItsDeadline has a restore_command that never answers.
func TestADrillThatHangsStopsAtItsDeadline(t *testing.T) {
	t.Parallel()
	s := newScene(t, pgtest.Newest(t), nil)
	s.quietStory()
	for name, tc := range map[string]struct {
		perTerabyte time.Duration
		want        drill.Verdict
	}{
		"there was time yet":       {10000 * time.Hour, drill.Unproven},
		"its promised time was up": {time.Second, drill.Fail},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := s.options(t)
			o.FetchCommand, o.Deadline, o.Targets.RestorePerTerabyte = "exec sleep 600", 4*time.Second, tc.perTerabyte
			r := s.drill(t, o)
			if r.Verdict != tc.want || r.Ending.How != drill.EndedDeadline || r.Ending.Phase != drill.PhaseReplay || r.Ending.DeadlineSeconds != 4 {
				t.Errorf("%s, ended %+v", r.Verdict, r.Ending)
			}
			why := check(t, r, drill.CheckRecovery)
			if why.Result != drill.Unproven || !strings.Contains(why.Detail, `deadline of 4.0 s came in the phase "replay"`) {
				t.Errorf("%+v", why)
			}
			if m := target(r, drill.TargetTime); (m.Result == drill.Fail) != (tc.want == drill.Fail) {
				t.Errorf("%+v", m)
			}
			if took := r.Finished.Sub(r.Started); took > 25*time.Second {
				t.Errorf("it took %s", took)
			}
			wantWhys(t, r)
		})
	}
}
