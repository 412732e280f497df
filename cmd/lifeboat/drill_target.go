package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"lifeboat/cmd/internal/config"
	"lifeboat/drill"
	"lifeboat/internal/wal"
	"lifeboat/restore"
)

// drillAim is what a drill is to recover to: a target or a wish, along a timeline.
type drillAim struct {
	target   restore.Target
	wish     restore.Wish
	timeline wal.TimelineID
}

// drillNamed is the drill of the name. Where there is none, the error names those that there are.
func drillNamed(c *config.Cluster, name string) (*config.Drill, error) {
	if configured := c.Drills[name]; configured != nil {
		return configured, nil
	}
	return nil, usagef("no drill is called %q in the configuration: there is %s", name, strings.Join(slices.Sorted(maps.Keys(c.Drills)), ", "))
}

// drillAim takes what the flags name, and the rest from the configuration.
func (a *app) drillAim(configured *config.Drill, to string, flags targetFlags) (drillAim, error) {
	aim := drillAim{timeline: wal.TimelineID(configured.Timeline)}
	target, timeline, err := flags.parse(a.now())
	switch {
	case err != nil:
		return aim, err
	case to != "" && flags.given():
		return aim, usagef("choose one recovery target: --to names one, and so does a flag besides")
	case flags.timelineGiven():
		aim.timeline = timeline
	}
	if flags.given() {
		aim.target = target
		return aim, nil
	}
	if to == "" {
		aim.wish, err = configured.Wish(a.now())
	} else if aim.wish, err = restore.ParseWish(to, a.now()); err != nil {
		err = usagef("--to: %v", err)
	}
	if err == nil && flags.exclusive {
		err = usagef("--exclusive needs a target that a --to- flag names")
	}
	return aim, err
}

// tellTarget says what was asked for, what that became, and what was reached.
func (a *app) tellTarget(r *drill.Result) {
	t := r.Target
	words := strings.TrimSpace(t.Kind + " " + t.Value)
	if t.Asked != "" && t.Asked != words {
		words = strings.TrimSuffix(fmt.Sprintf("%s: %s", t.Asked, words), ": ")
	}
	a.out.Printf("  target %s, reached %s; backup %s\n", words, t.ReachedLSN, r.Backup.Label)
	if t.Why != "" {
		a.out.Printf("  %s\n", t.Why)
	}
}
