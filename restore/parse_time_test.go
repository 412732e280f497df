package restore

import (
	"errors"
	"strings"
	"testing"
	"time"
)

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

func TestParseTimeForms(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"2024-01-15T14:46:00Z":                "2024-01-15 14:46:00.000000+00",
		"2024-01-15t14:46:00z":                "2024-01-15 14:46:00.000000+00",
		"2024-01-15T14:46:00.123456789+01:00": "2024-01-15 13:46:00.123456+00",
		"2024-01-15 14:46:00+00":              "2024-01-15 14:46:00.000000+00",
		"2024-01-15 14:46:00.5+00":            "2024-01-15 14:46:00.500000+00",
		"2024-01-15 14:46:00+00:00":           "2024-01-15 14:46:00.000000+00",
		"2024-01-15 14:46:00+0530":            "2024-01-15 09:16:00.000000+00",
		"2024-01-15 14:46:00 -03:30":          "2024-01-15 18:16:00.000000+00",
		"2024-01-15 14:46:00 UTC":             "2024-01-15 14:46:00.000000+00",
		"2024-01-15 14:46+02":                 "2024-01-15 12:46:00.000000+00",
		" 2024-02-29 00:00:00+00 ":            "2024-02-29 00:00:00.000000+00",
		"1h ago":                              "2026-11-22 11:00:00.000000+00",
		"1 hour ago":                          "2026-11-22 11:00:00.000000+00",
		"90 min ago":                          "2026-11-22 10:30:00.000000+00",
		"2 days ago":                          "2026-11-20 12:00:00.000000+00",
		"1h30m ago":                           "2026-11-22 10:30:00.000000+00",
		"1.5 Hours Ago":                       "2026-11-22 10:30:00.000000+00",
		"1 week ago":                          "2026-11-15 12:00:00.000000+00",
		"0 s ago":                             "2026-11-22 12:00:00.000000+00",
	} {
		got, err := ParseTime(text, noon)
		if err != nil || FormatTime(got) != want {
			t.Errorf("ParseTime(%q) = %s, %v; want %s", text, FormatTime(got), err, want)
		}
	}
}

func TestParseTimeWithoutZoneSaysSo(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"2024-01-15 14:46:00", "2024-01-15T14:46:00", "2024-01-15 14:46:00.25", "2024-01-15 14:46"} {
		_, err := ParseTime(text, noon)
		if !errors.Is(err, ErrNoZone) || !strings.Contains(err.Error(), `"`+text+`+00"`) {
			t.Errorf("ParseTime(%q) gave %v, want ErrNoZone with an example", text, err)
		}
	}
}

func TestParseTimeRefusesOtherText(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"", "now", "yesterday", "ago", "1 ago", "1 month ago", "h ago", "-1h ago", "2024-01-15", "14:46:00+00",
		"2024-02-30 00:00:00+00", "2024-13-01 00:00:00+00", "2024-01-15 25:00:00+00", "2024-01-15 14:46:00 Europe/Berlin",
		"2024-01-15 14:46:00+16", "2024-01-15 14:46:00+5", "2024-01-15 14:46:00+00 ago", "999999999999 weeks ago", "1e3 h ago"} {
		if got, err := ParseTime(text, noon); err == nil {
			t.Errorf("ParseTime(%q) = %v, want an error", text, got)
		}
	}
}

func FuzzParseTime(f *testing.F) {
	for _, seed := range []string{"1h ago", "2024-01-15 14:46:00.5+00", "2024-01-15T14:46:00Z", "90 min ago", ""} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		parsed, err := ParseTime(text, noon)
		if err != nil || strings.Contains(strings.ToLower(text), "ago") {
			return
		}
		again, err := ParseTime(FormatTime(parsed), noon)
		if err != nil || !again.Equal(parsed) {
			t.Errorf("%q became %v and then %v, %v", text, parsed, again, err)
		}
	})
}
