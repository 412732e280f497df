package catalog

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"lifeboat/internal/wal"
	"lifeboat/storage"
)

// Policy says what must not expire.
type Policy struct {
	// Keep is how long ago the moments may be that can be recovered to. It is counted back from the last moment that the
	// cluster's backups and WAL tell of, or from now if that is earlier: so neither a clock that was set forward nor a
	// server that is gone makes its last backups old.
	Keep time.Duration
	// MinimumFull is how many full backups stay whatever their age; below one means one. Only backups count that are
	// vouched for and have no damaged pages. Where these are too few, every backup stays: the oldest may be the only one that
	// restores.
	MinimumFull int
	// KeepEvidence is how long what drills left is kept; zero means for ever.
	KeepEvidence time.Duration
	Vouched      map[string]bool // labels of backups that a verification or a passed drill vouches for
	Pinned       map[string]bool // labels of backups that never expire
}

// The classes of what a fate is about.
const (
	FateBackup       = "backup"
	FateLeavings     = "leavings" // of a backup that never was finished, or whose expiry was interrupted
	FateWAL          = "wal"
	FateTail         = "tail"
	FateCensus       = "census"
	FateEvidence     = "evidence"
	FateLease        = "lease"
	FateFinding      = "finding"
	FateVerification = "verification"
	FateProbe        = "probe" // by which a store was tried; of no cluster
)

// Fate is what becomes of some objects, and why.
type Fate struct {
	Class   string
	Name    string // label, id, or a range of WAL
	Expires bool
	Reason  string // for people
	Objects int
	Bytes   int64

	keys     []storage.Info // in the order of deletion
	timeline wal.TimelineID // of WAL
}

// ExpiryPlan is what is to expire of a stock. It is a pure value: the same stock, policy and time give the same plan.
type ExpiryPlan struct {
	Cutoff  time.Time // moments from then on stay recoverable
	Stopped []string  // why nothing expires at all; empty where something may
	Fates   []Fate    // of all objects that can expire at some time, in the order of deletion

	stock  *Stock
	policy Policy
	now    time.Time
}

// a day is how long something without its last document is left alone, since it may be in progress.
const inProgress = 24 * time.Hour

// PlanExpiry says what becomes of each object of a stock. Times are the server's own as far as there are any; the age of
// what may be in progress is told by the store's clock alone.
func PlanExpiry(s *Stock, p Policy, now time.Time) ExpiryPlan {
	e := &expiry{stock: s, inv: s.Inventory, policy: p, kept: map[string]string{}}
	e.policy.MinimumFull = max(1, p.MinimumFull)
	e.moment = e.lastMoment(now)
	e.cutoff = e.moment.Add(-p.Keep)
	plan := ExpiryPlan{Cutoff: e.cutoff, Stopped: e.stopped(), stock: s, policy: p, now: now}
	e.keepBackups()
	e.floors = e.walFloors()
	for _, fates := range [][]Fate{
		e.backupFates(), e.leavingsFates(), e.tailFates(), e.walFates(s.wal), e.censusFates(), e.evidenceFates(),
		e.leaseFates(), e.findingFates(), e.verificationFates(), e.probeFates(),
	} {
		plan.Fates = append(plan.Fates, fates...)
	}
	if len(plan.Stopped) > 0 {
		for i := range plan.Fates {
			plan.Fates[i].Expires, plan.Fates[i].Reason = false, "nothing expires: "+plan.Stopped[0]
		}
	}
	return plan
}

// expiry is the making of one plan.
type expiry struct {
	stock          *Stock
	inv            *Inventory
	policy         Policy
	moment, cutoff time.Time
	kept           map[string]string // why, by label
	floors         map[wal.TimelineID]floor
}

// lastMoment is the last one that the server tells of, or now if that is earlier.
func (e *expiry) lastMoment(now time.Time) time.Time {
	var last time.Time
	note := func(t time.Time) {
		if t.After(last) {
			last = t
		}
	}
	for _, b := range e.inv.Backups {
		note(b.StopTime)
	}
	for _, r := range e.inv.Runs {
		note(r.LastTime)
		note(r.LastXactTime)
	}
	if last.IsZero() || now.Before(last) {
		return now
	}
	return last
}

// stopped is why nothing can be concluded from the stock.
func (e *expiry) stopped() []string {
	var why []string
	for _, p := range e.inv.Problems {
		why = append(why, fmt.Sprintf("%s cannot be understood: %v", p.Key, p.Err))
	}
	for tli := range e.inv.damagedHistories {
		why = append(why, fmt.Sprintf("where timeline %s comes from is not known", tli))
	}
	if len(e.inv.Backups) == 0 {
		why = append(why, "there is no backup")
	}
	if e.policy.Keep < 0 || e.policy.KeepEvidence < 0 {
		why = append(why, "the policy keeps things for less than no time")
	}
	slices.Sort(why)
	return why
}

// Expiring are the fates of what is to be deleted.
func (p ExpiryPlan) Expiring() []Fate {
	return slices.DeleteFunc(slices.Clone(p.Fates), func(f Fate) bool { return !f.Expires })
}

// Err is an ErrExpiryStopped where nothing expires at all.
func (p ExpiryPlan) Err() error {
	if len(p.Stopped) == 0 {
		return nil
	}
	return fmt.Errorf("expire: %w: %s", ErrExpiryStopped, strings.Join(p.Stopped, "; "))
}

// Stored is what there is of each class, before anything expires.
func (p ExpiryPlan) Stored() map[string]Amount {
	stored := map[string]Amount{}
	for _, f := range p.Fates {
		stored[f.Class] = stored[f.Class].plus(f.Objects, f.Bytes)
	}
	return stored
}

// Keys are the keys of the objects, in the order in which they are deleted.
func (f Fate) Keys() []string {
	keys := make([]string, 0, len(f.keys))
	for _, o := range f.keys {
		keys = append(keys, o.Key)
	}
	return keys
}

// newFate is about objects of which the first ones must go first.
func newFate(class, name string, expires bool, reason string, objects ...storage.Info) Fate {
	f := Fate{Class: class, Name: name, Expires: expires, Reason: reason, Objects: len(objects), keys: objects}
	for _, o := range objects {
		f.Bytes += o.Size
	}
	return f
}

// firstly sorts objects so that those come first whose keys end in one of the suffixes, in their order.
func firstly(objects []storage.Info, suffixes ...string) []storage.Info {
	rank := func(o storage.Info) int {
		for i, suffix := range suffixes {
			if strings.HasSuffix(o.Key, suffix) {
				return i
			}
		}
		return len(suffixes)
	}
	sorted := slices.Clone(objects)
	slices.SortStableFunc(sorted, func(a, b storage.Info) int { return rank(a) - rank(b) })
	return sorted
}
