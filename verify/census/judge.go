package census

import (
	"fmt"
	"math"
)

// judge compares one table of the census with what was counted in the restored instance.
func judge(t Table, m measured, found bool, comparison Comparison, tolerance float64) TableResult {
	r := TableResult{OID: t.OID, Schema: t.Schema, Name: t.Name, Expected: t.Rows, Sample: t.Sample, Fingerprint: NotTaken}
	switch {
	case t.Comparable == None:
		r.Result, r.Why = Unproven, "not counted in the census: "+t.Why
		return r
	case !found:
		r.Result, r.Why = Fail, "the table is missing"
		return r
	case m.problem != "":
		r.Result, r.Why = Unproven, "could not be counted: "+m.problem
		return r
	}
	r.Actual = m.rows
	r.Fingerprint = matchOf(t.Fingerprint, m.fingerprint)
	if comparison == Exact && t.Comparable == Exact {
		r.judgeExact(t, m)
	} else {
		r.judgeTolerant(tolerance)
	}
	return r
}

func matchOf(expected, actual string) Match {
	switch {
	case expected == "" || actual == "":
		return NotTaken
	case expected == actual:
		return Matches
	}
	return Differs
}

func (r *TableResult) judgeExact(t Table, m measured) {
	switch {
	case r.Expected != r.Actual:
		r.Result, r.Why = Fail, fmt.Sprintf("%d rows, not %d", r.Actual, r.Expected)
	case r.Fingerprint == Differs:
		r.Result, r.Why = Fail, "as many rows, but with other contents"
	case t.Fingerprint != "" && m.fingerprint == "":
		r.Result, r.Why = Unproven, m.remark
	default:
		r.Result, r.Why = Pass, t.Why
	}
}

// judgeTolerant compares the rows alone: contents are bound to differ.
func (r *TableResult) judgeTolerant(tolerance float64) {
	difference := math.Abs(float64(r.Actual) - float64(r.Expected))
	if difference <= tolerance*float64(r.Expected) {
		r.Result = Pass
		return
	}
	r.Result = Fail
	r.Why = fmt.Sprintf("%d rows, not %d: more than %g %% away", r.Actual, r.Expected, 100*tolerance)
}
