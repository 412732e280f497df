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
	const deadline = 15 * time.Second // enough to come to the recovery, also on a busy machine
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
			o.Receiver, o.Isolation, o.FetchCommand = "", drill.BestEffort, "exec sleep 600"
			o.Deadline, o.Targets.RestorePerTerabyte = deadline, tc.perTerabyte
			r := s.drill(t, o)
			if r.Verdict != tc.want || r.Ending.How != drill.EndedDeadline || r.Ending.Phase != drill.PhaseReplay || r.Ending.DeadlineSeconds != deadline.Seconds() {
				t.Errorf("%s, ended %+v", r.Verdict, r.Ending)
			}
			why := check(t, r, drill.CheckRecovery)
			if why.Result != drill.Unproven || !strings.Contains(why.Detail, `deadline of 15.0 s came in the phase "replay"`) {
				t.Errorf("%+v", why)
			}
			if m := target(r, drill.TargetTime); (m.Result == drill.Fail) != (tc.want == drill.Fail) {
				t.Errorf("%+v", m)
			}
			if took := r.Finished.Sub(r.Started); took > deadline+25*time.Second {
				t.Errorf("it took %s", took)
			}
			wantWhys(t, r)
		})
	}
}
