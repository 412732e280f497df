package schedule

import (
	"testing"
	"time"
	_ "time/tzdata" // the zones of the tests, wherever they run

	"github.com/robfig/cron/v3"
)

func moment(t *testing.T, text string) time.Time {
	t.Helper()
	if text == "" {
		return time.Time{}
	}
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		t.Fatal(err)
	}
	return at
}

func parsed(t *testing.T, line string) cron.Schedule {
	t.Helper()
	s, err := cron.ParseStandard(line)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestADrillIsDueByItsScheduleAndItsEvidence(t *testing.T) {
	t.Parallel()
	const nightly, newYork = "CRON_TZ=UTC 0 4 * * *", "CRON_TZ=America/New_York 30 2 * * *"
	for name, tc := range map[string]struct {
		schedule        string
		runs            []string // when they began; a ! before it died, a - was asked to stop
		firstSeen, now  string
		due             bool
		next, overdueAt string
	}{
		"it has run since":                 {nightly, []string{"2026-11-22T04:00:01Z"}, "", "2026-11-22T20:00:00Z", false, "2026-11-23T04:00:00Z", ""},
		"its time has come":                {nightly, []string{"2026-11-21T04:00:01Z"}, "", "2026-11-22T04:00:00Z", true, "2026-11-23T04:00:00Z", "2026-11-22T04:00:00Z"},
		"missed for days: late, once":      {nightly, []string{"2026-11-10T04:00:01Z"}, "", "2026-11-22T01:00:00Z", true, "2026-11-22T04:00:00Z", "2026-11-11T04:00:00Z"},
		"late, and made":                   {nightly, []string{"2026-11-10T04:00:01Z", "2026-11-22T01:00:00Z"}, "", "2026-11-22T02:00:00Z", false, "2026-11-22T04:00:00Z", ""},
		"never run, just seen":             {nightly, nil, "2026-11-22T05:00:00Z", "2026-11-22T05:00:00Z", false, "2026-11-23T04:00:00Z", ""},
		"never run, seen long ago":         {nightly, nil, "2026-11-20T05:00:00Z", "2026-11-22T05:00:00Z", true, "2026-11-23T04:00:00Z", "2026-11-21T04:00:00Z"},
		"seen in the future":               {nightly, nil, "2027-11-20T05:00:00Z", "2026-11-22T05:00:00Z", false, "2026-11-23T04:00:00Z", ""},
		"evidence of the future":           {nightly, []string{"2026-11-20T04:00:01Z", "2027-06-01T04:00:00Z"}, "", "2026-11-22T05:00:00Z", true, "2026-11-23T04:00:00Z", "2026-11-21T04:00:00Z"},
		"nothing but the future":           {nightly, []string{"2027-06-01T04:00:00Z"}, "2026-11-22T04:30:00Z", "2026-11-22T05:00:00Z", false, "2026-11-23T04:00:00Z", ""},
		"clocks that differ a little":      {nightly, []string{"2026-11-22T04:05:00Z"}, "", "2026-11-22T04:01:00Z", false, "2026-11-23T04:00:00Z", ""},
		"asked to stop":                    {nightly, []string{"2026-11-21T04:00:01Z", "-2026-11-22T04:00:01Z"}, "", "2026-11-22T04:10:00Z", true, "2026-11-23T04:00:00Z", "2026-11-22T04:00:00Z"},
		"died: once more":                  {nightly, []string{"2026-11-21T04:00:01Z", "!2026-11-22T04:00:01Z"}, "", "2026-11-22T04:10:00Z", true, "2026-11-23T04:00:00Z", "2026-11-22T04:00:00Z"},
		"died the first time":              {nightly, []string{"!2026-11-22T04:00:01Z"}, "2026-11-21T12:00:00Z", "2026-11-22T04:10:00Z", true, "2026-11-23T04:00:00Z", "2026-11-22T04:00:00Z"},
		"died twice: not for ever":         {nightly, []string{"2026-11-21T04:00:01Z", "!2026-11-22T04:00:01Z", "!2026-11-22T04:10:00Z"}, "", "2026-11-22T04:20:00Z", false, "2026-11-23T04:00:00Z", ""},
		"another zone, before":             {"CRON_TZ=Asia/Tokyo 0 2 * * *", []string{"2026-11-20T17:00:00Z"}, "", "2026-11-21T16:59:59Z", false, "2026-11-21T17:00:00Z", ""},
		"another zone, on time":            {"CRON_TZ=Asia/Tokyo 0 2 * * *", []string{"2026-11-20T17:00:00Z"}, "", "2026-11-21T17:00:00Z", true, "2026-11-22T17:00:00Z", "2026-11-21T17:00:00Z"},
		"its hour is skipped: an hour on":  {newYork, []string{"2026-03-07T02:30:00-05:00"}, "", "2026-03-08T03:29:59-04:00", false, "2026-03-08T03:30:00-04:00", ""},
		"its hour was skipped":             {newYork, []string{"2026-03-07T02:30:00-05:00"}, "", "2026-03-08T03:30:00-04:00", true, "2026-03-09T02:30:00-04:00", "2026-03-08T03:30:00-04:00"},
		"its hour was skipped, and it ran": {newYork, []string{"2026-03-08T03:30:00-04:00"}, "", "2026-03-08T23:00:00-04:00", false, "2026-03-09T02:30:00-04:00", ""},
		"its hour comes twice: first":      {"CRON_TZ=America/New_York 30 1 * * *", []string{"2026-10-31T01:30:00-04:00"}, "", "2026-11-01T01:30:00-04:00", true, "2026-11-02T01:30:00-05:00", "2026-11-01T01:30:00-04:00"},
		"its hour comes twice: once":       {"CRON_TZ=America/New_York 30 1 * * *", []string{"2026-11-01T01:30:05-04:00"}, "", "2026-11-01T01:30:00-05:00", false, "2026-11-02T01:30:00-05:00", ""},
		"every hour: all of them":          {"CRON_TZ=America/New_York 30 * * * *", []string{"2026-11-01T01:30:05-04:00"}, "", "2026-11-01T01:30:00-05:00", true, "2026-11-01T02:30:00-05:00", "2026-11-01T01:30:00-05:00"},
		"a leap day":                       {"CRON_TZ=UTC 0 6 29 2 *", []string{"2024-02-29T06:00:00Z"}, "", "2028-02-29T06:00:00Z", true, "2032-02-29T06:00:00Z", "2028-02-29T06:00:00Z"},
		"no leap day this year":            {"CRON_TZ=UTC 0 6 29 2 *", []string{"2024-02-29T06:00:00Z"}, "", "2027-03-01T06:00:00Z", false, "2028-02-29T06:00:00Z", ""},
		"each quarter":                     {"CRON_TZ=UTC 0 6 1 1,4,7,10 *", []string{"2026-07-01T06:00:00Z"}, "", "2026-11-22T00:00:00Z", true, "2027-01-01T06:00:00Z", "2026-10-01T06:00:00Z"},
		"every so often":                   {"@every 1h", []string{"2026-11-22T04:00:00Z"}, "", "2026-11-22T04:59:59Z", false, "2026-11-22T05:00:00Z", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			runs := []Run{}
			for _, text := range tc.runs {
				r := Run{Died: text[0] == '!', Stopped: text[0] == '-'}
				if r.Died || r.Stopped {
					text = text[1:]
				}
				r.Began = moment(t, text)
				runs = append(runs, r)
			}
			now := moment(t, tc.now)
			got := Judge(parsed(t, tc.schedule), Base(runs, moment(t, tc.firstSeen), now), now)
			if got.Due != tc.due || !got.Next.Equal(moment(t, tc.next)) || !got.Overdue.Equal(moment(t, tc.overdueAt)) {
				t.Errorf("%+v", got)
			}
		})
	}
}

func TestADayThatNeverComesIsNeverDue(t *testing.T) {
	t.Parallel()
	base := moment(t, "2020-01-01T00:00:00Z")
	if got := Judge(parsed(t, "CRON_TZ=UTC 0 2 31 2 *"), base, moment(t, "2026-11-22T00:00:00Z")); got.Due || got.Next.Year() < 2100 {
		t.Errorf("%+v", got)
	}
}

func TestAScheduleWithoutAZoneIsInThatOfTheMachine(t *testing.T) {
	t.Parallel()
	zone, err := time.LoadLocation("Australia/Lord_Howe") // its clocks are set by half an hour
	if err != nil {
		t.Fatal(err)
	}
	base := time.Date(2026, 10, 3, 12, 0, 0, 0, zone)
	if got, want := Next(parsed(t, "15 2 * * *"), base), time.Date(2026, 10, 4, 2, 45, 0, 0, zone); !got.Equal(want) {
		t.Errorf("%s, want %s: 02:00 to 02:30 is skipped", got, want)
	}
}
