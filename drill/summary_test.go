package drill

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/robfig/cron/v3"
	"golang.org/x/sync/errgroup"

	"lifeboat/internal/objectstore"
	"lifeboat/storage/catalog"
)

var summaryYear = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// past is a repository that holds evidence alone.
type past struct {
	t       *testing.T
	place   *objectstore.Place
	cluster *catalog.Cluster
}

func newPast(t *testing.T) *past {
	t.Helper()
	place := objectstore.NewPlainPlace(t)
	repository := place.Create(t, summaryYear)
	cluster, err := repository.Register(t.Context(), "main", catalog.Identity{SystemIdentifier: 7000000000000000001, WALSegmentSize: 1 << 20}, summaryYear)
	if err != nil {
		t.Fatal(err)
	}
	return &past{t: t, place: place, cluster: cluster}
}

// drilled is a drill of the past, which harm has changed.
func drilled(at time.Time, harm func(*Result)) *Result {
	r := soundResult()
	r.ID, r.Started, r.Finished = at.Format("20060102T150405Z")+"-aaaaaa", at, at.Add(4*time.Second)
	if harm != nil {
		harm(r)
	}
	return r
}

func (p *past) put(results ...*Result) {
	p.t.Helper()
	for _, r := range results {
		links, _, err := p.cluster.LastEvidence(p.t.Context())
		if err != nil {
			p.t.Fatal(err)
		}
		r.Previous = links
		p.store(r)
	}
}

func (p *past) store(r *Result) {
	p.t.Helper()
	body, err := json.Marshal(r)
	if err == nil {
		err = p.cluster.PutEvidence(p.t.Context(), r.ID, nil, body)
	}
	if err != nil {
		p.t.Error(err)
	}
}

// sum sums up the year 2026 as of a moment, with a nightly drill planned by the cron line.
func (p *past) sum(now time.Time, line string) *Summary {
	p.t.Helper()
	schedule, err := cron.ParseStandard(line)
	if err != nil {
		p.t.Fatal(err)
	}
	s, err := Summarise(p.t.Context(), SummaryOptions{
		Cluster: p.cluster, From: summaryYear, To: summaryYear.AddDate(1, 0, 0), Now: now,
		Schedules: map[string]Schedule{"nightly": {Text: line, Next: schedule.Next}},
	})
	if err != nil {
		p.t.Fatal(err)
	}
	return s
}

func (s *Summary) opens(words ...string) error {
	text := strings.Join(s.Open, "\n")
	for _, w := range words {
		if !strings.Contains(text, w) {
			return fmt.Errorf("%q is not among\n%s", w, text)
		}
	}
	return nil
}

const monthly = "0 4 15 * *"

func month(n int) time.Time { return time.Date(2026, time.Month(n), 15, 4, 0, 0, 0, time.UTC) }

func TestSummaryOfAYearAsItShouldBe(t *testing.T) {
	t.Parallel()
	p := newPast(t)
	for n := 1; n <= 12; n++ {
		p.put(drilled(month(n), func(r *Result) {
			r.RTOSeconds = float64(n)
			if n == 5 {
				r.Verdict = Warn
			}
		}))
	}
	s := p.sum(summaryYear.AddDate(1, 0, 3), monthly)
	want := Count{Name: "nightly", Schedule: monthly, Planned: 12, Run: 12, Passed: 12, Warned: 1}
	if len(s.Drills) != 1 || s.Drills[0] != want || len(s.Months) != 12 || s.Months[4].All.Warned != 1 {
		t.Errorf("drills %+v, months %+v", s.Drills, s.Months)
	}
	if s.RTO != (Spread{Measured: 12, Best: 1, Median: 6.5, Worst: 12}) || s.RPO.Measured != 12 || s.RPO.Median != 12.2 {
		t.Errorf("RTO %+v, RPO %+v", s.RTO, s.RPO)
	}
	if s.Gap.Seconds != (31*24*time.Hour).Seconds() || len(s.Policies) != 1 || len(s.Backups) != 1 || s.Backups[0].Passed != 12 {
		t.Errorf("gap %+v, policies %+v, backups %+v", s.Gap, s.Policies, s.Backups)
	}
	if c := s.Content; c.ExactDrills != 12 || c.ExactTables != 48 || c.ExactRows == 0 || c.TolerantTables != 0 {
		t.Errorf("content %+v", c)
	}
	if len(s.Failures) > 0 || len(s.Chain.Broken) > 0 {
		t.Errorf("failures %+v, chain %+v", s.Failures, s.Chain)
	}
	if signed := s.Evidence[0].Signature == Verified; signed == (len(s.Open) > 0) {
		t.Errorf("evidence %s, open %q", s.Evidence[0].Signature, s.Open)
	}
}

