package main

import (
	"testing"
	"time"

	"github.com/robfig/cron/v3"

	"lifeboat/cmd/internal/config"
)

func TestWhatIsMadeOnAScheduleMayBeAsOldAsThat(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		schedule, now string
		want          time.Duration
	}{
		"no schedule":                   {"", "2026-11-20 12:00", 26 * time.Hour},
		"each night":                    {"0 2 * * *", "2026-11-20 12:00", 26 * time.Hour},
		"each night, just before":       {"0 2 * * *", "2026-11-20 01:59", 26 * time.Hour},
		"each hour":                     {"5 * * * *", "2026-11-20 12:00", 3 * time.Hour},
		"weekdays, over the weekend":    {"0 2 * * 1-5", "2026-11-22 12:00", 74 * time.Hour},
		"weekdays, early on Monday":     {"0 2 * * 1-5", "2026-11-23 03:00", 74 * time.Hour},
		"weekdays, on Monday":           {"0 2 * * 1-5", "2026-11-23 12:00", 26 * time.Hour},
		"each month":                    {"0 2 1 * *", "2026-11-20 12:00", 30*24*time.Hour + 2*time.Hour},
		"a day that never comes":        {"0 2 31 2 *", "2026-11-20 12:00", longestSchedule},
		"a year with a day in February": {"0 2 1 2 *", "2026-11-20 12:00", 365*24*time.Hour + 2*time.Hour},
	} {
		var schedule config.Schedule
		if c.schedule != "" {
			parsed, err := cron.ParseStandard("CRON_TZ=UTC " + c.schedule)
			if err != nil {
				t.Fatal(err)
			}
			schedule.Schedule = parsed
		}
		now, err := time.Parse("2006-01-02 15:04", c.now)
		if err != nil {
			t.Fatal(err)
		}
		if got := oldest(schedule, now); got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
}
