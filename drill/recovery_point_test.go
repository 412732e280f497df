package drill

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"lifeboat/internal/wal"
	"lifeboat/storage/catalog"
)

// TestRecoveryPoint holds the age of the archive against what production has committed since.
func TestRecoveryPoint(t *testing.T) {
	t.Parallel()
	started := time.Date(2026, 11, 22, 4, 0, 0, 0, time.UTC)
	refused := errors.New("no route to production")
	ahead := 3 * time.Hour // of this machine's clock, is production's
	unarchived := func(ago time.Duration, err error) func(context.Context, wal.TimelineID, wal.LSN) (ProductionState, error) {
		return func(_ context.Context, timeline wal.TimelineID, archived wal.LSN) (ProductionState, error) {
			if timeline != 3 || archived != 0x5000000 {
				t.Errorf("production was asked about %s on timeline %d", archived, timeline)
			}
			if ago == 0 {
				return ProductionState{}, err
			}
			return ProductionState{FirstUnarchived: started.Add(-ago)}, err
		}
	}
	withClock := func(ago time.Duration) func(context.Context, wal.TimelineID, wal.LSN) (ProductionState, error) {
		return func(context.Context, wal.TimelineID, wal.LSN) (ProductionState, error) {
			return ProductionState{FirstUnarchived: started.Add(ahead - ago), Clock: started.Add(ahead)}, nil
		}
	}
	for name, c := range map[string]struct {
		age        time.Duration // of the archive
		production func(context.Context, wal.TimelineID, wal.LSN) (ProductionState, error)
		want       Verdict
		says       string
		lost       time.Duration
	}{
		"fresh":              {20 * time.Minute, nil, Pass, "20.0 min", 20 * time.Minute},
		"from a clock ahead": {-time.Minute, nil, Pass, "0 ms", 0},

		// A clock that is ahead makes the archive look younger than it is.
		"from a clock far ahead":         {-3 * time.Hour, nil, Unproven, "3.0 h in the future of this machine's clock; production is not known", 0},
		"far ahead, and production lags": {-ahead, withClock(2 * time.Hour), Fail, "2.0 h", 2 * time.Hour},
		"far ahead, and all is well":     {-ahead, withClock(time.Minute), Pass, "60.0 s", time.Minute},
		"far ahead, and silent":          {-ahead, unarchived(0, refused), Unproven, "no route to production", 0},

		"nearly too old":        {50 * time.Minute, nil, Warn, "production is not known here", 50 * time.Minute},
		"production is idle":    {2 * time.Hour, unarchived(0, nil), Pass, "production has committed nothing since", 0},
		"production is ahead":   {2 * time.Hour, unarchived(90*time.Minute, nil), Fail, "90.0 min", 90 * time.Minute},
		"a little ahead":        {2 * time.Hour, unarchived(5*time.Minute, nil), Pass, "5.0 min", 5 * time.Minute},
		"nearly too far ahead":  {2 * time.Hour, unarchived(50*time.Minute, nil), Warn, "50.0 min", 50 * time.Minute},
		"production is silent":  {2 * time.Hour, unarchived(0, refused), Unproven, "no route to production", 2 * time.Hour},
		"production is unknown": {2 * time.Hour, nil, Unproven, "production is not known here", 2 * time.Hour},
	} {
		d := &drill{Options: Options{Targets: Policy{RPO: time.Hour, WarnAtPercent: 70}, Production: c.production}, result: &Result{Started: started}}
		d.archive.run = catalog.WALRun{Timeline: 3, LastRecordEnd: 0x5000000, LastTime: started.Add(-c.age)}
		d.judgeRPO(t.Context())
		m := d.result.Targets[0]
		if m.Name != TargetRPO || m.Result != c.want || !strings.Contains(m.Actual, c.says) {
			t.Errorf("%s: %+v, want %s and %q", name, m, c.want, c.says)
		}
		if d.result.RPOSeconds != c.lost.Seconds() {
			t.Errorf("%s: %g s would be lost, want %s", name, d.result.RPOSeconds, c.lost)
		}
	}
}
