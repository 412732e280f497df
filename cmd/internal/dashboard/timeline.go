package dashboard

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// lineWidth is the length of a drawn time line, in its SVG's units.
const lineWidth = 1000.0

// line is one timeline, drawn: the stretches that can be reached, the holes between them, and the backups.
type line struct {
	Timeline     uint32
	Reach, Holes []stretch
	Ticks        []tick
	Said         string // the same in words
	Windows      []Window
}

// stretch is a part of a line.
type stretch struct {
	X, Width float64
	Label    string
}

type tick struct {
	X     float64
	Label string
}

// lines draws the windows by timeline, on one scale: from the first moment that can be reached to now.
func (c *Cluster) lines(now time.Time) []line {
	if len(c.Windows) == 0 {
		return nil
	}
	windows := slices.Clone(c.Windows)
	slices.SortStableFunc(windows, func(a, b Window) int { return a.From.Compare(b.From) })
	scale := scale{from: windows[0].From, to: now}
	byTimeline := map[uint32][]Window{}
	var order []uint32
	for _, w := range windows {
		scale.to = later(scale.to, w.To)
		if byTimeline[w.Timeline] == nil {
			order = append(order, w.Timeline)
		}
		byTimeline[w.Timeline] = append(byTimeline[w.Timeline], w)
	}
	slices.Sort(order)
	var lines []line
	for _, timeline := range order {
		lines = append(lines, c.line(timeline, byTimeline[timeline], scale))
	}
	return lines
}

func (c *Cluster) line(timeline uint32, windows []Window, s scale) line {
	l := line{Timeline: timeline, Windows: windows}
	var said []string
	for i, w := range windows {
		label := fmt.Sprintf("from %s to %s", stamp(w.From), stamp(w.To))
		l.Reach = append(l.Reach, s.stretch(w.From, w.To, "can be reached: "+label))
		said = append(said, label)
		if i > 0 && w.From.After(windows[i-1].To) {
			hole := fmt.Sprintf("cannot be reached: between %s and %s", stamp(windows[i-1].To), stamp(w.From))
			l.Holes = append(l.Holes, s.stretch(windows[i-1].To, w.From, hole))
		}
	}
	for _, b := range c.Backups {
		if b.Timeline == timeline && !b.Finished.Before(s.from) {
			l.Ticks = append(l.Ticks, tick{X: s.at(b.Finished), Label: "backup " + b.Label + ", " + stamp(b.Finished)})
		}
	}
	l.Said = fmt.Sprintf("timeline %d can be reached %s", timeline, strings.Join(said, ", and "))
	return l
}

// scale maps moments to places on a line.
type scale struct{ from, to time.Time }

func (s scale) at(t time.Time) float64 {
	whole := s.to.Sub(s.from)
	if whole <= 0 {
		return lineWidth
	}
	return lineWidth * min(1, max(0, float64(t.Sub(s.from))/float64(whole)))
}

// stretch is at least so wide that it can be seen.
func (s scale) stretch(from, to time.Time, label string) stretch {
	const visible = 4.0
	x, end := s.at(from), s.at(to)
	if end-x < visible {
		x, end = max(0, end-visible), max(end, visible)
	}
	return stretch{X: x, Width: end - x, Label: label}
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}
