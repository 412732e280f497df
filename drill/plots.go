package drill

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"lifeboat/drill/plot"
)

// The measures of the report's drawings, in SVG units.
const (
	phaseWidth  = 1000.0 // of the bar of phases
	trendWidth  = 440.0
	trendHeight = 150.0
	trendMargin = 8.0 // so that dots at the edge are whole
)

// targetBar is a target with how much of it was used. A bar's full length is the promise itself.
type targetBar struct {
	Measured
	Length float64 // percent of the bar
	Line   float64 // where the warning starts, percent; 0: none
	Used   string
}

func targetBars(r *Result) []targetBar {
	bars := make([]targetBar, 0, len(r.Targets))
	for _, m := range r.Targets {
		bars = append(bars, targetBar{Measured: m, Length: min(100, max(0, m.UsedPercent)), Line: r.Policy.WarnAtPercent, Used: spellPercent(m.UsedPercent)})
	}
	return bars
}

func spellPercent(p float64) string {
	switch {
	case p > 0 && p < 1:
		return "under 1 %"
	case p > 999:
		return "over 10 times"
	}
	return fmt.Sprintf("%.0f %%", p)
}

// phaseBar is one phase as a part of the bar of all.
type phaseBar struct {
	Phase
	X, Width float64
	Share    string
}

func phaseBars(phases []Phase) []phaseBar {
	var total float64
	for _, p := range phases {
		total += p.Seconds
	}
	if total <= 0 {
		return nil
	}
	var bars []phaseBar
	var x float64
	for _, p := range phases {
		width := phaseWidth * p.Seconds / total
		bars = append(bars, phaseBar{Phase: p, X: x, Width: width, Share: spellPercent(100 * p.Seconds / total)})
		x += width
	}
	return bars
}

// trend is one measure over the drills of a cluster.
type trend struct {
	Title, Last string
	Top         string // what the upper edge stands for
	Line        string // the points of the line, as SVG has them
	Points      []trendPoint
	From, To    string
	Promise     promise
}

// promise is what a trend is held against: a line where it fits into the drawing, and words in any case.
type promise struct {
	Text     string
	Shown    bool
	Y, WarnY float64
}

type trendPoint struct {
	X, Y    float64
	Label   string
	Verdict Verdict
	Self    bool // the drill that the report is about
}

// withSelf adds a drill to its history, in the order of time.
func withSelf(history []*Result, self *Result) []*Result {
	all := slices.DeleteFunc(slices.Clone(history), func(r *Result) bool { return r.ID == self.ID || r.Started.After(self.Started) })
	all = append(all, self)
	slices.SortStableFunc(all, func(a, b *Result) int { return a.Started.Compare(b.Started) })
	return all
}

// series is a measure of drills, and what was promised for it.
type series struct {
	title    string
	measure  func(*Result) (seconds float64, measured bool)
	promised func(*Result) time.Duration // nil: nothing was
}

// trends draws recovery time and recovery point; a drill that did not measure one is no point of it.
func trends(all []*Result) []trend {
	self := all[len(all)-1]
	list := []trend{
		newTrend(all, self, series{title: "Restored in", measure: func(r *Result) (float64, bool) { return r.RTOSeconds, r.RTOSeconds > 0 }}),
		newTrend(all, self, series{title: "1 TB would take", measure: perTerabyte, promised: func(r *Result) time.Duration { return r.Policy.RestorePerTerabyte }}),
		newTrend(all, self, series{title: "Would be lost", measure: lost, promised: func(r *Result) time.Duration { return r.Policy.RPO }}),
	}
	return slices.DeleteFunc(list, func(t trend) bool { return len(t.Points) < 2 })
}

func lost(r *Result) (float64, bool) {
	return r.RPOSeconds, slices.ContainsFunc(r.Targets, func(m Measured) bool { return m.Name == TargetRPO })
}

func perTerabyte(r *Result) (float64, bool) {
	for _, m := range r.Targets {
		if m.Name == TargetTime {
			return m.UsedPercent / 100 * r.Policy.RestorePerTerabyte.Seconds(), true
		}
	}
	return 0, false
}

func newTrend(all []*Result, self *Result, s series) trend {
	all = slices.DeleteFunc(slices.Clone(all), func(r *Result) bool { _, ok := s.measure(r); return !ok })
	if len(all) < 2 {
		return trend{}
	}
	value := func(r *Result) float64 { v, _ := s.measure(r); return v }
	highest := value(slices.MaxFunc(all, func(a, b *Result) int { return cmp.Compare(value(a), value(b)) }))
	first, last := all[0], all[len(all)-1]
	t := trend{Title: s.title, Last: spell(seconds(value(last))), Top: spell(seconds(highest)), From: day(first.Started), To: day(last.Started)}
	frame := t.promise(self, s, highest)
	samples := make([]plot.Sample, 0, len(all))
	for _, r := range all {
		samples = append(samples, plot.Sample{At: r.Started, Value: value(r)})
	}
	dots := frame.Place(samples)
	t.Line = plot.Line(dots)
	for i, r := range all {
		label := fmt.Sprintf("%s: %s, %s", stamp(r.Started), spell(seconds(value(r))), r.Verdict)
		t.Points = append(t.Points, trendPoint{X: dots[i].X, Y: dots[i].Y, Label: label, Verdict: r.Verdict, Self: r.ID == self.ID})
	}
	return t
}

// farAbove is how many times as high as all drills a promise may lie before its line would press them to the ground.
const farAbove = 5

// promise puts what was promised into the drawing, and returns the drawing's area.
func (t *trend) promise(self *Result, s series, highest float64) plot.Frame {
	frame := plot.Frame{Width: trendWidth, Height: trendHeight, Margin: trendMargin, Top: highest}
	if s.promised == nil || s.promised(self) <= 0 {
		return frame
	}
	promised := s.promised(self)
	t.Promise = promise{Text: "at most " + spell(promised)}
	if promised.Seconds() > farAbove*highest {
		return frame
	}
	frame.Top = max(highest, promised.Seconds())
	t.Promise.Shown = true
	t.Promise.Y = frame.Level(promised.Seconds())
	t.Promise.WarnY = frame.Level(promised.Seconds() * self.Policy.WarnAtPercent / 100)
	return frame
}

func day(t time.Time) string { return t.UTC().Format("2006-01-02") }
