package catalog

import (
	"maps"
	"slices"
	"strings"
	"time"

	"lifeboat/internal/wal"
	"lifeboat/storage"
)

// oldestKept is when the first backup ended that stays.
func (e *expiry) oldestKept() time.Time {
	oldest := e.moment
	for _, b := range e.inv.Backups {
		if _, stays := e.kept[b.Label]; stays && b.StopTime.Before(oldest) {
			oldest = b.StopTime
		}
	}
	return oldest
}

// censusFates keep what a recovery can still be compared with, and the last one.
func (e *expiry) censusFates() []Fate {
	limit := earlier(e.cutoff, e.oldestKept())
	return e.documentFates(FateCensus, e.stock.censuses, documentSuffix, &limit,
		"it is older than all that can be recovered to", "recovery to its moment is possible")
}

// evidenceFates keep evidence for its own time, and while there are backups that it may vouch for.
func (e *expiry) evidenceFates() []Fate {
	var limit *time.Time
	if e.policy.KeepEvidence > 0 {
		l := earlier(e.moment.Add(-e.policy.KeepEvidence), e.oldestKept())
		limit = &l
	}
	return e.documentFates(FateEvidence, e.stock.drills, "/"+evidenceFile, limit,
		"it is older than evidence is kept, and than all backups", "it is within its own time, or there are backups that it may vouch for")
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

// documentFates are those of what has an id with its time; limit is from when on they stay, nil: all do. What has no
// document, which ends in suffix, never was finished or is being removed.
func (e *expiry) documentFates(class string, stock map[string][]storage.Info, suffix string, limit *time.Time, gone, stays string) []Fate {
	var fates []Fate
	ids := slices.Sorted(maps.Keys(stock))
	last := e.lastWhole(ids, stock, suffix)
	for _, id := range ids {
		objects := firstly(stock[id], suffix, suffix+signatureSuffix)
		fate := newFate(class, id, false, stays, objects...)
		moment, told := IDTime(id)
		switch {
		case !has(objects, suffix):
			fate.Expires = e.stock.newest.Sub(youngest(objects)) >= inProgress
			fate.Reason = "its document is missing, and it may be in progress"
			if fate.Expires {
				fate.Reason = "its document is missing, and nothing has been added for a day"
			}
		case id == last:
			fate.Reason = "it is the newest one"
		case !told:
			fate.Reason = "its id does not tell how old it is"
		case limit != nil && moment.Before(*limit):
			fate.Expires, fate.Reason = true, gone
		}
		fates = append(fates, fate)
	}
	return fates
}

func (e *expiry) lastWhole(ids []string, stock map[string][]storage.Info, suffix string) string {
	for _, id := range slices.Backward(ids) {
		if has(stock[id], suffix) {
			return id
		}
	}
	return ""
}

// leaseFates keep the last document of each lease, which is the one that counts.
func (e *expiry) leaseFates() []Fate {
	var fates []Fate
	for _, what := range slices.Sorted(maps.Keys(e.stock.leases)) {
		objects := e.stock.leases[what]
		last := lastLease(objects)
		for _, o := range objects {
			name := what + "/" + o.Key[strings.LastIndexByte(o.Key, '/')+1:]
			switch {
			case o.Key == last:
				fates = append(fates, newFate(FateLease, name, false, "it says who holds the lease", o))
			case strings.HasSuffix(o.Key, probeSuffix):
				old := e.stock.newest.Sub(o.ModTime) >= inProgress
				fates = append(fates, newFate(FateLease, name, old, "it told the store's time", o))
			default:
				fates = append(fates, newFate(FateLease, name, true, "a later one has taken its place", o))
			}
		}
	}
	return fates
}

// probeFates remove what a check left that was killed.
func (e *expiry) probeFates() []Fate {
	var fates []Fate
	for _, o := range e.stock.probes {
		fate := newFate(FateProbe, strings.TrimPrefix(o.Key, ProbePrefix), true, "it tried the store, a day ago or earlier", o)
		if e.stock.newest.Sub(o.ModTime) < inProgress {
			fate.Expires, fate.Reason = false, "the store may be tried right now"
		}
		fates = append(fates, fate)
	}
	return fates
}

// lastLease is the key with the highest sequence, which is the last in the order of keys.
func lastLease(objects []storage.Info) string {
	last := ""
	for _, o := range objects {
		if !strings.HasSuffix(o.Key, probeSuffix) && (len(o.Key) > len(last) || len(o.Key) == len(last) && o.Key > last) {
			last = o.Key
		}
	}
	return last
}

// findingFates keep findings as long as the WAL that they are about, and as long as moments are kept.
func (e *expiry) findingFates() []Fate {
	var fates []Fate
	for _, f := range e.inv.Findings {
		key := ""
		for _, known := range slices.Sorted(maps.Keys(e.stock.findings)) {
			if strings.HasSuffix(known, "/"+f.ID()+documentSuffix) {
				key = known
			}
		}
		if key == "" {
			continue // it came meanwhile
		}
		expires := f.Time.Before(e.cutoff) && e.walIsGone(f)
		reason := "the WAL that it is about is kept, or it is recent"
		if expires {
			reason = "the WAL that it is about expires"
		}
		fates = append(fates, newFate(FateFinding, f.ID(), expires, reason, e.stock.findings[key]))
	}
	return fates
}

// walIsGone says whether all WAL that a finding is about lies before what is kept.
func (e *expiry) walIsGone(f Finding) bool {
	size := e.inv.Identity.WALSegmentSize
	name, _, _ := strings.Cut(f.Name, " ")
	file, err := wal.ParseFileName(name)
	if err != nil || file.Kind == wal.History || file.ValidFor(size) != nil {
		return false
	}
	last := file.SegmentNumber(size)
	if f.Lost != nil {
		last = wal.LastSegmentOf(f.Lost.To, size)
	}
	floor, ok := e.floors[file.Timeline]
	return ok && last < floor.number
}
