package drill

import (
	"embed"
	"encoding/json"
	"fmt"
	"html/template"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"lifeboat/restore"
)

//go:embed *.html.tmpl
var reportFiles embed.FS

// page is what the report's template shows.
type page struct {
	*Result
	tableLists
	Headline, Summary string
	Took              time.Duration
	Figures           []figure
	Concerns          []concern
	Told              []string
	Points            []point
	Bars              []targetBar
	PhaseBars         []phaseBar
	Skipped           int // checks that were not run
	Trends            []trend
	Facts, Vouched    [][2]string
	Words             [][2]string
	PlanText          string
}

// figure is one of the large numbers at the top.
type figure struct{ Title, Value, Note string }

// concern is one thing that did not pass.
type concern struct {
	Name, Detail string
	Result       Verdict
}

// WriteHTML writes a drill as one page that needs nothing but itself: no script, no font, no picture from elsewhere.
// The history, in any order and with or without the drill itself, is what its trends show.
func WriteHTML(w io.Writer, r *Result, history []*Result) error {
	return writePage(w, "report.html.tmpl", newPage(r, history))
}

func writePage(w io.Writer, name string, content any) error {
	t, err := template.New(name).Funcs(reportFuncs()).ParseFS(reportFiles, "style.html.tmpl", name)
	if err != nil {
		return fmt.Errorf("write the report: %w", err)
	}
	if err := t.Execute(w, content); err != nil {
		return fmt.Errorf("write the report: %w", err)
	}
	return nil
}

func newPage(r *Result, history []*Result) *page {
	p := &page{
		Result: r, tableLists: listTables(r.Rows.Tables), Took: r.Finished.Sub(r.Started), Concerns: concerns(r), Told: told(r), Points: points(r),
		Figures: figures(r), Bars: targetBars(r), PhaseBars: phaseBars(r.Phases), Trends: trends(withSelf(history, r)),
		Facts: facts(r), Vouched: vouched(r), Words: glossary(), PlanText: planText(r.Plan),
	}
	p.Headline, p.Summary = headline(r, p.Concerns)
	for _, c := range r.Checks {
		if c.Result == NotRun {
			p.Skipped++
		}
	}
	return p
}

// headline is the verdict in plain words.
func headline(r *Result, concerns []concern) (headline, summary string) {
	counted := map[Verdict]int{}
	for _, c := range concerns {
		counted[c.Result]++
	}
	switch r.Verdict {
	case Pass:
		return "This backup comes back.", "It was restored, recovered and compared, and every target was kept."
	case Warn:
		return "This backup comes back, with little to spare.", "It was restored, recovered and compared, but a target is nearly used up."
	case Fail:
		summary = things(counted[Fail]) + " did not hold"
		if more := len(concerns) - counted[Fail]; more > 0 {
			summary += fmt.Sprintf(", and %d more to look at", more)
		}
		return "Something is wrong.", summary + ". Until it is mended, do not count on what this drill was to prove."
	case Unproven, NotRun:
	}
	summary = things(counted[Unproven]) + " could not be proven"
	if counted[NotRun] > 0 {
		summary += ", and what comes after was not run"
	}
	return "Nothing bad was found, but not everything could be checked.", summary + ". What was not checked counts as not working."
}

func things(n int) string {
	if n == 1 {
		return "One thing"
	}
	return strconv.Itoa(n) + " things"
}

// concerns lists what did not pass, the worst first: checks, targets that no check speaks of, and as one the checks that
// were not run.
func concerns(r *Result) []concern {
	var list []concern
	var skipped []string
	for _, c := range r.Checks {
		switch c.Result {
		case Pass:
		case NotRun:
			skipped = append(skipped, c.Name)
		case Fail, Unproven, Warn:
			list = append(list, concern{Name: c.Name, Detail: c.Detail, Result: c.Result})
		}
	}
	for _, t := range r.Targets {
		if t.Result != Pass && !slices.ContainsFunc(list, func(c concern) bool { return covers(c.Name, t.Name) }) {
			list = append(list, concern{Name: t.Name, Detail: t.Actual + "; promised: " + t.Target, Result: t.Result})
		}
	}
	slices.SortStableFunc(list, func(a, b concern) int { return b.Result.severity() - a.Result.severity() })
	if len(skipped) > 0 {
		list = append(list, concern{Name: plural(len(skipped), "check"), Detail: strings.Join(skipped, ", "), Result: NotRun})
	}
	return list
}

