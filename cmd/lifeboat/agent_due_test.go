package main

import (
	"testing"
	"time"

	"github.com/robfig/cron/v3"

	"lifeboat/cmd/internal/config"
)

func TestJobsAreDueByTheirSchedule(t *testing.T) {
	t.Parallel()
	at := func(text string) time.Time {
		moment, err := time.Parse("2006-01-02 15:04", text)
		if err != nil {
			t.Fatal(err)
		}
		return moment
	}
	for name, tc := range map[string]struct {
		schedule, base, now string
		due                 bool
	}{
		"not yet":                         {"CRON_TZ=UTC 0 2 * * *", "2026-11-21 02:00", "2026-11-22 01:59", false},
		"on time":                         {"CRON_TZ=UTC 0 2 * * *", "2026-11-21 02:00", "2026-11-22 02:00", true},
		"missed for days":                 {"CRON_TZ=UTC 0 2 * * *", "2026-11-18 02:00", "2026-11-22 01:00", true},
		"made by hand before":             {"CRON_TZ=UTC 0 2 * * *", "2026-11-22 01:30", "2026-11-22 02:00", true},
		"late, and made":                  {"CRON_TZ=UTC 0 2 * * *", "2026-11-22 05:00", "2026-11-22 20:00", false},
		"another zone, before":            {"CRON_TZ=Asia/Tokyo 0 2 * * *", "2026-11-20 17:00", "2026-11-21 16:59", false},
		"another zone, on time":           {"CRON_TZ=Asia/Tokyo 0 2 * * *", "2026-11-20 17:00", "2026-11-21 17:00", true},
		"the last run lies in the future": {"CRON_TZ=UTC 0 2 * * *", "2027-11-22 02:00", "2026-11-22 03:00", false},
		"a day that never comes":          {"CRON_TZ=UTC 0 2 31 2 *", "2026-01-01 00:00", "2026-11-22 03:00", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			schedule, err := cron.ParseStandard(tc.schedule)
			if err != nil {
				t.Fatal(err)
			}
			j := &job{schedule: config.Schedule{Schedule: schedule}, base: at(tc.base)}
			if due := j.due(at(tc.now)); due != tc.due {
				t.Errorf("due: %t, next at %s", due, j.after(j.base, at(tc.now)))
			}
		})
	}
}
