package catalog

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"lifeboat/internal/wal"
)

// keepBackups finds the backups that stay, each with the first reason.
func (e *expiry) keepBackups() {
	byTime := e.ordered(func(a, b Record) int {
		return cmp.Or(b.StopTime.Compare(a.StopTime), cmp.Compare(b.StopLSN, a.StopLSN))
	})
	byLSN := e.ordered(func(a, b Record) int { return cmp.Compare(b.StopLSN, a.StopLSN) })
	for _, b := range byTime {
		switch {
		case e.policy.Pinned[b.Label]:
			e.keep(b.Label, "it is pinned")
		case b.Label == byTime[0].Label || b.Label == byLSN[0].Label || b.Label == e.inv.newestBackup:
			e.keep(b.Label, "it is the newest one")
		case !b.StopTime.Before(e.cutoff):
			e.keep(b.Label, "it was made since "+e.cutoff.UTC().Format(time.RFC3339))
		}
	}
	// A server's clock may have been set; so what is newest in either order counts.
	e.keepMinimum(byTime)
	e.keepMinimum(byLSN)
	e.keepAnchors()
	e.keepBeforeDamage(byTime)
	e.keepReferences()
}

func (e *expiry) ordered(order func(a, b Record) int) []Record {
	return slices.SortedStableFunc(slices.Values(e.inv.Backups), order)
}

func (e *expiry) keep(label, why string) {
	if _, ok := e.kept[label]; !ok {
		e.kept[label] = why
	}
}

// keepMinimum keeps as many full backups as the policy asks for, newest first, and all backups where there are not so many that
// count.
func (e *expiry) keepMinimum(newestFirst []Record) {
	lacking := e.policy.MinimumFull
	for _, b := range newestFirst {
		if lacking > 0 && e.counts(b) {
			e.keep(b.Label, fmt.Sprintf("it is one of the last %d full backups that are vouched for", e.policy.MinimumFull))
			lacking--
		}
	}
	if lacking == 0 {
		return
	}
	for _, b := range newestFirst {
		e.keep(b.Label, fmt.Sprintf("fewer than %d full backups are vouched for: run lifeboat verify, or a drill", e.policy.MinimumFull))
	}
}

func (e *expiry) counts(b Record) bool {
	return b.Type == "full" && len(b.DamagedPages) == 0 && e.policy.Vouched[b.Label]
}

// keepAnchors keeps, for every timeline whose WAL reaches into the time that is kept, the backup that its beginning is
// recovered from, and all that follow.
func (e *expiry) keepAnchors() {
	for _, tli := range e.inv.timelines() {
		if !e.lives(tli) {
			continue
		}
		reaching := e.ordered(func(a, b Record) int { return cmp.Compare(b.StopLSN, a.StopLSN) })
		reaching = slices.DeleteFunc(reaching, func(b Record) bool {
			_, ok := e.inv.ReachFrom(b, tli)
			return !ok
		})
		last := e.anchor(reaching)
		for i, b := range reaching {
			if i <= last {
				e.keep(b.Label, fmt.Sprintf("moments since %s on timeline %s are recovered from it", e.cutoff.UTC().Format(time.RFC3339), tli))
			}
		}
	}
}

// lives says whether a timeline has WAL of the time that is kept, or none can say.
func (e *expiry) lives(tli wal.TimelineID) bool {
	for _, run := range e.inv.Runs {
		if run.Timeline == tli && (run.LastTime.IsZero() || !run.LastTime.Before(e.cutoff)) {
			return true
		}
	}
	return false
}

// anchor is the place of the first backup, newest first, that is from before the cutoff and vouched for. Where none is
// vouched for it is the second one of those from before.
func (e *expiry) anchor(newestFirst []Record) int {
	var before []int
	for i, b := range newestFirst {
		if !b.StopTime.Before(e.cutoff) || len(b.DamagedPages) > 0 {
			continue
		}
		before = append(before, i)
		if e.policy.Vouched[b.Label] {
			return i
		}
	}
	if len(before) < 2 {
		return len(newestFirst) - 1
	}
	return before[1]
}