// TestSummaryCountsWhatIsMissing leaves drills out, lets some fail, removes evidence and damages some.
func TestSummaryCountsWhatIsMissing(t *testing.T) {
	t.Parallel()
	p := newPast(t)
	bad := func(r *Result) {
		*r = *drilled(r.Started, nil)
		broken := failedResult()
		r.Verdict, r.Checks, r.Rows = Fail, broken.Checks, broken.Rows
	}
	p.put(drilled(month(1), nil), drilled(month(2), bad), drilled(month(3), bad), drilled(month(3).Add(time.Hour), nil))
	p.put(drilled(month(5), nil), drilled(month(6), nil), drilled(month(7), func(r *Result) { r.Verdict = Unproven }))
	p.put(drilled(month(8), func(r *Result) { r.Verdict = "excellent" }))
	for _, object := range p.place.Objects(t, "clusters/main/*/drills/20260615T*/*") {
		p.place.Remove(t, object)
	}
	for _, object := range p.place.Objects(t, "clusters/main/*/drills/20260515T*/evidence.json") {
		p.place.Write(t, object, []byte("{}"))
	}
	s := p.sum(month(9).Add(time.Hour), monthly)
	if err := s.opens("No drill was run in 2026-04, 2026-06, 2026-09.", "none passed, in 2026-02, 2026-05, 2026-07, 2026-08", "planned 9 times",
		"4 times of them it was not run", "has not passed since 2026-08-15", "of 1 drill cannot be read", "20260615T040000Z-aaaaaa is gone"); err != nil {
		t.Error(err)
	}
	if len(s.Failures) != 5 {
		t.Fatalf("failures %+v", s.Failures)
	}
	for i, mended := range []float64{(28*24 + 1) * 3600, 3600, 0, 0, 0} {
		if f := s.Failures[i]; f.MendedSeconds != mended || len(f.Reasons) == 0 && f.Verdict == Fail {
			t.Errorf("failure %+v, mended after %g s", f, mended)
		}
	}
	if !s.Months[11].Ahead || s.Months[8].Ahead || s.Months[11].All.Planned != 0 {
		t.Errorf("months %+v", s.Months)
	}
	if !strings.Contains(s.Headline, "2 of 7 drills passed") {
		t.Errorf("headline %q", s.Headline)
	}
}

func TestSummaryOfNothing(t *testing.T) {
	t.Parallel()
	s := newPast(t).sum(summaryYear.AddDate(1, 0, 0), monthly)
	if !strings.HasPrefix(s.Headline, "Nothing was shown") || len(s.Months) != 12 || s.Gap.Seconds != (365*24*time.Hour).Seconds() {
		t.Errorf("%q, %d months, gap %+v", s.Headline, len(s.Months), s.Gap)
	}
	if err := s.opens("No drill was run in 2026-01", "2026-12", "planned 12 times"); err != nil {
		t.Error(err)
	}
}

// TestSummaryLooksBesideItsTime has a drill before, and one after that mends the last failure.
func TestSummaryLooksBesideItsTime(t *testing.T) {
	t.Parallel()
	p := newPast(t)
	p.put(drilled(summaryYear.Add(-time.Hour), nil), drilled(month(1), nil), drilled(month(12), func(r *Result) { r.Verdict = Fail }), drilled(month(13), nil))
	for _, object := range p.place.Objects(t, "clusters/main/*/drills/20260115T*/*") {
		p.place.Remove(t, object)
	}
	s := p.sum(month(14), monthly)
	if len(s.Evidence) != 1 || len(s.Failures) != 1 || s.Failures[0].MendedBy != "20270115T040000Z-aaaaaa" {
		t.Errorf("evidence %+v, failures %+v", s.Evidence, s.Failures)
	}
	if len(s.Chain.Broken) != 1 || s.Chain.Expired != "" {
		t.Errorf("chain %+v", s.Chain)
	}
}

func TestSummaryTellsChangesOfPolicy(t *testing.T) {
	t.Parallel()
	p := newPast(t)
	changes := []func(r *Result){
		nil, nil,
		func(r *Result) { r.Policy.RPO = 5 * time.Second },
		func(r *Result) {
			r.Policy.RPO, r.Mandate = 5*time.Second, Mandate{Name: "Backup policy", Version: "3", SHA256: strings.Repeat("ab", 32)}
		},
		func(r *Result) {
			r.Mandate = Mandate{Name: "Backup policy", Version: "4", SHA256: strings.Repeat("cd", 32), Approver: "Head"}
		},
		func(r *Result) {
			r.Mandate = Mandate{Name: "Backup policy", Version: "4", SHA256: strings.Repeat("cd", 32), Approver: "Deputy"}
		},
	}
	for n, change := range changes {
		p.put(drilled(month(n+1), change))
	}
	s := p.sum(month(7), monthly)
	if len(s.Policies) != 4 || !strings.Contains(s.Policies[3].Now, "Backup policy; version 4; checksum cdcdcdcdcdcd") {
		t.Errorf("%+v", s.Policies)
	}
}

// TestSummaryOfThousands has six years' worth of drills in one, written by older programs.
func TestSummaryOfThousands(t *testing.T) {
	t.Parallel()
	p := newPast(t)
	const drills = 2000
	var group errgroup.Group
	group.SetLimit(16)
	for n := range drills {
		group.Go(func() error {
			p.store(drilled(summaryYear.Add(time.Duration(n)*4*time.Hour), func(r *Result) {
				r.Plan = nil
				if n%100 == 50 {
					r.Verdict = Fail
				}
			}))
			return nil
		})
	}
	_ = group.Wait() // store fails the test itself
	s := p.sum(summaryYear.AddDate(1, 0, 0), "0 */4 * * *")
	if all := s.total(); all.Run != drills || all.Failed != drills/100 || len(s.Evidence) != drills || len(s.Failures) != drills/100 {
		t.Errorf("%+v", all)
	}
	var page bytes.Buffer
	if err := WriteSummary(&page, s); err != nil {
		t.Fatal(err)
	}
	if n := page.Len(); n > 2<<20 {
		t.Errorf("the page has %d bytes", n)
	}
}

func TestSummaryWantsATimeThatEnds(t *testing.T) {
	t.Parallel()
	_, err := Summarise(t.Context(), SummaryOptions{Cluster: newPast(t).cluster, From: summaryYear, To: summaryYear})
	if err == nil || errors.Unwrap(err) != nil {
		t.Errorf("error %v", err)
	}
}
