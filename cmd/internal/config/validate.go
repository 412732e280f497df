package config

import (
	"errors"
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
)

var clusterName = regexp.MustCompile(`^[a-z0-9][a-z0-9_-]{0,62}$`)

func (c *Config) validate() error {
	if err := c.validateRepositories(); err != nil {
		return err
	}
	if len(c.Clusters) == 0 {
		return &Error{Message: "no cluster is named: add one under 'clusters:', such as 'main:'"}
	}
	for _, name := range c.ClusterNames() {
		if err := errors.Join(c.Clusters[name].validate(name), c.validateCopies(name)); err != nil {
			return err
		}
	}
	for what, path := range map[string]string{
		"scheduler.work_directory": c.Scheduler.WorkDirectory, "scheduler.postgres_bin": c.Scheduler.PostgresBin,
		"state_directory": c.StateDirectory.Value,
	} {
		if path != "" && !filepath.IsAbs(path) {
			return &Error{Message: fmt.Sprintf("%s: %q is not an absolute path", what, path)}
		}
	}
	return c.Scheduler.Notify.validate()
}

func (c *Cluster) validate(name string) error {
	if !clusterName.MatchString(name) {
		return &Error{Message: fmt.Sprintf("clusters: %q is not a cluster name: use lower-case letters, digits, '-' and '_', 63 at most", name)}
	}
	if _, err := pgx.ParseConfig(c.Connection); err != nil {
		return &Error{Message: fmt.Sprintf("clusters.%s.connection is not a connection string that libpq would take: write one such as 'host=/var/run/postgresql user=lifeboat dbname=postgres'", name)}
	}
	if c.DataDirectory != "" && !filepath.IsAbs(c.DataDirectory) {
		return &Error{Message: fmt.Sprintf("clusters.%s.data_directory: %q is not an absolute path", name, c.DataDirectory)}
	}
	if c.Retention.MinimumFull < 1 {
		return &Error{Message: fmt.Sprintf("clusters.%s.retention.minimum_full must be 1 or more", name)}
	}
	if err := c.Verify.validate(name); err != nil {
		return err
	}
	for drill, d := range c.Drills {
		if err := d.validateTarget(drill); err != nil {
			return err
		}
		if !clusterName.MatchString(drill) {
			return &Error{Message: fmt.Sprintf("clusters.%s.drills: %q is not a drill name: use lower-case letters, digits, '-' and '_'", name, drill)}
		}
	}
	return nil
}

// ClusterNames lists the clusters in order.
func (c *Config) ClusterNames() []string {
	names := make([]string, 0, len(c.Clusters))
	for name := range c.Clusters {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// Cluster returns the cluster called name, or the only one where name is empty.
func (c *Config) Cluster(name string) (string, *Cluster, error) {
	names := c.ClusterNames()
	if name == "" && len(names) == 1 {
		name = names[0]
	}
	if name == "" {
		return "", nil, &Error{Path: c.Path, Message: fmt.Sprintf("the configuration has several clusters: choose one with --cluster (%s)", strings.Join(names, ", "))}
	}
	if cluster := c.Clusters[name]; cluster != nil {
		return name, cluster, nil
	}
	return "", nil, &Error{Path: c.Path, Message: fmt.Sprintf("no cluster is called %q: there is %s", name, strings.Join(names, ", "))}
}
