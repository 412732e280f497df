package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"lifeboat/cmd/internal/config"
	"lifeboat/storage"
	"lifeboat/storage/catalog"
)

// copied is one of several repositories of a cluster.
type copied struct {
	settings   *config.Config // with this repository alone
	bucket     *place
	repository *catalog.Repository // nil until it could be opened
}

func (c *copied) name() string { return c.settings.Repository.Name.Value }

// open opens the repository, where that was not possible before.
func (c *copied) open(ctx context.Context, a *app, u use) (err error) {
	if c.repository == nil {
		c.bucket, c.repository, err = a.openBucket(ctx, c.settings, u)
	}
	return err
}

// repositoryFlag lets a command use one of several repositories only.
func (a *app) repositoryFlag(flags *pflag.FlagSet) {
	flags.StringVar(&a.only, "repository", "", "use this one of several repositories only, by its `NAME` (default: the nearest that can be read, and the others where it fails)")
}

// chosen is the configuration with each of the cluster's repositories alone, or with the one that the flag names.
func (a *app) chosen(settings *config.Config, cluster string) ([]*config.Config, error) {
	views := settings.Of(cluster)
	if a.only == "" {
		return views, nil
	}
	var names []string
	for _, view := range views {
		if view.Repository.Name.Value == a.only {
			return []*config.Config{view}, nil
		}
		names = append(names, view.Repository.Name.Value)
	}
	if len(settings.Repositories) == 0 {
		return nil, usagef("--repository: the configuration has one repository only: leave the flag out")
	}
	return nil, usagef("--repository: cluster %q has no repository %q: there is %s", cluster, a.only, strings.Join(names, ", "))
}

// openCopies makes one cluster of all its repositories. One of them must be there; the others are opened when they are
// needed.
func (a *app) openCopies(ctx context.Context, s *scene, u use) error {
	s.copies = nil
	for _, view := range s.views {
		s.copies = append(s.copies, &copied{settings: view})
	}
	return a.joinCopies(ctx, s, u)
}

func (a *app) joinCopies(ctx context.Context, s *scene, u use) (err error) {
	var list []catalog.Copy
	away := a.owed(s).away(s.copyNames())
	for _, c := range s.copies {
		list = append(list, catalog.Copy{Name: c.name(), Away: slices.Contains(away, c.name()), Open: func(ctx context.Context) (*catalog.Cluster, error) {
			if err := c.open(ctx, a, u); err != nil {
				return nil, err
			}
			return s.clusterIn(ctx, c.repository)
		}})
	}
	s.cluster, err = catalog.OpenCopies(ctx, list...)
	for _, c := range s.copies {
		if c.repository != nil {
			s.settings, s.bucket, s.repository = c.settings, c.bucket, c.repository
			break
		}
	}
	if s.repository != nil && errors.Is(err, catalog.ErrNoCluster) {
		return nil
	}
	return err
}

// copyPatience is how long a command waits for a repository that it can do without.
const copyPatience = 10 * time.Second

// openEach opens every copy that can be reached, and calls do with it. What goes wrong with one is its own affair, and in
// the result; mixed seals and foreign clusters are an error.
func (a *app) openEach(ctx context.Context, s *scene, u use, do func(*copied) error) (map[string]error, error) {
	troubles := map[string]error{}
	sealed := map[bool]string{}
	for _, c := range s.copies {
		hurried := storage.WithPatience(ctx, copyPatience)
		err := c.open(hurried, a, u)
		if err == nil {
			sealed[c.repository.Sealed()] = c.name()
			err = do(c)
		}
		if err != nil {
			troubles[c.name()] = err
		}
		if catalog.Contradicts(err) || ctx.Err() != nil {
			return troubles, fmt.Errorf("repository %s: %w", c.name(), err)
		}
	}
	if len(sealed) > 1 {
		return troubles, fmt.Errorf("repository %s is sealed and %s is not: %w", sealed[true], sealed[false], catalog.ErrMixedSeals)
	}
	return troubles, nil
}

// knownCopies makes the cluster known to every repository that can be reached.
func (a *app) knownCopies(ctx context.Context, s *scene, identity catalog.Identity) (*catalog.Cluster, error) {
	troubles, err := a.openEach(ctx, s, producing(), func(c *copied) error {
		if err := requireConditional(ctx, c.bucket); err != nil {
			return err
		}
		_, err := c.repository.Register(ctx, s.name, identity, a.now())
		return err
	})
	if err != nil {
		return nil, err
	}
	for name, trouble := range troubles {
		a.log.Warn("a repository cannot be reached; lifeboat sync fills it when it can", "repository", name, "error", trouble)
	}
	err = a.joinCopies(ctx, s, producing())
	return s.cluster, err
}
