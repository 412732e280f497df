package plot_test

import (
	"testing"
	"time"

	"lifeboat/drill/plot"
)

func TestSamplesLieByTimeAndValue(t *testing.T) {
	t.Parallel()
	day := func(n int) time.Time { return time.Date(2026, 1, n, 0, 0, 0, 0, time.UTC) }
	f := plot.Frame{Width: 110, Height: 60, Margin: 5, Top: 100}
	cases := map[string]struct {
		samples []plot.Sample
		want    string
	}{
		"none":              {nil, ""},
		"one":               {[]plot.Sample{{day(1), 50}}, "105.0,30.0"},
		"by time":           {[]plot.Sample{{day(1), 0}, {day(2), 100}, {day(5), 50}}, "5.0,55.0 30.0,5.0 105.0,30.0"},
		"of one moment":     {[]plot.Sample{{day(1), 0}, {day(1), 0}, {day(1), 0}}, "5.0,55.0 55.0,55.0 105.0,55.0"},
		"over the top":      {[]plot.Sample{{day(1), 300}, {day(2), -1}}, "5.0,5.0 105.0,55.0"},
		"top still at zero": {[]plot.Sample{{day(1), 0}}, "105.0,55.0"},
	}
	for name, c := range cases {
		if got := plot.Line(f.Place(c.samples)); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}
