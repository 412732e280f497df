package instance

import (
	"strings"
	"testing"
	"time"

	"lifeboat/internal/pgtest"
)

func text(s string) *string { return &s }

// TestAnAssertionHoldsOrFailsOrProvesNothing asks a server whose session settings are as bad as can be.
func TestAnAssertionHoldsOrFailsOrProvesNothing(t *testing.T) {
	t.Parallel()
	pgtest.Each(t, func(t *testing.T, install pgtest.Install) {
		c := pgtest.Start(t, install, pgtest.Options{})
		c.Exec(t.Context(), "CREATE TABLE orders AS SELECT i AS id, timestamptz '2026-01-01 12:00:00+00' + i * interval '1 minute' AS at FROM generate_series(1, 10) i; "+
			"ALTER ROLE postgres SET search_path = nowhere; ALTER ROLE postgres SET DateStyle = 'German'; ALTER ROLE postgres SET TimeZone = 'Asia/Tokyo'")
		moment := time.Date(2026, 1, 1, 12, 15, 0, 0, time.UTC)
		for name, tc := range map[string]struct {
			a    Assertion
			want Result
			says string
		}{
			"equal":              {Assertion{SQL: "SELECT count(*) FROM orders", Equals: text("10")}, Pass, "10, as it must be"},
			"equal as numbers":   {Assertion{SQL: "SELECT 10.00", Equals: text("10")}, Pass, "10.00"},
			"equal text":         {Assertion{SQL: "SELECT 'on'::text", Equals: text("on")}, Pass, "on"},
			"equal truth":        {Assertion{SQL: "SELECT 1 = 1", Equals: text("true")}, Pass, "t, as"},
			"not equal":          {Assertion{SQL: "SELECT count(*) FROM orders", Equals: text("11")}, Fail, "10, not 11"},
			"in range":           {Assertion{SQL: "SELECT sum(id) FROM orders", Between: &[2]string{"55", "100"}}, Pass, "between 55 and 100"},
			"below":              {Assertion{SQL: "SELECT sum(id) FROM orders", Between: &[2]string{"56", "100"}}, Fail, "55, not 56 to 100"},
			"above":              {Assertion{SQL: "SELECT -1.5", Between: &[2]string{"-3", "-2"}}, Fail, "-1.5, not"},
			"in range of times":  {Assertion{SQL: "SELECT min(at) FROM orders", Between: &[2]string{"2026-01-01", "2026-01-01T12:02:00Z"}}, Pass, "between"},
			"no number":          {Assertion{SQL: "SELECT 'many'", Between: &[2]string{"1", "2"}}, Unproven, "not all numbers"},
			"fresh":              {Assertion{SQL: "SELECT max(at) FROM orders", AtMostOlder: 5 * time.Minute}, Pass, "5m0s older"},
			"fresh without zone": {Assertion{SQL: "SELECT max(at)::timestamp FROM orders", AtMostOlder: 5 * time.Minute}, Pass, "5m0s older"},
			"from the future":    {Assertion{SQL: "SELECT max(at) + interval '1 day' FROM orders", AtMostOlder: time.Minute}, Pass, "0s older"},
			"stale":              {Assertion{SQL: "SELECT max(at) FROM orders", AtMostOlder: 4 * time.Minute}, Fail, "5m0s older than the moment recovered to, 2026-01-01T12:15:00Z: at most 4m0s"},
			"no time":            {Assertion{SQL: "SELECT 'soon'", AtMostOlder: time.Minute}, Unproven, `"soon" is not a time`},
			"nothing":            {Assertion{SQL: "SELECT max(at) FROM orders WHERE id > 99", AtMostOlder: time.Minute}, Fail, "gives NULL"},
			"no row":             {Assertion{SQL: "SELECT 1 FROM orders WHERE id > 99", Equals: text("1")}, Unproven, "no row"},
			"two rows":           {Assertion{SQL: "SELECT id FROM orders", Equals: text("1")}, Unproven, "more than one row"},
			"two columns":        {Assertion{SQL: "SELECT 1, 2", Equals: text("1")}, Unproven, "2 columns"},
			"mistake":            {Assertion{SQL: "SELECT id FROM oders", Equals: text("1")}, Unproven, `relation "oders" does not exist`},
			"two statements":     {Assertion{SQL: "SELECT 1; SELECT 2", Equals: text("1")}, Unproven, "the query fails"},
			"writes":             {Assertion{SQL: "DELETE FROM orders RETURNING 1", Equals: text("1")}, Unproven, "read-only transaction"},
			"too slow":           {Assertion{SQL: "SELECT 1 FROM pg_sleep(60)", Equals: text("1")}, Unproven, "statement timeout"},
			"no database":        {Assertion{Database: "nowhere", SQL: "SELECT 1", Equals: text("1")}, Unproven, `"nowhere"`},
		} {
			if tc.a.Database == "" {
				tc.a.Database = "postgres"
			}
			timeout := time.Minute
			if name == "too slow" {
				timeout = 300 * time.Millisecond
			}
			f := Assert(t.Context(), connector(c), tc.a, AssertOptions{Moment: moment, Timeout: timeout})
			if f.Result != tc.want || !strings.Contains(f.Detail, tc.says) {
				t.Errorf("%s: %s: %s; want %s and %q", name, f.Result, f.Detail, tc.want, tc.says)
			}
		}
		unknown := Assert(t.Context(), connector(c), Assertion{Database: "postgres", SQL: "SELECT now()", AtMostOlder: time.Hour}, AssertOptions{})
		if unknown.Result != Unproven {
			t.Errorf("without a moment: %+v", unknown)
		}
	})
}
