package catalog

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"

	"lifeboat/internal/wal"
	"lifeboat/storage"
)

// ErrExpiryStopped says that a plan deletes nothing, since not all could be understood.
var ErrExpiryStopped = errors.New("nothing expires")

// ExpiryReport is what an expiry did.
type ExpiryReport struct {
	Objects int // deleted
	Bytes   int64
	// Deleted is what was deleted of each class.
	Deleted map[string]Amount
	// Refused counts the objects that should have been deleted and must not be, such as those under retention, or for want
	// of the right to delete. They are left, and so is what they need.
	Refused    int
	RefusedKey string // the first of them
	RefusedErr error  // why
}

// Amount is so many objects, and their size together.
type Amount struct {
	Objects int
	Bytes   int64
}

func (a Amount) plus(objects int, bytes int64) Amount {
	return Amount{Objects: a.Objects + objects, Bytes: a.Bytes + bytes}
}

// Expire deletes what a plan of this cluster says, in an order that leaves a sound repository whenever it ends: a record
// before the packs that it stands for, backups before their WAL, WAL from its oldest end on. Who interrupts it, and who
// plans and expires anew, loses nothing. That objects may not be deleted is no error.
//
// Nothing is deleted where the plan was stopped (ErrExpiryStopped), or where a backup that it keeps is gone meanwhile.
func (c *Cluster) Expire(ctx context.Context, plan ExpiryPlan) (ExpiryReport, error) {
	x := &expiring{Cluster: c, plan: plan, report: ExpiryReport{Deleted: map[string]Amount{}}}
	if err := plan.Err(); err != nil {
		return x.report, err
	}
	for _, step := range []func(context.Context) error{x.confirmKept, x.removeBackups, x.removeRest} {
		if err := step(ctx); err != nil {
			return x.report, fmt.Errorf("expire: %w", err)
		}
	}
	return x.report, nil
}

// expiring is one run of Expire.
type expiring struct {
	*Cluster
	plan ExpiryPlan

	mu     sync.Mutex // guards report
	report ExpiryReport
}

const (
	// ahead is how many objects of a backup go before its packs, at most: the record, its signature, the started document.
	ahead = 3
	// deletesAtOnce bounds how many packs are deleted side by side.
	deletesAtOnce = 8
)

// confirmKept makes sure that what the plan leaves is still there: somebody else may have expired by another policy.
func (x *expiring) confirmKept(ctx context.Context) error {
	committed, _, err := x.backupLabels(ctx)
	if err != nil {
		return err
	}
	for _, f := range x.plan.Fates {
		if f.Class == FateBackup && !f.Expires && !slices.Contains(committed, f.Name) {
			return fmt.Errorf("backup %s, which the plan keeps, is gone", f.Name)
		}
	}
	return nil
}

// removeBackups removes one backup after the other. One whose record may not be deleted stays, and the plan is made anew
// with it.
func (x *expiring) removeBackups(ctx context.Context) error {
	done := map[string]bool{}
	for {
		i := slices.IndexFunc(x.plan.Fates, func(f Fate) bool { return f.Class == FateBackup && f.Expires && !done[f.Name] })
		if i < 0 {
			return nil
		}
		f := x.plan.Fates[i]
		done[f.Name] = true
		if err := x.removeBackup(ctx, f); err != nil {
			return err
		}
	}
}

func (x *expiring) removeBackup(ctx context.Context, f Fate) error {
	first := f
	first.keys = f.keys[:min(ahead, len(f.keys))]
	gone, err := x.removeInOrder(ctx, first)
	if err != nil {
		return err
	}
	if !gone {
		x.pin(f.Name)
		return nil
	}
	return x.removeTogether(ctx, f.Class, f.keys[len(first.keys):])
}

// removeTogether removes objects that nothing stands for any more.
func (x *expiring) removeTogether(ctx context.Context, class string, objects []storage.Info) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(deletesAtOnce)
	for _, object := range objects {
		group.Go(func() error {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			_, err := x.remove(ctx, class, object)
			return err
		})
	}
	return group.Wait()
}

// pin makes the plan anew with a backup that stays.
func (x *expiring) pin(label string) {
	policy := x.plan.policy
	policy.Pinned = maps.Clone(policy.Pinned)
	if policy.Pinned == nil {
		policy.Pinned = map[string]bool{}
	}
	policy.Pinned[label] = true
	x.plan = PlanExpiry(x.plan.stock, policy, x.plan.now)
}

// removeInOrder removes objects of which the first one stands for the others: where that one stays, all do.
func (x *expiring) removeInOrder(ctx context.Context, f Fate) (gone bool, err error) {
	for i, object := range f.keys {
		deleted, err := x.remove(ctx, f.Class, object)
		if err != nil {
			return false, err
		}
		if i == 0 && !deleted {
			return false, nil
		}
	}
	return true, nil
}

// remove removes an object; false where that is refused.
func (x *expiring) remove(ctx context.Context, class string, object storage.Info) (bool, error) {
	err := x.bucket.Delete(ctx, object.Key)
	if errors.Is(err, fs.ErrPermission) {
		x.refuse(object.Key, err)
		return false, nil
	}
	if err != nil {
		return false, err
	}
	x.deleted(class, 1, object.Size)
	return true, nil
}

func (x *expiring) deleted(class string, objects int, bytes int64) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.report.Objects += objects
	x.report.Bytes += bytes
	x.report.Deleted[class] = x.report.Deleted[class].plus(objects, bytes)
}

func (x *expiring) refuse(key string, err error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.report.Refused == 0 {
		x.report.RefusedKey, x.report.RefusedErr = key, err
	}
	x.report.Refused++
}

// removeRest removes what is no backup.
func (x *expiring) removeRest(ctx context.Context) error {
	stuck := map[wal.TimelineID]bool{}
	for _, f := range x.plan.Fates {
		var err error
		switch {
		case !f.Expires || f.Class == FateBackup:
		case f.Class == FateLeavings:
			err = x.removeLeavings(ctx, f)
		case f.Class == FateWAL:
			err = x.removeWAL(ctx, f, stuck)
		default:
			_, err = x.removeInOrder(ctx, f)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// removeLeavings removes what a dead writer left, unless the writer lives and commits.
func (x *expiring) removeLeavings(ctx context.Context, f Fate) error {
	err := x.removeUnfinished(ctx, f.Name)
	switch {
	case errors.Is(err, fs.ErrPermission):
		x.refuse(f.keys[0].Key, err)
	case errors.Is(err, ErrCommitted):
	case err != nil:
		return err
	default:
		x.deleted(f.Class, f.Objects, f.Bytes)
	}
	return nil
}

// removeWAL removes the WAL of a timeline up to the first file that may not be deleted, so that no hole comes into being.
func (x *expiring) removeWAL(ctx context.Context, f Fate, stuck map[wal.TimelineID]bool) error {
	for _, object := range f.keys {
		if stuck[f.timeline] {
			x.report.Refused++
			continue
		}
		deleted, err := x.remove(ctx, f.Class, object)
		if err != nil {
			return err
		}
		stuck[f.timeline] = !deleted
	}
	return nil
}
