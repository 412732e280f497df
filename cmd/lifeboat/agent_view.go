package main

import (
	"context"
	"sync"
	"time"

	"lifeboat/storage/catalog"
)

// viewInterval is how often the agent looks into the repository for what only the repository knows.
const viewInterval = 5 * time.Minute

// view is what the repository held when the agent looked last.
type view struct {
	mu   sync.Mutex
	seen sight
}

// sight is one look into the repository. Moments are zero where there is nothing of the kind.
type sight struct {
	at                                      time.Time // zero: none yet
	lastBackup, lastCensus, lastPassedDrill time.Time
	gaps, openGaps, problems                int
	findings                                map[string]int // by kind
	inventory                               *catalog.Inventory
}

func (v *view) now() sight {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.seen
}

// keepView looks into the repository now and then until ctx ends.
func (t *tended) keepView(ctx context.Context) {
	for {
		t.look(ctx)
		if !pause(ctx, viewInterval) {
			return
		}
	}
}

// look renews the view. Where that is not possible the old one stays, and its age tells.
func (t *tended) look(ctx context.Context) {
	seen, err := t.lookOnce(ctx, t.shop.Load().scene.cluster)
	if err != nil {
		if ctx.Err() == nil {
			t.counts.failed(err)
			t.app.log.Warn("the repository cannot be looked at", keyError, err)
		}
		return
	}
	t.view.mu.Lock()
	defer t.view.mu.Unlock()
	t.view.seen = seen
}

func (t *tended) lookOnce(ctx context.Context, cluster *catalog.Cluster) (sight, error) {
	seen := sight{at: t.app.now()}
	inventory, err := cluster.Inventory(ctx)
	if err != nil {
		return seen, err
	}
	seen.lastBackup = newestBackup(inventory)
	seen.inventory = inventory
	seen.countTroubles(inventory)
	if seen.lastCensus, err = newestCensus(ctx, cluster); err != nil {
		return seen, err
	}
	if err := t.evidence.renew(ctx, cluster, nil); err != nil {
		return seen, err
	}
	results, _ := t.evidence.newest(viewedResults)
	seen.lastPassedDrill = lastPassed(results)
	return seen, nil
}

func (s *sight) countTroubles(inventory *catalog.Inventory) {
	s.problems = len(inventory.Problems)
	for _, gap := range inventory.Gaps() {
		s.gaps++
		if !inventory.Mended(gap) {
			s.openGaps++
		}
	}
	s.findings = map[string]int{catalog.FindingConflict: 0, catalog.FindingGap: 0}
	for _, f := range inventory.Findings {
		s.findings[f.Kind]++
	}
}

// newestBackup is when the newest backup was begun.
func newestBackup(inventory *catalog.Inventory) time.Time {
	var newest time.Time
	for _, b := range inventory.Backups {
		if b.StartTime.After(newest) {
			newest = b.StartTime
		}
	}
	return newest
}

// newestCensus is when the newest census was begun, by its id.
func newestCensus(ctx context.Context, cluster *catalog.Cluster) (time.Time, error) {
	ids, err := cluster.CensusIDs(ctx)
	var newest time.Time
	for _, id := range ids {
		if begun, err := time.Parse("20060102T150405Z", id[:min(len(id), 16)]); err == nil && begun.After(newest) {
			newest = begun
		}
	}
	return newest, err
}
