package drill

import (
	"fmt"
	"io"
	"time"
)

// maxSummaryFailures is how many failures a summary's page lists, the newest; the JSON has all.
const maxSummaryFailures = 200

// summaryPage is what the summary's template shows.
type summaryPage struct {
	*Summary
	Tone            string // CSS class of the banner
	Figures         []figure
	ShownFailures   []Failure
	FailuresLeftOut int
	Note            string
}

// WriteSummary writes a summary as one page that needs nothing but itself, like a drill's report.
func WriteSummary(w io.Writer, s *Summary) error {
	p := &summaryPage{Summary: s, Tone: class(Pass), Figures: s.figures(), ShownFailures: s.Failures, Note: ClausesNote}
	switch {
	case len(s.Evidence) == 0:
		p.Tone = class(Fail)
	case len(s.Open) > 0:
		p.Tone = class(Unproven)
	}
	if n := len(s.Failures) - maxSummaryFailures; n > 0 {
		p.ShownFailures, p.FailuresLeftOut = s.Failures[n:], n
	}
	return writePage(w, "summary.html.tmpl", p)
}

// Remark is what a reader must not pass over in a month.
func (m Month) Remark() string {
	switch {
	case m.Ahead:
		return "ahead"
	case m.All.Run == 0:
		return "no drill"
	case m.All.Passed == 0:
		return "none passed"
	case m.missing() > 0:
		return fmt.Sprintf("%d missing", m.missing())
	}
	return ""
}

// Class is the CSS class of a month's line.
func (m Month) Class() string {
	switch {
	case m.Ahead:
		return "ahead"
	case m.All.Passed == 0:
		return "none"
	case m.missing() > 0:
		return "short"
	}
	return ""
}

// missing is how many drills were planned and not run.
func (m Month) missing() int {
	missing := 0
	for _, n := range m.Drills {
		missing += max(0, n.Planned-n.Run)
	}
	return missing
}

func (s *Summary) figures() []figure {
	n := s.total()
	return []figure{
		{Title: "Drills that passed", Value: fmt.Sprintf("%d of %d", n.Passed, n.Run), Note: fmt.Sprintf("%d were planned", n.Planned)},
		{Title: "Longest without a pass", Value: spell(seconds(s.Gap.Seconds)), Note: fmt.Sprintf("%s to %s", day(s.Gap.From), day(s.Gap.To))},
		s.RTO.figure("Restored in"), s.RPO.figure("Would have been lost"),
	}
}

func (p Spread) figure(title string) figure {
	if p.Measured == 0 {
		return figure{Title: title, Value: "not measured", Note: "in no drill"}
	}
	return figure{Title: title, Value: spell(seconds(p.Median)), Note: fmt.Sprintf("median; best %s, worst %s", spell(seconds(p.Best)), spell(seconds(p.Worst)))}
}

// lastDay is the last day of a time that ends at a moment.
func lastDay(end time.Time) string { return day(end.Add(-time.Nanosecond)) }
