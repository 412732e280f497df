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
	trendHeight = 120.0
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

// trends draws recovery time and recovery point; a drill that did not measure one is no point of it.
func trends(all []*Result) []trend {
	self := all[len(all)-1].ID
	restored := newTrend("Restored in", all, self, func(r *Result) (float64, bool) { return r.RTOSeconds, r.RTOSeconds > 0 })
	lost := newTrend("Would be lost", all, self, func(r *Result) (float64, bool) {
		return r.RPOSeconds, slices.ContainsFunc(r.Targets, func(m Measured) bool { return m.Name == TargetRPO })
	})
	return slices.DeleteFunc([]trend{restored, lost}, func(t trend) bool { return len(t.Points) < 2 })
}

func newTrend(title string, all []*Result, self string, measure func(*Result) (float64, bool)) trend {
	all = slices.DeleteFunc(slices.Clone(all), func(r *Result) bool { _, ok := measure(r); return !ok })
	if len(all) < 2 {
		return trend{}
	}
	value := func(r *Result) float64 { v, _ := measure(r); return v }
	highest := value(slices.MaxFunc(all, func(a, b *Result) int { return cmp.Compare(value(a), value(b)) }))
	first, last := all[0], all[len(all)-1]
	t := trend{Title: title, Last: spell(seconds(value(last))), Top: spell(seconds(highest)), From: day(first.Started), To: day(last.Started)}
	samples := make([]plot.Sample, 0, len(all))
	for _, r := range all {
		samples = append(samples, plot.Sample{At: r.Started, Value: value(r)})
	}
	dots := plot.Frame{Width: trendWidth, Height: trendHeight, Margin: trendMargin, Top: highest}.Place(samples)
	t.Line = plot.Line(dots)
	for i, r := range all {
		label := fmt.Sprintf("%s: %s, %s", stamp(r.Started), spell(seconds(value(r))), r.Verdict)
		t.Points = append(t.Points, trendPoint{X: dots[i].X, Y: dots[i].Y, Label: label, Verdict: r.Verdict, Self: r.ID == self})
	}
	return t
}

func day(t time.Time) string { return t.UTC().Format("2006-01-02") }
