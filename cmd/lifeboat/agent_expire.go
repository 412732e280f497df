package main

import (
	"context"
	"errors"
	"time"

	"lifeboat/cmd/internal/config"
	"lifeboat/storage/catalog"
)

// afterBackups is a schedule that is due when a backup was made since.
type afterBackups struct{ view *view }

// Next implements cron.Schedule: the zero time stands for never.
func (s afterBackups) Next(base time.Time) time.Time {
	if last := s.view.now().lastBackup; last.After(base) {
		return last
	}
	return time.Time{}
}

// expiryJob applies retention by its own schedule, or after each of the agent's backups.
func (t *tended) expiryJob() *job {
	j := &job{name: "expire", schedule: t.config.Retention.Schedule, newest: newestExpiry, run: t.expire}
	if j.schedule.Schedule == nil && t.config.Backup.Schedule.Schedule != nil {
		j.schedule = config.Schedule{Schedule: afterBackups{view: &t.view}}
		j.newest = func(ctx context.Context, cluster *catalog.Cluster) (time.Time, error) {
			last, err := newestExpiry(ctx, cluster)
			if last.IsZero() {
				last = time.Unix(0, 0) // so that the first backup is followed by an expiry, too
			}
			return last, err
		}
	}
	return j
}

// newestExpiry is when the last expiry ended, by whomever.
func newestExpiry(ctx context.Context, cluster *catalog.Cluster) (time.Time, error) {
	return cluster.LeaseEnded(ctx, expiryLease)
}

// expire applies retention in every repository, and measures what there is in each.
func (t *tended) expire(ctx context.Context, a *app) error {
	list, err := a.expireEach(ctx, false)
	for _, one := range list {
		t.counts.expired(one)
		err = errors.Join(err, one.err)
		if r := one.refusal(); r != nil {
			a.log.Info("objects expire and must not be deleted", "repository", one.name, "objects", r.Objects, "key", r.Key, keyError, r.Why)
		}
	}
	return err
}

// expired counts what an expiry deleted, and measures what is left. An expiry that could not look leaves the measures as they
// were.
func (c *counts) expired(one expired) {
	for class, deleted := range one.report.Deleted {
		c.expiredObjects.WithLabelValues(c.name, one.name, class).Add(float64(deleted.Objects))
		c.expiredBytes.WithLabelValues(c.name, one.name, class).Add(float64(deleted.Bytes))
	}
	for class, stored := range one.plan.Stored() {
		left := stored.Bytes - one.report.Deleted[class].Bytes
		c.storedBytes.WithLabelValues(c.name, one.name, class).Set(float64(left))
	}
	c.refusedObjects.WithLabelValues(c.name, one.name).Set(float64(one.report.Refused))
}
