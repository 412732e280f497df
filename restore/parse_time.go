package restore

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// ErrNoZone marks a time without a zone, which would mean something else on another machine.
var ErrNoZone = errors.New("has no time zone")

// timeLayout is PostgreSQL's ISO form with microseconds, its own resolution.
const timeLayout = "2006-01-02 15:04:05.000000-07"

// FormatTime writes t in UTC as PostgreSQL reads it under any setting of its own, to the microsecond.
func FormatTime(t time.Time) string { return t.UTC().Format(timeLayout) }

var (
	relativeTime = regexp.MustCompile(`^((?:\s*\d+(?:\.\d+)?\s*[a-z]+)+)\s+ago$`)
	relativePart = regexp.MustCompile(`(\d+(?:\.\d+)?)\s*([a-z]+)`)
	absoluteTime = regexp.MustCompile(`^(\d{4}-\d{2}-\d{2})[Tt ]\s*(\d{2}:\d{2}(?::\d{2}(?:\.\d{1,9})?)?)\s*(.*)$`)
	zoneOffset   = regexp.MustCompile(`^([+-])(\d{2})(?::?(\d{2}))?$`)
)

// ParseTime reads a time that a person gave: RFC 3339 (2024-01-15T14:46:00Z), PostgreSQL's form
// (2024-01-15 14:46:00.5+00, also +00:00 and +0530), or one relative to now (1h ago, 90 min ago, 2 days ago).
// A time without a zone is an error that wraps ErrNoZone and shows how to write it. Parts below a microsecond are dropped.
func ParseTime(text string, now time.Time) (time.Time, error) {
	trimmed := strings.TrimSpace(text)
	if m := relativeTime.FindStringSubmatch(strings.ToLower(trimmed)); m != nil {
		return parseRelative(text, m[1], now)
	}
	m := absoluteTime.FindStringSubmatch(trimmed)
	if m == nil {
		return time.Time{}, fmt.Errorf("parse time %q: write it as 2024-01-15 14:46:00+00, 2024-01-15T14:46:00Z or 1h ago", text)
	}
	return parseAbsolute(text, m[1]+" "+m[2], m[3])
}

func parseAbsolute(text, clock, zone string) (time.Time, error) {
	location, err := parseZone(zone)
	if errors.Is(err, ErrNoZone) {
		return time.Time{}, fmt.Errorf("parse time %q: it %w: add one, as in %q for UTC", text, err, strings.TrimSpace(text)+"+00")
	}
	if err != nil {
		return time.Time{}, fmt.Errorf("parse time %q: %w", text, err)
	}
	layout := "2006-01-02 15:04:05"
	if len(clock) == len("2006-01-02 15:04") {
		layout = "2006-01-02 15:04"
	}
	t, err := time.ParseInLocation(layout, clock, location)
	if err != nil {
		return time.Time{}, fmt.Errorf("parse time %q: no such date or time of day", text)
	}
	return t.UTC().Truncate(time.Microsecond), nil
}

func parseZone(zone string) (*time.Location, error) {
	switch strings.ToUpper(zone) {
	case "":
		return nil, ErrNoZone
	case "Z", "UTC", "GMT":
		return time.UTC, nil
	}
	m := zoneOffset.FindStringSubmatch(zone)
	if m == nil {
		return nil, fmt.Errorf("zone %q is not an offset from UTC such as +00 or +05:30", zone)
	}
	hours, _ := strconv.Atoi(m[2])
	minutes, _ := strconv.Atoi("0" + m[3])
	if hours > 15 || minutes > 59 {
		return nil, fmt.Errorf("zone %q is out of range", zone)
	}
	seconds := hours*3600 + minutes*60
	if m[1] == "-" {
		seconds = -seconds
	}
	return time.FixedZone("", seconds), nil
}

func parseRelative(text, amounts string, now time.Time) (time.Time, error) {
	var back time.Duration
	for _, part := range relativePart.FindAllStringSubmatch(amounts, -1) {
		unit, ok := relativeUnit(part[2])
		if !ok {
			return time.Time{}, fmt.Errorf("parse time %q: unknown unit %q (use s, min, h, days or weeks)", text, part[2])
		}
		amount, err := strconv.ParseFloat(part[1], 64)
		if err != nil || amount*float64(unit) > float64(maxRelative) {
			return time.Time{}, fmt.Errorf("parse time %q: %s %s is too long ago", text, part[1], part[2])
		}
		back += time.Duration(amount * float64(unit))
	}
	if back > maxRelative {
		return time.Time{}, fmt.Errorf("parse time %q: too long ago", text)
	}
	return now.Add(-back).UTC().Truncate(time.Microsecond), nil
}

// maxRelative is the furthest that a relative time reaches back: some ten years.
const maxRelative = 3660 * 24 * time.Hour

func relativeUnit(name string) (time.Duration, bool) {
	switch name {
	case "s", "sec", "secs", "second", "seconds":
		return time.Second, true
	case "m", "min", "mins", "minute", "minutes":
		return time.Minute, true
	case "h", "hr", "hrs", "hour", "hours":
		return time.Hour, true
	case "d", "day", "days":
		return 24 * time.Hour, true
	case "w", "week", "weeks":
		return 7 * 24 * time.Hour, true
	}
	return 0, false
}
