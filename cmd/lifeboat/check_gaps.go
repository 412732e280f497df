package main

import (
	"lifeboat/storage/catalog"
)

// checkConflicts tells of files that were refused, and how to be rid of the finding when that is settled.
func (k *checker) checkConflicts(inventory *catalog.Inventory) {
	for _, f := range conflicts(inventory) {
		k.add("archiving", "fail", "find out which server is the primary, and stop the other one for good: its WAL of this timeline is not wanted, and "+
			"it can come back as a standby after pg_rewind. Then take a backup (lifeboat backup), and remove findings/"+f.ID()+".json "+
			"below the cluster's directory in the repository", "%s", tellFinding(f))
	}
}

// checkGaps tells of WAL that is missing. One with a backup behind it is mended as far as it can be.
func (k *checker) checkGaps(inventory *catalog.Inventory) {
	for _, g := range inventory.Gaps() {
		why := ""
		if g.Why != "" {
			why = ": " + g.Why
		}
		if inventory.Mended(g) {
			k.add("gaps", "warn", "nothing: a backup was made since", "timeline %d lacks WAL from %s to %s%s", g.Timeline, g.From, g.To, why)
			continue
		}
		k.add("gaps", "fail", "take a new backup: lifeboat backup", "timeline %d lacks WAL from %s to %s%s", g.Timeline, g.From, g.To, why)
	}
}
