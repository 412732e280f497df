package catalog

import (
	"cmp"
)

// dumpFates keep dumps for their own time, and no longer than what else their drill left. The newest one stays.
func (e *expiry) dumpFates() []Fate {
	limit := e.moment.Add(-cmp.Or(e.policy.KeepDumps, e.policy.Keep))
	fates := e.documentFates(FateDump, e.stock.dumps, "/"+dumpFile, &limit, "it is older than dumps are kept", "it is within its own time")
	expired := map[string]bool{}
	for _, f := range e.evidenceFates() {
		expired[f.Name] = f.Expires
	}
	for i, f := range fates {
		if !f.Expires && expired[DrillOfDump(f.Name)] {
			fates[i].Expires, fates[i].Reason = true, "what else its drill left expires"
		}
	}
	return fates
}
