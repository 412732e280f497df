package dashboard

import (
	"strings"
	"time"

	"lifeboat/drill"
)

// maxReasons is how many reasons of a verdict are shown beside a run; its report has all.
const maxReasons = 3

// RunOf is what the pages show of a drill's evidence.
func RunOf(r *drill.Result) Run {
	return Run{
		ID: r.ID, Drill: r.Drill, Verdict: r.Verdict, Started: r.Started, Took: r.Finished.Sub(r.Started),
		Target: strings.TrimSpace(r.Target.Kind + " " + r.Target.Value), Rows: r.Rows.Comparison, Why: reasons(r),
		RestoredIn: time.Duration(r.RTOSeconds * float64(time.Second)),
		Restore:    promiseOf(r, drill.TargetTime), Lost: promiseOf(r, drill.TargetRPO),
	}
}

// reasons are the checks that did not pass, those that failed first.
func reasons(r *drill.Result) []string {
	var list []string
	for _, v := range []drill.Verdict{drill.Fail, drill.Unproven, drill.Warn} {
		for _, c := range r.Checks {
			if c.Result == v && len(list) < maxReasons {
				list = append(list, "“"+c.Name+"”: "+c.Detail)
			}
		}
		for _, m := range r.Targets {
			if m.Result == v && len(list) < maxReasons {
				list = append(list, "“"+m.Name+"”: "+m.Actual+"; promised: "+m.Target)
			}
		}
	}
	return list
}

func promiseOf(r *drill.Result, name string) Promise {
	for _, m := range r.Targets {
		if m.Name == name {
			return Promise{Measured: true, Target: m.Target, Actual: m.Actual, UsedPercent: m.UsedPercent, Result: m.Result}
		}
	}
	return Promise{}
}
