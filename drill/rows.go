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
		result, err := census.Compare(ctx, database, census.CompareOptions{
			Connect: d.connect(running), Tolerance: d.Targets.RowsPercent / 100,
		})
		if err != nil {
			return err
		}
		d.addRows(result)
	}
	if len(s.counts) > 0 {
		d.judgeRows()
	}
	return nil
}

func (d *drill) addRows(r census.DatabaseResult) {
	rows := &d.result.Rows
	rows.Comparison = weaker(rows.Comparison, string(r.Comparison), len(rows.Tables) == 0)
	if r.Why != "" {
		rows.Why = strings.TrimPrefix(rows.Why+"; "+r.Name+": "+r.Why, "; ")
	}
	for _, t := range r.Tables {
		rows.Tables = append(rows.Tables, Table{
			Database: r.Name, Table: t.Schema + "." + t.Name, Expected: t.Expected, Actual: t.Actual,
			Fingerprint: string(t.Fingerprint), Result: Verdict(t.Result), Why: t.Why,
		})
	}
	if len(r.Extra) > 0 {
		rows.Why = strings.TrimPrefix(rows.Why+"; "+r.Name+" has tables that the census does not know: "+strings.Join(r.Extra, ", "), "; ")
	}
	d.rowResults = append(d.rowResults, Verdict(r.Result))
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
	if rows.Why == "" {
		rows.Why = fmt.Sprintf("recovered to the very position in the WAL that census %s belongs to", d.result.Census)
	}
	var wrong []string
	var worst float64
	for _, t := range rows.Tables {
		worst = max(worst, deviation(t))
		if t.Result != Pass {
			wrong = append(wrong, fmt.Sprintf("%s.%s: %s", t.Database, t.Table, t.Why))
		}
	}
	detail := fmt.Sprintf("%d tables, comparison %s, census %s", len(rows.Tables), rows.Comparison, d.result.Census)
	if len(wrong) > 0 {
		detail += "; " + strings.Join(wrong, "; ")
	}
	d.checks.set(CheckRows, verdict, "%s", detail)
	d.setTarget(Measured{
		Name: TargetRows, Target: fmt.Sprintf("within %g %%", d.Targets.RowsPercent), Actual: fmt.Sprintf("%.4g %% off", worst),
		UsedPercent: 100 * worst / d.Targets.RowsPercent, Result: verdict,
	})
}

// deviation is by how many percent a table's rows differ from those expected.
func deviation(t Table) float64 {
	difference := t.Actual - t.Expected
	if difference == 0 || t.Actual < 0 {
		return 0
	}
	return 100 * max(float64(difference), -float64(difference)) / max(1, float64(t.Expected))
}
