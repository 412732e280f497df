package drill

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"lifeboat/internal/wal"
	"lifeboat/storage/catalog"
	"lifeboat/verify/census"
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
		beyond     time.Duration // ago, a census was taken that lies behind the end of the archive
	}{
		// Without production, a census can show that WAL is not archived.
		"behind a census":              {age: 2 * time.Hour, beyond: 90 * time.Minute, want: Fail, says: "production had WAL that the archive does not have", lost: 2 * time.Hour},
		"just behind a census":         {age: 2 * time.Hour, beyond: time.Minute, want: Unproven, says: "production is not known here", lost: 2 * time.Hour},
		"behind a census, and silent":  {age: 2 * time.Hour, beyond: 90 * time.Minute, production: unarchived(0, refused), want: Fail, says: "no route", lost: 2 * time.Hour},
		"behind a census, and idle":    {age: 2 * time.Hour, beyond: 90 * time.Minute, production: unarchived(0, nil), want: Pass, says: "has committed nothing"},
		"fresh, but behind the census": {age: time.Minute, beyond: 90 * time.Minute, want: Fail, says: "90.0 min: when census", lost: 90 * time.Minute},

		"fresh":              {20 * time.Minute, nil, Pass, "20.0 min", 20 * time.Minute, 0},
		"from a clock ahead": {-time.Minute, nil, Pass, "0 ms", 0, 0},

		// A clock that is ahead makes the archive look younger than it is.
		"from a clock far ahead":         {-3 * time.Hour, nil, Unproven, "3.0 h in the future of this machine's clock; production is not known", 0, 0},
		"far ahead, and production lags": {-ahead, withClock(2 * time.Hour), Fail, "2.0 h", 2 * time.Hour, 0},
		"far ahead, and all is well":     {-ahead, withClock(time.Minute), Pass, "60.0 s", time.Minute, 0},
		"far ahead, and silent":          {-ahead, unarchived(0, refused), Unproven, "no route to production", 0, 0},

		"nearly too old":        {50 * time.Minute, nil, Warn, "production is not known here", 50 * time.Minute, 0},
		"production is idle":    {2 * time.Hour, unarchived(0, nil), Pass, "production has committed nothing since", 0, 0},
		"production is ahead":   {2 * time.Hour, unarchived(90*time.Minute, nil), Fail, "90.0 min", 90 * time.Minute, 0},
		"a little ahead":        {2 * time.Hour, unarchived(5*time.Minute, nil), Pass, "5.0 min", 5 * time.Minute, 0},
		"nearly too far ahead":  {2 * time.Hour, unarchived(50*time.Minute, nil), Warn, "50.0 min", 50 * time.Minute, 0},
		"production is silent":  {2 * time.Hour, unarchived(0, refused), Unproven, "no route to production", 2 * time.Hour, 0},
		"production is unknown": {2 * time.Hour, nil, Unproven, "production is not known here", 2 * time.Hour, 0},
	} {
		d := &drill{Options: Options{Targets: Policy{RPO: time.Hour, WarnAtPercent: 70}, Production: c.production}, result: &Result{Started: started}}
		d.archive.run = catalog.WALRun{Timeline: 3, LastRecordEnd: 0x5000000, LastTime: started.Add(-c.age)}
		if c.beyond > 0 {
			d.noteBeyond(&census.Census{Taken: started.Add(-c.beyond), Timeline: 3, RestorePoint: census.RestorePoint{LSN: 0x6000000}})
		}
		d.noteBeyond(&census.Census{Timeline: 3, RestorePoint: census.RestorePoint{LSN: 0x4000000}})
		d.noteBeyond(&census.Census{Timeline: 2, RestorePoint: census.RestorePoint{LSN: 0x6000000}})
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
