package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"lifeboat/cmd/internal/config"
	"lifeboat/cmd/internal/term"
	"lifeboat/drill"
)

// summaryFlags say which time is summed up, and how it is written.
type summaryFlags struct {
	year             int
	from, to, format string
}

func (a *app) drillSummaryCommand() *cobra.Command {
	var f summaryFlags
	c := &cobra.Command{
		Use:   "summary",
		Short: "Sum up the drills of a year for an auditor",
		Long: "Reads all evidence of a time, this year's by default, and tells what was planned, run and passed, the times and\n" +
			"targets, each failure and what came after it, and what auditors ask. Exits 0 when it could be written, and 3 when\n" +
			"evidence cannot be read, was changed, or is missing between others.",
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return a.drillSummary(c.Context(), f) },
	}
	c.Flags().IntVar(&f.year, "year", 0, "the `YEAR`, in UTC (default: this one)")
	c.Flags().StringVar(&f.from, "from", "", "first `DAY`, such as 2026-04-01, in UTC")
	c.Flags().StringVar(&f.to, "to", "", "last `DAY` (default: today)")
	c.Flags().StringVar(&f.format, "format", "", "`FORMAT`: text, html or json (default: that of --output)")
	return c
}

func (a *app) drillSummary(ctx context.Context, f summaryFlags) error {
	from, to, err := f.bounds(a.now())
	if err != nil {
		return err
	}
	write, err := a.summaryWriter(f.format)
	if err != nil {
		return err
	}
	s, err := a.openKnown(ctx, asking())
	if err != nil {
		return err
	}
	summary, err := drill.Summarise(ctx, drill.SummaryOptions{Cluster: s.cluster, From: from, To: to, Schedules: schedules(s.config), Now: a.now()})
	if err != nil {
		return err
	}
	if err := write(summary); err != nil {
		return err
	}
	if summary.Sound() {
		return nil
	}
	a.errors.Printf("lifeboat: evidence cannot be read, was changed, or is missing: the summary says which\n")
	return &codeError{code: exitFail}
}

// bounds are the summary's time; its end is exclusive.
func (f summaryFlags) bounds(now time.Time) (from, to time.Time, err error) {
	if f.from == "" && f.to == "" {
		year := f.year
		if year == 0 {
			year = now.UTC().Year()
		}
		if year < 2000 || year > 9999 {
			return from, to, usagef("--year is a year such as 2026, not %d", year)
		}
		from = time.Date(year, 1, 1, 0, 0, 0, 0, time.UTC)
		return from, from.AddDate(1, 0, 0), nil
	}
	if f.year != 0 || f.from == "" {
		return from, to, usagef("choose a time with --year, or with --from and --to")
	}
	if from, err = parseDay("--from", f.from); err != nil {
		return from, to, err
	}
	to = now.UTC().Truncate(24 * time.Hour)
	if f.to != "" {
		if to, err = parseDay("--to", f.to); err != nil {
			return from, to, err
		}
	}
	if to.Before(from) {
		return from, to, usagef("--to lies before --from")
	}
	return from, to.AddDate(0, 0, 1), nil
}

func parseDay(flag, text string) (time.Time, error) {
	day, err := time.Parse(time.DateOnly, text)
	if err != nil {
		return day, usagef("%s is a day such as 2026-04-01, not %q", flag, text)
	}
	return day, nil
}

// schedules are those of the drills of a cluster; a cluster that is not configured here has none.
func schedules(c *config.Cluster) map[string]drill.Schedule {
	planned := map[string]drill.Schedule{}
	if c == nil {
		return planned
	}
	for name, d := range c.Drills {
		if d.Schedule.Schedule != nil {
			planned[name] = drill.Schedule{Text: d.Schedule.Value, Next: d.Schedule.Next}
		}
	}
	return planned
}

func (a *app) summaryWriter(format string) (func(*drill.Summary) error, error) {
	if format == "" {
		format = a.output
	}
	switch format {
	case "text":
		return func(s *drill.Summary) error { a.tellSummary(s); return nil }, nil
	case "json":
		return func(s *drill.Summary) error { return a.writeJSON(s) }, nil
	case "html":
		return func(s *drill.Summary) error { return drill.WriteSummary(a.stdout, s) }, nil
	}
	return nil, usagef("--format is text, html or json, not %q", format)
}

func (a *app) tellSummary(s *drill.Summary) {
	a.out.Printf("cluster %s, %s to %s (UTC)\n%s\n\n", s.Cluster, s.From.Format(time.DateOnly), s.To.Add(-1).Format(time.DateOnly), a.out.Paint(term.Strong, s.Headline))
	for _, open := range s.Open {
		a.out.Printf("  - %s\n", open)
	}
	a.out.Printf("\n")
	rows := make([][]string, 0, len(s.Months))
	for _, m := range s.Months {
		rows = append(rows, append(append([]string{m.Month}, numbers(m.All)...), m.Remark()))
	}
	a.out.Table(append(append([]term.Column{{Title: "month"}}, numberColumns()...), term.Column{Title: ""}), rows)
	a.out.Printf("\n")
	rows = nil
	for _, n := range s.Drills {
		rows = append(rows, append([]string{n.Name}, numbers(n)...))
	}
	a.out.Table(append([]term.Column{{Title: "drill"}}, numberColumns()...), rows)
	for _, f := range s.Failures {
		a.out.Printf("\n%s %s: %s\n", stamp(f.Started), f.ID, f.Verdict)
		for _, reason := range f.Reasons {
			a.out.Printf("  %s\n", reason)
		}
	}
	for _, c := range s.Clauses {
		a.out.Printf("\n%s\n  asks: %s\n", a.out.Paint(term.Strong, c.Source), c.Asks)
		for _, shown := range c.Shown {
			a.out.Printf("  shown: %s\n", shown)
		}
		a.out.Printf("  not shown here: %s\n", c.Beyond)
	}
	a.out.Printf("\n%s\n", drill.ClausesNote)
}

func numberColumns() []term.Column {
	var columns []term.Column
	for _, title := range []string{"planned", "run", "passed", "warned", "failed", "not proven"} {
		columns = append(columns, term.Column{Title: title, Right: true})
	}
	return columns
}

func numbers(n drill.Count) []string {
	var list []string
	for _, value := range []int{n.Planned, n.Run, n.Passed, n.Warned, n.Failed, n.Unproven} {
		list = append(list, fmt.Sprint(value))
	}
	return list
}
