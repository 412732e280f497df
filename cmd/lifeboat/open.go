package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"lifeboat/cmd/internal/config"
	"lifeboat/storage"
	"lifeboat/storage/catalog"
	"lifeboat/storage/file"
	"lifeboat/storage/retry"
)

// retryPatience is for how long without progress an operation on the storage is tried again.
const retryPatience = time.Minute

// scene is what most commands need: the settings, the repository, and one cluster in both.
type scene struct {
	settings   *config.Config
	repository *catalog.Repository
	name       string
	config     *config.Cluster
	cluster    *catalog.Cluster // nil where the repository does not know the cluster yet
}

// bucket opens the storage that the settings name, with its retries.
func (a *app) bucket(settings *config.Config) (storage.Bucket, error) {
	directory, err := settings.Repository.Directory()
	if err != nil {
		return nil, err
	}
	driver, err := file.Open(directory, file.Options{Now: a.now, Log: a.log})
	if err != nil {
		return nil, err
	}
	return retry.Wrap(driver, retry.Options{TotalTimeout: retryPatience, Now: a.now, Log: a.log}), nil
}

// openRepository opens the repository of the settings.
func (a *app) openRepository(ctx context.Context, settings *config.Config) (*catalog.Repository, error) {
	bucket, err := a.bucket(settings)
	if err != nil {
		return nil, err
	}
	return catalog.Open(ctx, bucket)
}

// openScene opens the repository and finds the cluster that the flags name; the repository may not know it yet.
func (a *app) openScene(ctx context.Context) (*scene, error) {
	settings, err := a.settings()
	if err != nil {
		return nil, err
	}
	s := &scene{settings: settings}
	if s.name, s.config, err = settings.Cluster(a.clusterName); err != nil {
		return nil, err
	}
	if s.repository, err = a.openRepository(ctx, settings); err != nil {
		return nil, err
	}
	s.cluster, err = s.repository.Cluster(ctx, s.name)
	if errors.Is(err, catalog.ErrNoCluster) {
		return s, nil
	}
	return s, err
}

// openKnown is openScene for commands that work on what the repository holds.
func (a *app) openKnown(ctx context.Context) (*scene, error) {
	s, err := a.openScene(ctx)
	if err != nil {
		return nil, err
	}
	if s.cluster == nil {
		return nil, fmt.Errorf("cluster %q: %w", s.name, catalog.ErrNoCluster)
	}
	return s, nil
}

// openCluster is openKnown for the WAL hooks.
func (a *app) openCluster(ctx context.Context) (*catalog.Cluster, error) {
	s, err := a.openKnown(ctx)
	if err != nil {
		return nil, err
	}
	return s.cluster, nil
}
