package drill

import (
	"bytes"
	"strings"
	"testing"
	"time"
)

// evilSummary has markup in everything that comes from somewhere else.
func evilSummary(t *testing.T) string {
	t.Helper()
	const evil = `</td><script>alert("1")</script>`
	p := newPast(t)
	p.put(drilled(month(1), nil), drilled(month(2), func(r *Result) {
		r.Drill, r.Verdict, r.Backup.Label, r.Backup.Type = evil, Fail, evil, evil
		r.Checks[0] = Check{Name: evil, Result: Fail, Detail: evil}
		r.Targets[0].Name, r.Targets[0].Target = evil, evil
		r.Mandate = Mandate{Name: evil, Version: evil, SHA256: evil, Schedule: evil, Approver: evil, Ticket: evil}
	}))
	s := p.sum(month(3), monthly)
	s.Cluster = evil
	var page bytes.Buffer
	if err := WriteSummary(&page, s); err != nil {
		t.Fatal(err)
	}
	return page.String()
}

func TestSummaryPageEscapesAndNeedsNothingButItself(t *testing.T) {
	t.Parallel()
	page := evilSummary(t)
	if found := external.FindString(page); found != "" && found != "<script" {
		t.Errorf("the page has %q", found)
	}
	if strings.Contains(page, "<script") {
		t.Errorf("markup comes through: %s", page)
	}
}

// TestSummaryPageShowsWhatIsMissing wants no month without a drill to look like one with.
func TestSummaryPageShowsWhatIsMissing(t *testing.T) {
	t.Parallel()
	p := newPast(t)
	p.put(drilled(month(1), nil), drilled(month(2), func(r *Result) { r.Verdict = Fail }))
	var page bytes.Buffer
	if err := WriteSummary(&page, p.sum(month(4).Add(time.Hour), monthly)); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`<tr class=""><td>2026-01</td>`, `<tr class="none"><td>2026-02 (none passed)</td>`, `<tr class="none"><td>2026-03 (no drill)</td>`,
		`<tr class="ahead"><td>2026-05 (ahead)</td>`, "What needs an explanation", "No drill was run in 2026-03, 2026-04.", "DORA, Article 12 (7)", ClausesNote,
	} {
		if !strings.Contains(page.String(), want) {
			t.Errorf("the page does not have %q", want)
		}
	}
}

func TestReportOfADrillThatDidNotArriveDoesNotSayThatItRestored(t *testing.T) {
	t.Parallel()
	r := soundResult()
	r.Target.ReachedLSN, r.Verdict = 0, Fail
	text := strings.Join(told(r), " ")
	if strings.Contains(text, "It restored") || strings.Contains(text, "was copied") || !strings.Contains(text, "It did not come to answer there.") {
		t.Error(text)
	}
	for _, p := range points(&Result{}) {
		if p.Result != NotRun {
			t.Errorf("without checks: %+v", p)
		}
	}
}
