package drill_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"lifeboat/drill"
	"lifeboat/internal/pgtest"
)

// hangs is for how long a command that never answers is there.
const hangs = 10 * time.Minute

// drillUntilReplay drills with a deadline that is long enough to come to the recovery, however busy the machine is.
func (s *scene) drillUntilReplay(t *testing.T, o drill.Options) (*drill.Result, time.Duration) {
	t.Helper()
	for o.Deadline = 10 * time.Second; ; o.Deadline *= 2 {
		r := s.drill(t, o)
		if early := r.Ending.Phase == drill.PhasePlan || r.Ending.Phase == drill.PhaseFetch; !early || o.Deadline > time.Minute {
			return r, o.Deadline
		}
	}
}

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
			o.Receiver, o.Isolation, o.FetchCommand = "", drill.BestEffort, fmt.Sprintf("exec sleep %d", int(hangs.Seconds()))
			o.Targets.RestorePerTerabyte = tc.perTerabyte
			r, deadline := s.drillUntilReplay(t, o)
			if r.Verdict != tc.want || r.Ending.How != drill.EndedDeadline || r.Ending.Phase != drill.PhaseReplay || r.Ending.DeadlineSeconds != deadline.Seconds() {
				t.Errorf("%s, ended %+v", r.Verdict, r.Ending)
			}
			why := check(t, r, drill.CheckRecovery)
			if why.Result != drill.Unproven || !strings.Contains(why.Detail, fmt.Sprintf(`deadline of %d.0 s came in the phase "replay"`, int(deadline.Seconds()))) {
				t.Errorf("%+v", why)
			}
			if m := target(r, drill.TargetTime); (m.Result == drill.Fail) != (tc.want == drill.Fail) {
				t.Errorf("%+v", m)
			}
			if took := r.Finished.Sub(r.Started); took > hangs/2 {
				t.Errorf("it took %s", took)
			}
			wantWhys(t, r)
		})
	}
}
