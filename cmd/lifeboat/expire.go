package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"lifeboat/cmd/internal/config"
	"lifeboat/storage"
	"lifeboat/storage/catalog"
)

const (
	// expiryLease is what only one expiry of a cluster may have in each repository.
	expiryLease = "expire"
	// expiryTTL is how long others wait for an expiry that died on another machine. A store that is away for as long ends it.
	expiryTTL = 2 * time.Minute
)

func (a *app) expireCommand() *cobra.Command {
	var dryRun bool
	c := &cobra.Command{
		Use:   "expire",
		Short: "Delete backups and WAL that retention does not keep",
		Long: "Keeps every backup and all WAL that recovery to a moment within retention.keep takes, and at least\n" +
			"retention.minimum_full full backups that a passed drill or a clean verify vouches for. With several\n" +
			"repositories each is looked at by itself. Exits 1, and deletes nothing, where not all is understood. Objects that\n" +
			"must not be deleted are counted and left.",
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return a.expire(c.Context(), dryRun) },
	}
	c.Flags().BoolVar(&dryRun, "dry-run", false, "say what would be deleted and why, and write nothing")
	c.Flags().StringVar(&a.only, "repository", "", "expire in this one of several repositories only, by its `NAME` (default: in each)")
	return c
}

// expired is what became of one repository.
type expired struct {
	cluster        string
	name, location string             // of the repository
	plan           catalog.ExpiryPlan // without fates where it could not be made
	report         catalog.ExpiryReport
	err            error
}

func (a *app) expire(ctx context.Context, dryRun bool) error {
	list, err := a.expireEach(ctx, dryRun)
	if err != nil {
		return err
	}
	for _, one := range list {
		err = errors.Join(err, one.err)
	}
	if a.json() {
		return errors.Join(a.writeJSON(summariseExpiry(list[0].cluster, list, dryRun)), err)
	}
	for _, one := range list {
		a.tellExpiry(one, dryRun)
	}
	return err
}

// expireEach expires in every repository of the cluster. What goes wrong in one is in its result, and does not keep the
// others from expiring.
func (a *app) expireEach(ctx context.Context, dryRun bool) ([]expired, error) {
	s, err := a.scene()
	if err != nil {
		return nil, err
	}
	var list []expired
	for _, view := range s.views {
		hurried := ctx
		if len(s.views) > 1 {
			hurried = storage.WithPatience(ctx, copyPatience)
		}
		one := expired{cluster: s.name, name: view.Repository.Name.Value, location: view.Repository.URL.Value}
		one.err = a.expireOne(hurried, &scene{settings: view, name: s.name, config: s.config}, dryRun, &one)
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if one.err != nil && one.name != "" {
			one.err = fmt.Errorf("repository %s: %w", one.name, one.err)
		}
		list = append(list, one)
	}
	return list, nil
}

func (a *app) expireOne(ctx context.Context, s *scene, dryRun bool, done *expired) (err error) {
	if s.bucket, s.repository, err = a.openBucket(ctx, s.settings, producing()); err != nil {
		return err
	}
	if err := s.findCluster(ctx); err != nil {
		return err
	}
	if s.cluster == nil {
		return fmt.Errorf("cluster %q: %w", s.name, catalog.ErrNoCluster)
	}
	if dryRun {
		return a.planExpiry(ctx, s, done)
	}
	if err := requireConditional(ctx, s.bucket); err != nil {
		return err
	}
	return a.exclusively(ctx, s, expiryLease, expiryTTL, func(ctx context.Context) error {
		if err := a.planExpiry(ctx, s, done); err != nil {
			return err
		}
		done.report, err = s.cluster.Expire(ctx, done.plan)
		a.sweep(ctx, s)
		return err
	})
}

// planExpiry takes stock and makes the plan; an error where that stops all.
func (a *app) planExpiry(ctx context.Context, s *scene, done *expired) error {
	stock, err := s.cluster.TakeStock(ctx)
	if err != nil {
		return err
	}
	policy := policyOf(s.config.Retention)
	policy.Vouched = stock.Vouched()
	done.plan = catalog.PlanExpiry(stock, policy, a.now())
	return done.plan.Err()
}

func policyOf(r config.Retention) catalog.Policy {
	return catalog.Policy{Keep: time.Duration(r.Keep), MinimumFull: r.MinimumFull, KeepEvidence: time.Duration(r.KeepEvidence),
		KeepDumps: time.Duration(r.KeepDumps)}
}
