package main

import (
	"context"
	"errors"
	"io/fs"

	"lifeboat/storage/catalog"
	"lifeboat/verify"
)

// noteProof leaves in the repository what a verification has shown of its backups, which counts when others expire. The
// verification stands without that, too: who only reads may not be able to.
func (a *app) noteProof(ctx context.Context, s *scene, report verify.Report) {
	for cluster, backups := range shown(report) {
		err := a.storeProof(ctx, s, cluster, backups)
		switch {
		case err == nil:
		case errors.Is(err, fs.ErrPermission), errors.Is(err, catalog.ErrNoRecipients), errors.Is(err, catalog.ErrNoSigner):
			a.log.Info("the verification does not count when others expire: this machine cannot note it", "cluster", cluster, "error", err)
		default:
			a.log.Warn("the verification does not count when others expire", "cluster", cluster, "error", err)
		}
	}
}

// shown is what was proven either way, by cluster and label.
func shown(report verify.Report) map[string]map[string]bool {
	proven := map[string]map[string]bool{}
	for _, b := range report.Backups {
		if b.Result == verify.Unproven {
			continue
		}
		if proven[b.Cluster] == nil {
			proven[b.Cluster] = map[string]bool{}
		}
		proven[b.Cluster][b.Label] = b.Result == verify.OK
	}
	return proven
}

func (a *app) storeProof(ctx context.Context, s *scene, cluster string, backups map[string]bool) error {
	keys, err := a.keys(s.settings, use{writes: true})
	if err != nil {
		return err
	}
	known, err := s.repository.With(keys).Cluster(ctx, cluster)
	if err != nil {
		return err
	}
	now := a.now()
	return known.PutVerification(ctx, catalog.Verification{ID: catalog.NewID(now), Time: now.UTC(), By: "verify", Backups: backups})
}
