package main

import (
	"context"
	"time"

	"lifeboat/drill"
	"lifeboat/storage/catalog"
)

// maxDrillAge is the age from which on a passed drill no longer reassures: a night and some grace.
const maxDrillAge = 26 * time.Hour

func (k *checker) checkRepository(ctx context.Context) {
	if k.scene.cluster == nil {
		return
	}
	inventory, err := k.scene.cluster.Inventory(ctx)
	if err != nil {
		k.add("inventory", "unproven", "", "%v", err)
		return
	}
	for _, p := range damages(inventory) {
		k.add("repository", "fail", "lifeboat verify", "%v", p.Err)
	}
	k.checkConflicts(inventory)
	k.checkGaps(inventory)
	for _, label := range inventory.Unfinished {
		k.add("backup", "warn", "the next backup removes it, unless it is running now", "%s is unfinished", label)
	}
	k.checkCopies(ctx)
	k.checkIdentityFits(ctx, inventory)
	k.checkHead(ctx, inventory)
	k.checkLastBackup(inventory.Backups)
	k.checkLastDrill(ctx)
}

func (k *checker) checkLastBackup(backups []catalog.Record) {
	var last time.Time
	for _, b := range backups {
		if b.StopTime.After(last) {
			last = b.StopTime
		}
	}
	limit := oldest(k.scene.config.Backup.Schedule, k.app.now())
	switch {
	case last.IsZero():
		k.add("last backup", "fail", "lifeboat backup", "there is none")
	case k.app.now().Sub(last) > limit:
		k.add("last backup", "fail", "lifeboat backup", "%s, which is more than %s", k.ago(last), limit)
	default:
		k.add("last backup", "pass", "", "%s", k.ago(last))
	}
}

func (k *checker) checkLastDrill(ctx context.Context) {
	results, problems, err := drill.List(ctx, k.scene.cluster)
	if err != nil {
		k.add("last drill", "unproven", "", "%v", err)
		return
	}
	for _, p := range problems {
		k.add("drills", "fail", "lifeboat verify", "%v", p)
	}
	var last *drill.Result
	for _, r := range results {
		if last == nil || r.Started.After(last.Started) {
			last = r
		}
	}
	switch {
	case last == nil:
		k.add("last drill", "warn", "lifeboat census && lifeboat drill run", "there is none: these backups are not proven")
	case last.Verdict == drill.Fail || last.Verdict == drill.Unproven:
		k.add("last drill", "fail", "lifeboat drill show "+last.ID, "%s, %s", last.Verdict, k.ago(last.Started))
	case k.app.now().Sub(last.Started) > maxDrillAge:
		k.add("last drill", "warn", "lifeboat drill run", "%s, %s", last.Verdict, k.ago(last.Started))
	default:
		k.add("last drill", "pass", "", "%s, %s", last.Verdict, k.ago(last.Started))
	}
}
