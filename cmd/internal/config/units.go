package config

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/goccy/go-yaml/ast"
	"github.com/robfig/cron/v3"
)

// Text is a string that remembers where in the file it stands.
type Text struct {
	Value string
	At    Position
}

// Position is a place in the file, counted from 1; the zero Position is no place.
type Position struct{ Line, Column int }

// UnmarshalYAML implements yaml.NodeUnmarshaler.
func (t *Text) UnmarshalYAML(node ast.Node) error {
	value, err := scalar(node)
	if err != nil {
		return err
	}
	*t = Text{Value: value, At: positionOf(node)}
	return nil
}

// Duration is a length of time written with a unit: 1s, 90m, 2h, 14d, 1h30m.
type Duration time.Duration

var durationPart = regexp.MustCompile(`^(\d+(?:\.\d+)?)(ms|s|m|min|h|d|w)`)

func unitOf(name string) time.Duration {
	switch name {
	case "ms":
		return time.Millisecond
	case "s":
		return time.Second
	case "m", "min":
		return time.Minute
	case "h":
		return time.Hour
	case "d":
		return 24 * time.Hour
	default:
		return 7 * 24 * time.Hour
	}
}

// ParseDuration reads one or more numbers with units; a number without one is an error, since it could mean anything.
func ParseDuration(text string) (time.Duration, error) {
	rest, total := strings.ReplaceAll(text, " ", ""), time.Duration(0)
	if rest == "" {
		return 0, fmt.Errorf("a length of time is missing: write one such as 30s, 2h or 14d")
	}
	for rest != "" {
		m := durationPart.FindStringSubmatch(rest)
		if m == nil {
			return 0, fmt.Errorf("%q is not a length of time: write a number and a unit (ms, s, m, h, d, w), such as 30s, 2h or 14d", text)
		}
		number, err := strconv.ParseFloat(m[1], 64)
		if err != nil || number > 1e6 {
			return 0, fmt.Errorf("%q is too long a time", text)
		}
		total += time.Duration(number * float64(unitOf(m[2])))
		rest = rest[len(m[0]):]
	}
	return total, nil
}

// UnmarshalYAML implements yaml.NodeUnmarshaler.
func (d *Duration) UnmarshalYAML(node ast.Node) error {
	value, err := scalar(node)
	if err != nil {
		return err
	}
	parsed, err := ParseDuration(value)
	if err == nil && parsed <= 0 {
		err = fmt.Errorf("%q must be longer than nothing", value)
	}
	if err != nil {
		return at(node, err)
	}
	*d = Duration(parsed)
	return nil
}

// Rate is a number of bytes in a second, written with its unit: 50MB/s, 1.5GiB/s.
type Rate int64

// ParseRate reads a rate: a size and "/s".
func ParseRate(text string) (int64, error) {
	wrong := fmt.Errorf("%q is not a rate: write bytes per second with their unit, such as 50MB/s or 1GiB/s", text)
	size, found := strings.CutSuffix(strings.TrimSpace(text), "/s")
	if !found {
		return 0, wrong
	}
	bytes, err := ParseSize(size)
	if err != nil || bytes > 1e15 {
		return 0, wrong
	}
	return bytes, nil
}

// UnmarshalYAML implements yaml.NodeUnmarshaler.
func (r *Rate) UnmarshalYAML(node ast.Node) error {
	value, err := scalar(node)
	if err != nil {
		return err
	}
	parsed, err := ParseRate(value)
	if err != nil {
		return at(node, err)
	}
	*r = Rate(parsed)
	return nil
}

// Frequency is how often something happens in a second: 100/s, or 100.
type Frequency float64

// UnmarshalYAML implements yaml.NodeUnmarshaler.
func (f *Frequency) UnmarshalYAML(node ast.Node) error {
	value, err := scalar(node)
	if err != nil {
		return err
	}
	parsed, err := strconv.ParseFloat(strings.TrimSuffix(strings.TrimSpace(value), "/s"), 64)
	if err != nil || !(parsed > 0 && parsed <= 1e6) {
		return at(node, fmt.Errorf("%q is not a number of requests per second: write one such as 100/s", value))
	}
	*f = Frequency(parsed)
	return nil
}

// Percent is a share in percent, written with its sign: 1%, 0.5%.
type Percent float64

// UnmarshalYAML implements yaml.NodeUnmarshaler.
func (p *Percent) UnmarshalYAML(node ast.Node) error {
	value, err := scalar(node)
	if err != nil {
		return err
	}
	number, found := strings.CutSuffix(strings.TrimSpace(value), "%")
	if !found {
		return at(node, fmt.Errorf("%q has no unit: write a percentage such as 1%%", value))
	}
	parsed, err := strconv.ParseFloat(strings.TrimSpace(number), 64)
	if err != nil || !(parsed > 0 && parsed <= 100) {
		return at(node, fmt.Errorf("%q is not a percentage above 0%% and up to 100%%", value))
	}
	*p = Percent(parsed)
	return nil
}

// Schedule is a cron line of five fields, with an optional CRON_TZ=Zone before it.
type Schedule struct {
	Text
	cron.Schedule
}

// UnmarshalYAML implements yaml.NodeUnmarshaler.
func (s *Schedule) UnmarshalYAML(node ast.Node) error {
	if err := s.Text.UnmarshalYAML(node); err != nil {
		return err
	}
	parsed, err := cron.ParseStandard(s.Value)
	if err != nil {
		return at(node, fmt.Errorf("%q is not a cron schedule: write minute, hour, day, month and weekday, such as \"0 2 * * *\"", s.Value))
	}
	s.Schedule = parsed
	return nil
}

// scalar returns the text of a plain value.
func scalar(node ast.Node) (string, error) {
	switch n := node.(type) {
	case *ast.StringNode:
		return n.Value, nil
	case *ast.LiteralNode:
		return n.Value.Value, nil
	case ast.ScalarNode:
		return n.GetToken().Value, nil
	}
	return "", at(node, fmt.Errorf("a single value is expected here"))
}
