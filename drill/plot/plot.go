// Package plot computes where the points of a measure over time lie in a drawing. It knows nothing of SVG, of drills or
// of colours.
package plot

import (
	"fmt"
	"strings"
	"time"
)

// Sample is what was measured at a moment.
type Sample struct {
	At    time.Time
	Value float64
}

// Frame is the drawing's area, in its own units. The value Top lies at the margin below the upper edge, zero at the margin above
// the lower one.
type Frame struct {
	Width, Height, Margin float64
	Top                   float64
}

// Dot is a place in a Frame, from its upper left corner.
type Dot struct{ X, Y float64 }

// Place lays samples, which are in the order of time, from the left margin to the right one. Where all are of one
// moment they are spread evenly. What is higher than Top lies on the upper margin.
func (f Frame) Place(samples []Sample) []Dot {
	dots := make([]Dot, 0, len(samples))
	for i, s := range samples {
		dots = append(dots, Dot{X: f.Margin + (f.Width-2*f.Margin)*f.share(samples, i), Y: f.Level(s.Value)})
	}
	return dots
}

// share is where between the first and the last sample one lies, from 0 to 1.
func (f Frame) share(samples []Sample, i int) float64 {
	from, to := samples[0].At, samples[len(samples)-1].At
	switch {
	case to.After(from):
		return float64(samples[i].At.Sub(from)) / float64(to.Sub(from))
	case len(samples) == 1:
		return 1
	}
	return float64(i) / float64(len(samples)-1)
}

// Level is how far below the upper edge a value lies.
func (f Frame) Level(value float64) float64 {
	part := min(1, max(0, value/max(f.Top, 1e-9)))
	return f.Height - f.Margin - (f.Height-2*f.Margin)*part
}

// Line writes dots as the points of an SVG polyline.
func Line(dots []Dot) string {
	words := make([]string, 0, len(dots))
	for _, d := range dots {
		words = append(words, fmt.Sprintf("%.1f,%.1f", d.X, d.Y))
	}
	return strings.Join(words, " ")
}
