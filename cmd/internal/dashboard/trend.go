package dashboard

import (
	"fmt"
	"slices"

	"lifeboat/drill"
	"lifeboat/drill/plot"
)

// The measures of a trend's drawing, in SVG units, and how far over the promise it reaches: what is worse lies on its edge.
const (
	trendWidth  = 440.0
	trendHeight = 130.0
	trendMargin = 10.0
	trendRoom   = 120.0 // percent at the upper edge, where all drills keep the promise
	trendMost   = 300.0
)

// trend is one promise over the drills: how much of it each has used.
type trend struct {
	Title, Last, Target string
	Result              drill.Verdict // of the last one
	Line                string
	Dots                []dot
	Promise, Warn       float64 // heights of the two lines; Warn 0: none
	From, To            string
	Said                string
}

type dot struct {
	X, Y    float64
	Label   string
	Verdict drill.Verdict
}

// trends draws what the drills measured of the restore time and the recovery point.
func (c *Cluster) trends() []trend {
	restored := func(r Run) (Promise, string) {
		return r.Restore, fmt.Sprintf("restored in %s; 1 TB would take %s", spell(r.RestoredIn), r.Restore.Actual)
	}
	lost := func(r Run) (Promise, string) { return r.Lost, "would have lost " + r.Lost.Actual }
	list := []trend{c.trend("Restore time (RTO)", restored), c.trend("Recovery point (RPO)", lost)}
	return slices.DeleteFunc(list, func(t trend) bool { return len(t.Dots) == 0 })
}

func (c *Cluster) trend(title string, of func(Run) (Promise, string)) trend {
	t := trend{Title: title}
	frame := plot.Frame{Width: trendWidth, Height: trendHeight, Margin: trendMargin, Top: trendRoom}
	var samples []plot.Sample
	for _, r := range c.Runs {
		promise, words := of(r)
		if !promise.Measured {
			continue
		}
		samples = append(samples, plot.Sample{At: r.Started, Value: promise.UsedPercent})
		frame.Top = max(frame.Top, min(trendMost, promise.UsedPercent))
		label := fmt.Sprintf("%s, drill %s: %s of the promise, %s", stamp(r.Started), r.Drill, percent(promise.UsedPercent), promise.Result)
		t.Dots = append(t.Dots, dot{Label: label, Verdict: promise.Result})
		t.Last, t.Target, t.Result = words, promise.Target, promise.Result
	}
	if len(samples) == 0 {
		return t
	}
	places := frame.Place(samples)
	for i, p := range places {
		t.Dots[i].X, t.Dots[i].Y = p.X, p.Y
	}
	t.Line, t.Promise = plot.Line(places), frame.Level(100)
	if c.WarnAt > 0 {
		t.Warn = frame.Level(c.WarnAt)
	}
	first, last := samples[0], samples[len(samples)-1]
	t.From, t.To = day(first.At), day(last.At)
	t.Said = fmt.Sprintf("%s over %s: %s of the promise at first, %s at last", title, plural(len(samples), "drill"), percent(first.Value), percent(last.Value))
	return t
}