// keepBeforeDamage keeps what is older than a backup with damaged pages, while there is no newer one without: the pages may
// be whole in the older ones only.
func (e *expiry) keepBeforeDamage(newestFirst []Record) {
	sound := false
	damaged := ""
	for _, b := range newestFirst {
		switch {
		case damaged != "":
			e.keep(b.Label, "backup "+damaged+" has damaged pages, and none without has been made since")
		case len(b.DamagedPages) == 0:
			sound = true
		case !sound:
			damaged = b.Label
			e.keep(b.Label, "it has damaged pages, and no backup without has been made since")
		}
	}
}

// keepReferences keeps what backups that stay are made of.
func (e *expiry) keepReferences() {
	for changed := true; changed; {
		changed = false
		for _, b := range e.inv.Backups {
			if _, stays := e.kept[b.Label]; !stays {
				continue
			}
			for _, label := range b.References {
				if _, ok := e.kept[label]; !ok {
					e.keep(label, "backup "+b.Label+" uses its packs")
					changed = true
				}
			}
		}
	}
}

// backupFates are those of the backups with a record; what may refer to others goes first.
func (e *expiry) backupFates() []Fate {
	var fates []Fate
	newestFirst := e.ordered(func(a, b Record) int {
		return cmp.Or(b.StopTime.Compare(a.StopTime), cmp.Compare(b.StopLSN, a.StopLSN))
	})
	for _, b := range e.dependentsFirst(newestFirst) {
		objects := firstly(e.stock.backups[b.Label], "/"+recordFile, "/"+recordFile+signatureSuffix, "/"+startedFile)
		why, stays := e.kept[b.Label]
		if !stays && !has(objects, "/"+recordFile) {
			why, stays = "it was finished a moment ago", true
		}
		if !stays {
			why = "it is older than " + e.cutoff.UTC().Format(time.RFC3339) + ", and newer backups reach back to then"
		}
		fates = append(fates, newFate(FateBackup, b.Label, !stays, why, objects...))
	}
	return fates
}

// dependentsFirst moves backups behind those that refer to them.
func (e *expiry) dependentsFirst(backups []Record) []Record {
	var sorted []Record
	placed := map[string]bool{}
	var place func(b Record)
	place = func(b Record) {
		if placed[b.Label] {
			return
		}
		placed[b.Label] = true
		for _, other := range backups {
			if slices.Contains(other.References, b.Label) {
				place(other)
			}
		}
		sorted = append(sorted, b)
	}
	for _, b := range backups {
		place(b)
	}
	return sorted
}

// leavingsFates are those of labels without a record.
func (e *expiry) leavingsFates() []Fate {
	recorded, used := map[string]bool{}, map[string]string{}
	for _, b := range e.inv.Backups {
		recorded[b.Label] = true
		for _, label := range b.References {
			used[label] = b.Label
		}
	}
	var fates []Fate
	for _, label := range e.stock.labels() {
		if recorded[label] {
			continue
		}
		objects := e.stock.backups[label]
		fate := newFate(FateLeavings, label, false, "", objects...)
		switch {
		case used[label] != "":
			fate.Reason = "backup " + used[label] + " uses its packs"
		case has(objects, "/"+recordFile):
			fate.Reason = "its record went away or came a moment ago"
		case !has(objects, "/"+startedFile):
			fate.Expires, fate.Reason = true, "it is what is left of a backup that was being removed"
		case e.stock.newest.Sub(youngest(objects)) < inProgress:
			fate.Reason = "it may be in progress: something was added within a day"
		default:
			fate.Expires, fate.Reason = true, "it was never finished, and nothing has been added for a day"
		}
		fates = append(fates, fate)
	}
	return fates
}
