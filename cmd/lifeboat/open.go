package main

import (
	"context"
	"errors"
	"fmt"

	"lifeboat/cmd/internal/config"
	"lifeboat/storage/catalog"
)

// scene is what most commands need: the settings, the repository, and one cluster in both.
type scene struct {
	settings   *config.Config   // with the repository below alone
	views      []*config.Config // with each of the cluster's repositories alone, the nearest first
	copies     []*copied        // where there are several; then cluster is the sum of all
	bucket     *place
	repository *catalog.Repository
	name       string
	config     *config.Cluster  // nil where the settings do not name it
	cluster    *catalog.Cluster // nil where the repository does not know the cluster yet
}

// openBucket opens the storage that the settings name, and the repository in it with the keys that the command uses.
func (a *app) openBucket(ctx context.Context, settings *config.Config, u use) (*place, *catalog.Repository, error) {
	keys, err := a.keys(settings, u)
	if err != nil {
		return nil, nil, err
	}
	bucket, err := a.bucket(ctx, settings, u)
	if err != nil {
		return nil, nil, err
	}
	repository, err := catalog.Open(ctx, bucket)
	if err != nil {
		return bucket, nil, err
	}
	return bucket, repository.With(keys), nil
}

// openScene opens the repository and finds the cluster that the flags name; the repository may not know it yet.
func (a *app) openScene(ctx context.Context, u use) (*scene, error) {
	s, err := a.scene()
	if err != nil {
		return nil, err
	}
	if len(s.views) > 1 {
		return s, a.openCopies(ctx, s, u)
	}
	if s.bucket, s.repository, err = a.openBucket(ctx, s.settings, u); err != nil {
		return nil, err
	}
	return s, s.findCluster(ctx)
}

// scene finds the settings and the cluster in them, and opens nothing yet.
func (a *app) scene() (*scene, error) {
	settings, err := a.settings()
	if err != nil {
		return nil, err
	}
	s := &scene{settings: settings}
	if s.name, s.config, err = settings.Cluster(a.clusterName); err != nil {
		return nil, err
	}
	if s.views, err = a.chosen(settings, s.name); err != nil {
		return nil, err
	}
	s.settings = s.views[0]
	return s, nil
}

// findCluster looks for the cluster in the repository, which may not know it.
func (s *scene) findCluster(ctx context.Context) (err error) {
	s.cluster, err = s.clusterIn(ctx, s.repository)
	if errors.Is(err, catalog.ErrNoCluster) {
		return nil
	}
	return err
}

// clusterIn is the cluster in one of its repositories, written as the settings say, if they know it.
func (s *scene) clusterIn(ctx context.Context, repository *catalog.Repository) (*catalog.Cluster, error) {
	cluster, err := repository.Cluster(ctx, s.name)
	if err != nil || s.config == nil {
		return cluster, err
	}
	return cluster.Compressing(catalog.Compression(s.config.WAL.Compression)), nil
}

// openKnown is openScene for commands that work on what the repository holds.
func (a *app) openKnown(ctx context.Context, u use) (*scene, error) {
	s, err := a.openScene(ctx, u)
	if err != nil {
		return nil, err
	}
	if s.cluster == nil {
		return nil, fmt.Errorf("cluster %q: %w", s.name, catalog.ErrNoCluster)
	}
	return s, nil
}
