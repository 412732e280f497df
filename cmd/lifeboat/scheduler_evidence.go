package main

import (
	"context"
	"slices"
	"sync"
	"time"

	"lifeboat/cmd/internal/schedule"
	"lifeboat/drill"
	"lifeboat/storage/catalog"
)

// evidenceBook is what the repository's evidence says. Evidence never changes, so each is read once.
type evidenceBook struct {
	mu      sync.Mutex
	results map[string]*drill.Result // by id
	ids     []string                 // that there are, oldest first
	unread  []error
}

// renew reads what is new: the newest results, and as many more as it takes to know of each named drill when it last ran.
func (b *evidenceBook) renew(ctx context.Context, c *catalog.Cluster, names []string) error {
	ids, err := c.EvidenceIDs(ctx)
	if err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	known := map[string]*drill.Result{}
	var unread []error
	wanted := newWanted(names)
	for i := len(ids) - 1; i >= 0 && (len(ids)-i <= viewedResults || !wanted.satisfied()); i-- {
		r := b.results[ids[i]]
		if r == nil {
			if r, err = drill.Load(ctx, c, ids[i]); err != nil {
				unread = append(unread, err)
				continue
			}
			r.Plan = nil // it may be long
		}
		known[ids[i]] = r
		wanted.saw(r)
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	b.results, b.ids, b.unread = known, ids, unread
	return nil
}

// wanted are the drills of which no run has been seen yet that says when they are due.
type wanted map[string]int

func newWanted(names []string) wanted {
	w := wanted{}
	for _, name := range names {
		w[name] = 2 // of those that died two in a row count
	}
	return w
}

func (w wanted) saw(r *drill.Result) {
	switch r.Ending.How {
	case drill.EndedStopped:
	case drill.EndedDied:
		w[r.Drill]--
	default:
		w[r.Drill] -= 2
	}
	if w[r.Drill] <= 0 {
		delete(w, r.Drill)
	}
}

func (w wanted) satisfied() bool { return len(w) == 0 }

// newest are the newest results, oldest first.
func (b *evidenceBook) newest(limit int) (results []*drill.Result, unread []error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, id := range b.ids {
		if r := b.results[id]; r != nil {
			results = append(results, r)
		}
	}
	return results[max(0, len(results)-limit):], slices.Clone(b.unread)
}

// of are all known results of one drill, oldest first.
func (b *evidenceBook) of(name string) []*drill.Result {
	all, _ := b.newest(len(b.ids))
	return slices.DeleteFunc(slices.Clone(all), func(r *drill.Result) bool { return r.Drill != name })
}

// runsOf are the runs of a drill as its schedule counts them.
func runsOf(results []*drill.Result) []schedule.Run {
	runs := make([]schedule.Run, 0, len(results))
	for _, r := range results {
		runs = append(runs, schedule.Run{Began: r.Started, Stopped: r.Ending.How == drill.EndedStopped, Died: r.Ending.How == drill.EndedDied})
	}
	slices.SortStableFunc(runs, func(a, b schedule.Run) int { return a.Began.Compare(b.Began) })
	return runs
}

// lastPassed is when the last of the results began that ended with pass or warn.
func lastPassed(results []*drill.Result) time.Time {
	var last time.Time
	for _, r := range results {
		if r.Verdict == drill.Pass || r.Verdict == drill.Warn {
			last = later(last, r.Started)
		}
	}
	return last
}
