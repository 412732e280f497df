package config

import (
	"fmt"
	"strconv"
	"time"

	"github.com/goccy/go-yaml/ast"

	"lifeboat/restore"
)

// Timeline is the timeline that a drill follows: a number from 1 on, or latest, which is 0 here.
type Timeline uint32

// UnmarshalYAML implements yaml.NodeUnmarshaler.
func (t *Timeline) UnmarshalYAML(node ast.Node) error {
	value, err := scalar(node)
	if err != nil || value == "latest" {
		return err
	}
	number, err := strconv.ParseUint(value, 10, 32)
	if err != nil || number == 0 {
		return at(node, fmt.Errorf("timeline is a number from 1 on, or latest, not %q", value))
	}
	*t = Timeline(number)
	return nil
}

// Wish reads what the drill is to recover to; relative times count from now.
func (d *Drill) Wish(now time.Time) (restore.Wish, error) {
	return restore.ParseWish(d.To.Value, now)
}

// validateTarget looks whether a drill's target can be read, at whatever moment that will be.
func (d *Drill) validateTarget(name string) error {
	if _, err := d.Wish(time.Unix(0, 0)); err != nil {
		return &Error{At: d.To.At, Message: fmt.Sprintf("drill %s: to: %v", name, err)}
	}
	return nil
}