// covers says that a check speaks of the same as a target.
func covers(check, target string) bool {
	return check == CheckRows && target == TargetRows || check == CheckTime && target == TargetTime || check == CheckBackup && target == TargetAge
}

func figures(r *Result) []figure {
	restored := figure{Title: "Restored in", Value: "not reached", Note: "to the first answer at the target"}
	if r.RTOSeconds > 0 {
		restored.Value = spell(seconds(r.RTOSeconds))
	}
	reached := figure{Title: "Recovered to", Value: "not reached", Note: "of " + strings.TrimSpace(r.Target.Kind+" "+r.Target.Value)}
	if r.Target.ReachedLSN.IsValid() {
		reached.Value, reached.Note = r.Target.ReachedLSN.String(), lastTransaction(r.Target.ReachedTime)
	}
	return []figure{restored, lostFigure(r), rowsFigure(r), reached}
}

func lostFigure(r *Result) figure {
	f := figure{Title: "Would be lost", Value: "not known", Note: "if production were gone when the drill began"}
	for _, m := range r.Targets {
		if m.Name != TargetRPO {
			continue
		}
		f.Value = spell(seconds(r.RPOSeconds))
		if m.Result == Unproven {
			f.Value += " or less"
		}
	}
	return f
}

func rowsFigure(r *Result) figure {
	f := figure{Title: "Rows", Value: r.Rows.Comparison, Note: plural(len(r.Rows.Tables), "table") + " compared"}
	wrong := 0
	for _, t := range r.Rows.Tables {
		if t.Result == Fail {
			wrong++
		}
	}
	switch {
	case wrong > 0:
		f.Value, f.Note = fmt.Sprintf("%d wrong", wrong), "of "+f.Note
	case len(r.Rows.Tables) == 0:
		f.Value, f.Note = "not compared", "no table was counted"
	}
	return f
}

func lastTransaction(t time.Time) string {
	if t.IsZero() {
		return "no transaction was replayed"
	}
	return "last transaction " + stamp(t)
}

// planText is the plan as restore prints it; the JSON itself where it cannot be read.
func planText(raw json.RawMessage) string {
	if len(raw) == 0 {
		return ""
	}
	var plan restore.Plan
	if err := json.Unmarshal(raw, &plan); err != nil {
		return string(raw)
	}
	return plan.String()
}

func reportFuncs() template.FuncMap {
	return template.FuncMap{
		"stamp": stamp, "spell": spell, "count": count, "size": size, "seconds": seconds,
		"sign": sign, "class": class, "day": day, "lastDay": lastDay, "percent": spellPercent,
	}
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

func stamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format("2006-01-02 15:04:05 UTC")
}

// sign is a verdict without colour.
func sign(v Verdict) string {
	switch v {
	case Pass:
		return "✓"
	case Warn:
		return "!"
	case Fail:
		return "✕"
	case Unproven, NotRun:
	}
	return "?"
}

// class is a verdict as a CSS class.
func class(v Verdict) string {
	switch v {
	case Pass, Warn, Fail, Unproven:
		return string(v)
	case NotRun:
	}
	return "notrun"
}

// count groups digits by three.
func count(n int64) string {
	digits := strconv.FormatInt(n, 10)
	start := len(digits) % 3
	if n < 0 {
		start = 1 + (len(digits)-1)%3
	}
	var b strings.Builder
	for i, c := range digits {
		if i > 0 && (i-start)%3 == 0 && digits[i-1] != '-' {
			b.WriteRune('\u202f')
		}
		b.WriteRune(c)
	}
	return b.String()
}

// size writes bytes with a decimal unit, as the promise about 1 TB does.
func size(n int64) string {
	value, units := float64(n), []string{"B", "kB", "MB", "GB", "TB", "PB"}
	unit := 0
	for value >= 1000 && unit < len(units)-1 {
		value, unit = value/1000, unit+1
	}
	if unit == 0 {
		return fmt.Sprintf("%d B", n)
	}
	return fmt.Sprintf("%.1f %s", value, units[unit])
}
