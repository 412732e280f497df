package drill

import (
	"context"
	"fmt"
	"strings"

	"lifeboat/restore/server"
	"lifeboat/verify/census"
)

// compare counts the databases whose place in the WAL this stop is, and compares them with the census.
func (d *drill) compare(ctx context.Context, running *server.Server, s *stop) error {
	defer d.clock.time(PhaseVerify)()
	for _, database := range s.counts {
		d.Progress(PhaseVerify+" "+database.Name, 0, 0)
		started := d.Now()
		result, err := census.Compare(ctx, database, census.CompareOptions{
			Connect: d.connect(running), Tolerance: d.Targets.RowsPercent / 100,
		})
		if err != nil {
			return err
		}
		d.addRows(result)
		d.keepRows(database, result, d.Now().Sub(started))
		if err := d.compareDetails(ctx, running, database, result.Comparison); err != nil {
			return err
		}
		d.checks.during(CheckRows)
	}
	if len(s.counts) > 0 {
		d.judgeRows()
	}
	return nil
}

func (d *drill) addRows(r census.DatabaseResult) {
	rows := &d.result.Rows
	rows.Comparison = weaker(rows.Comparison, string(r.Comparison), len(d.rowResults) == 0)
	if r.Why != "" {
		rows.Why = also(rows.Why, r.Name+": "+r.Why)
	}
	for _, t := range r.Tables {
		rows.Tables = append(rows.Tables, Table{
			Database: r.Name, Table: t.Schema + "." + t.Name, Expected: t.Expected, Actual: t.Actual,
			Fingerprint: string(t.Fingerprint), Result: Verdict(t.Result), Why: also(t.Why, coverage(t.Sample)),
		})
	}
	if len(r.Extra) > 0 {
		rows.Why = also(rows.Why, r.Name+" has tables that the census does not know: "+strings.Join(r.Extra, ", "))
	}
	if len(r.Skipped) > 0 {
		rows.Why = also(rows.Why, fmt.Sprintf("%s has %d relations whose rows no backup holds, such as %s.%s: %s",
			r.Name, len(r.Skipped), r.Skipped[0].Schema, r.Skipped[0].Name, r.Skipped[0].Why))
	}
	d.rowResults = append(d.rowResults, Verdict(r.Result))
}

// also joins two remarks, either of which may be empty.
func also(have, more string) string {
	if have == "" || more == "" {
		return have + more
	}
	return have + "; " + more
}

// coverage says how much of a table was looked at, where that is not all of it.
func coverage(s *census.Sample) string {
	switch {
	case s == nil:
		return ""
	case s.Rows:
		return fmt.Sprintf("counted in %.3g %% of its blocks", s.Percent)
	}
	return fmt.Sprintf("contents compared in %.3g %% of its blocks", s.Percent)
}

// weaker is the comparison of a whole: exact only when all parts are, none only when all are.
func weaker(have, next string, first bool) string {
	if first || have == next {
		return next
	}
	return string(census.Tolerant)
}

// judgeRows makes one check and one target of all tables compared so far.
func (d *drill) judgeRows() {
	rows := &d.result.Rows
	verdict := Worst(d.rowResults...)
	missing := len(d.census.Databases) - len(d.rowResults)
	if missing > 0 {
		verdict = Worst(verdict, NotRun)
	}
	var wrong []string
	var worst float64
	for _, t := range rows.Tables {
		worst = max(worst, deviation(t))
		if t.Result != Pass {
			wrong = append(wrong, fmt.Sprintf("%s.%s: %s", t.Database, t.Table, t.Why))
		}
	}
	m := Measured{
		Name: TargetRows, Target: fmt.Sprintf("within %g %%", d.Targets.RowsPercent), Actual: fmt.Sprintf("%.3g %% off", worst),
		UsedPercent: used(worst, d.Targets.RowsPercent), Result: verdict,
	}
	if m.UsedPercent > d.Targets.WarnAtPercent {
		m.Result = Worst(verdict, Warn)
	}
	d.setTarget(m)
	detail := fmt.Sprintf("%s compared with census %s, %s", plural(len(rows.Tables), "table"), d.result.Census, comparisonWords(rows.Comparison))
	if missing > 0 {
		detail += fmt.Sprintf("; the drill did not come to %s", plural(missing, "database"))
	}
	switch {
	case len(wrong) > 0:
		detail = fmt.Sprintf("%s (%s)", firstFew(wrong), detail)
	case verdict != Pass && rows.Why != "":
		detail = fmt.Sprintf("%s (%s)", rows.Why, detail)
	case len(rows.Tables) == 0:
		verdict, detail = Unproven, "the census has no table to compare: there is nothing that could be wrong, or right"
	}
	d.checks.set(CheckRows, verdict, "%s", detail)
}

// explainRows says what an exact comparison rests on, where nothing else is to be said.
func (d *drill) explainRows() {
	if rows := &d.result.Rows; rows.Why == "" && rows.Comparison == string(census.Exact) {
		rows.Why = fmt.Sprintf("recovered to the very position in the WAL that census %s belongs to", d.result.Census)
	}
}

func plural(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}

func comparisonWords(comparison string) string {
	switch comparison {
	case string(census.Exact):
		return "row for row, at its very position in the WAL"
	case string(census.Tolerant):
		return "within the tolerance only"
	}
	return "not compared"
}

// firstFew keeps a detail readable where many tables are wrong.
func firstFew(list []string) string {
	const shown = 5
	if len(list) <= shown {
		return strings.Join(list, "; ")
	}
	return fmt.Sprintf("%s; and %d more", strings.Join(list[:shown], "; "), len(list)-shown)
}

// used is the share of what is allowed, in percent; more than 100 where nothing is.
func used(actual, allowed float64) float64 {
	switch {
	case actual == 0:
		return 0
	case allowed == 0:
		return 1000
	}
	return 100 * actual / allowed
}

// deviation is by how many percent a table's rows differ from those expected.
func deviation(t Table) float64 {
	difference := t.Actual - t.Expected
	if difference == 0 || t.Result == Unproven {
		return 0
	}
	return 100 * max(float64(difference), -float64(difference)) / max(1, float64(t.Expected))
}
