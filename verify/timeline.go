package verify

import (
	"maps"
	"slices"

	"lifeboat/internal/wal"
)

// addHistories makes sure that every timeline can tell where it comes from, and that timelines agree about it.
func (c *clusterCheck) addHistories() {
	for _, tli := range c.timelines() {
		history, ok := c.inventory.Histories[tli]
		if !ok {
			c.checkMissing(tli)
			continue
		}
		for i, entry := range history.Entries {
			c.checkAncestor(history, i, entry.Timeline)
		}
	}
}

// timelines are those that have WAL, backups or a history.
func (c *clusterCheck) timelines() []wal.TimelineID {
	found := map[wal.TimelineID]bool{}
	for tli := range c.inventory.Histories {
		found[tli] = true
	}
	for _, run := range c.inventory.Runs {
		found[run.Timeline] = true
	}
	for _, record := range c.inventory.Backups {
		found[record.Timeline] = true
	}
	return slices.Sorted(maps.Keys(found))
}

// checkMissing is about a timeline without a history file that can be used. Timeline 1 has none.
func (c *clusterCheck) checkMissing(tli wal.TimelineID) {
	if tli == 1 {
		return
	}
	if _, sound := c.inventory.History(tli); !sound {
		return // damaged, and reported as such
	}
	name := wal.HistoryFile(tli).String()
	c.fail(c.name(), "archive it from the server's pg_wal: lifeboat archive-push pg_wal/"+name,
		"history file %s is missing: timeline %s cannot be recovered over its ancestors", name, tli)
}

// checkAncestor compares a history with that of one of its ancestors, which must be its beginning.
func (c *clusterCheck) checkAncestor(history wal.TimelineHistory, position int, ancestor wal.TimelineID) {
	known, ok := c.inventory.Histories[ancestor]
	if !ok {
		return // timeline 1, or reported where it has any WAL
	}
	same := slices.EqualFunc(known.Entries, history.Entries[:position], func(a, b wal.HistoryEntry) bool {
		return a.Timeline == b.Timeline && a.SwitchLSN == b.SwitchLSN
	})
	if !same {
		c.fail(c.name(), "two servers have made a timeline of the same number: look which of them is the primary",
			"timeline %s says that it comes from %s, but timeline %s is known as %s", history.Timeline, history, ancestor, known)
	}
}

// addGaps tells where WAL is missing. A gap inside a backup has made that backup fail, too.
func (c *clusterCheck) addGaps() {
	for _, gap := range c.inventory.Gaps() {
		c.warn(c.name(), "moments in the gap, and from there to the next backup, cannot be recovered: make a base backup now, if none has been made since",
			"WAL of timeline %s is missing from %s to %s%s", gap.Timeline, gap.From, gap.To, because(gap.Why))
	}
}

func because(why string) string {
	if why == "" {
		return ""
	}
	return ": " + why
}
