package main

import (
	"context"
	"errors"
	"time"

	"lifeboat/archive"
	"lifeboat/internal/wal"
	"lifeboat/storage"
	"lifeboat/storage/catalog"
)

const (
	fillPoll = time.Second
	// syncInterval is how often all repositories are compared. What pushes have missed is brought to them sooner.
	syncInterval = time.Hour
)

// keepFilled fills gaps after each look into the repository, as soon as the server answers, until ctx ends. A server that was
// promoted has WAL of its timeline before that the old primary may not have archived: then it looks at once.
func (t *tended) keepFilled(ctx context.Context) {
	waited := false
	for last := (time.Time{}); pause(ctx, fillPoll); {
		server := t.watch.now()
		if server.answers && waited && !server.standby {
			t.look(ctx)
		}
		waited = server.standby || waited && !server.answers
		seen := t.view.now()
		if seen.inventory == nil || seen.at.Equal(last) || !server.answers {
			continue
		}
		last = seen.at
		if err := t.fillGaps(ctx, seen.inventory, server); err != nil && ctx.Err() == nil {
			t.counts.failed(err)
			t.app.log.Error("a gap could not be filled", keyError, err, "hint", hintOf(err))
		}
	}
}

// fillGaps brings into the repository what it lacks and the server still has, and takes note of what nobody has.
func (t *tended) fillGaps(ctx context.Context, inventory *catalog.Inventory, server serverState) error {
	shop := t.shop.Load()
	source := archive.RefillSource{
		DataDirectory: shop.directory, End: server.end, Primary: !server.standby,
		Trusted: !server.standby && len(conflicts(inventory)) == 0,
	}
	plan, err := archive.PlanRefill(inventory, source)
	if err != nil {
		return err
	}
	filled := 0
	for _, row := range plan {
		names, rowErr := t.fillRow(ctx, shop, source, row)
		filled += len(names)
		err = errors.Join(err, rowErr)
	}
	if filled > 0 {
		t.look(ctx)
	}
	if err == nil && source.Primary && len(inventory.Unreached) == 0 {
		err = t.noteLost(ctx, shop.scene.cluster, inventory, source)
	}
	return err
}

func (t *tended) fillRow(ctx context.Context, shop *shop, source archive.RefillSource, row archive.Refill) ([]wal.FileName, error) {
	options := archive.PushOptions{Clock: t.app.now, Store: t.app.storeOptions(shop.scene)}
	names, err := row.Run(ctx, shop.scene.cluster, source, options)
	t.counts.filled(len(names))
	if len(names) > 0 {
		t.app.log.Warn("WAL that the repository lacked was still in pg_wal and is stored now: look why it was not archived",
			"first", names[0].String(), "files", len(names))
	}
	return names, err
}

// noteLost enters gaps into the ledger that nobody has explained and this server cannot fill.
func (t *tended) noteLost(ctx context.Context, cluster *catalog.Cluster, inventory *catalog.Inventory, source archive.RefillSource) error {
	gaps, err := archive.LostForGood(inventory, source)
	size := inventory.Identity.WALSegmentSize
	for _, gap := range gaps {
		first := wal.SegmentFile(gap.Timeline, wal.SegmentOf(gap.From, size), size)
		if _, headErr := cluster.WALHeader(ctx, first); !errors.Is(headErr, storage.ErrNotFound) {
			continue // it came meanwhile, or cannot be asked for
		}
		lost := catalog.LostWAL{Timeline: gap.Timeline, From: gap.From, To: gap.To, Why: "it is neither in the repository nor in pg_wal"}
		t.app.log.Error("WAL is missing: take a new base backup", "timeline", gap.Timeline, "from", gap.From, "to", gap.To)
		err = errors.Join(err, cluster.PutGap(ctx, lost, t.app.now()))
	}
	return err
}

// keepSynced brings to each of several repositories what another one has, now and each hour, until ctx ends.
func (t *tended) keepSynced(ctx context.Context) {
	scene := t.shop.Load().scene
	for len(scene.copies) > 0 {
		report, err := scene.cluster.Fill(ctx, nil)
		if err != nil && ctx.Err() == nil {
			t.counts.failed(err)
			t.app.log.Warn("the repositories cannot be compared", keyError, err)
		}
		t.tellSynced(scene, report, err == nil)
		if !pause(ctx, syncInterval) {
			return
		}
	}
}

func (t *tended) tellSynced(scene *scene, report catalog.FillReport, whole bool) {
	for _, c := range report.Copies {
		if c.Objects > 0 {
			t.app.log.Info("a repository got what it lacked", keyRepository, c.Copy, "objects", c.Objects, "bytes", c.Bytes)
		}
		if c.Err != nil || len(c.Missing) > 0 {
			t.app.log.Warn("a repository lacks what another one has", keyRepository, c.Copy, "missing", len(c.Missing),
				keyError, errors.Join(c.Err, problemsOf(c.Missing)))
			continue
		}
		if whole {
			t.app.owed(scene).clear(c.Copy)
		}
	}
}
