package drill

import (
	"cmp"
	"slices"
)

const (
	// maxReportTables is how many tables that pass a report lists, and as many that do not; the JSON has all.
	maxReportTables = 1000
	// openTables is how many tables that pass are shown without being asked for.
	openTables = 25
)

// tableLists are a report's tables: first those that did not pass, the worst first.
type tableLists struct {
	Wrong, Right               []Table
	Passed                     int
	Folded                     bool // those that pass are shown when asked for
	WrongLeftOut, RightLeftOut int
}

func listTables(tables []Table) tableLists {
	var l tableLists
	for _, t := range tables {
		if t.Result == Pass {
			l.Right = append(l.Right, t)
		} else {
			l.Wrong = append(l.Wrong, t)
		}
	}
	slices.SortStableFunc(l.Wrong, func(a, b Table) int {
		return cmp.Or(cmp.Compare(b.Result.severity(), a.Result.severity()), cmp.Compare(deviation(b), deviation(a)))
	})
	l.Passed = len(l.Right)
	l.Folded = l.Passed > openTables
	l.Wrong, l.WrongLeftOut = firstOf(l.Wrong)
	l.Right, l.RightLeftOut = firstOf(l.Right)
	return l
}

func firstOf(tables []Table) (shown []Table, leftOut int) {
	if len(tables) <= maxReportTables {
		return tables, 0
	}
	return tables[:maxReportTables], len(tables) - maxReportTables
}
