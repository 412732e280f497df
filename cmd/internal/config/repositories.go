package config

import (
	"errors"
	"fmt"
	"strings"
)

// validateRepositories checks the one repository or each of several.
func (c *Config) validateRepositories() error {
	if len(c.Repositories) == 0 {
		if c.Repository.Name.Value != "" {
			return &Error{At: c.Repository.Name.At, Message: "repository.name: only the entries of 'repositories' have names: remove it"}
		}
		return c.Repository.validate()
	}
	if c.Repository.URL.Value != "" {
		return &Error{At: c.Repository.URL.At, Message: "both 'repository' and 'repositories' are given: move the one into the list of the others"}
	}
	seen := map[string]bool{}
	for i, r := range c.Repositories {
		if err := r.validateNamed(i, seen); err != nil {
			return err
		}
	}
	if err := errors.Join(c.checkSealing(), c.checkGoogleCredentials()); err != nil {
		return err
	}
	c.Repository = *c.Repositories[0]
	return nil
}

// validateNamed checks an entry of the list, and that its name and place are its own.
func (r *Repository) validateNamed(i int, seen map[string]bool) error {
	switch {
	case r == nil:
		return &Error{Message: fmt.Sprintf("repositories: entry %d is empty: give it a name and a url", i+1)}
	case r.Name.Value == "":
		return &Error{At: r.URL.At, Message: fmt.Sprintf("repositories: entry %d has no name: add one such as 'name: local'", i+1)}
	case !clusterName.MatchString(r.Name.Value):
		return &Error{At: r.Name.At, Message: fmt.Sprintf("repositories: %q is not a name: use lower-case letters, digits, '-' and '_', 63 at most", r.Name.Value)}
	}
	for what, value := range map[string]Text{"name": r.Name, "url": r.URL} {
		key := what + " " + strings.TrimRight(value.Value, "/")
		if seen[key] {
			return &Error{At: value.At, Message: fmt.Sprintf("repositories: two entries have the %s %q", what, value.Value)}
		}
		seen[key] = true
	}
	return r.validate()
}

// checkSealing makes sure that no copy gives away what another one seals.
func (c *Config) checkSealing() error {
	sealed := func(r *Repository) bool { return r.Encryption != nil && len(r.Encryption.Recipients) > 0 }
	for _, r := range c.Repositories[1:] {
		if sealed(r) != sealed(c.Repositories[0]) {
			return &Error{At: r.Name.At, Message: fmt.Sprintf(
				"repositories: %s and %s hold the same backups, so both need encryption.recipients or neither", c.Repositories[0].Name.Value, r.Name.Value)}
		}
	}
	return nil
}

// checkGoogleCredentials refuses what Google's library cannot do: it takes one credentials file for a whole process.
func (c *Config) checkGoogleCredentials() error {
	first := ""
	for _, r := range c.Repositories {
		file := r.GCS.CredentialsFile
		if first != "" && file.Value != "" && file.Value != first {
			return mistake(file, "repositories: gs:// repositories must share one gcs.credentials_file")
		}
		if file.Value != "" {
			first = file.Value
		}
	}
	return nil
}

// validateCopies checks what a cluster says about its repositories.
func (c *Config) validateCopies(name string) error {
	cluster := c.Clusters[name]
	seen := map[string]bool{}
	for _, wanted := range cluster.Repositories {
		if c.repositoryNamed(wanted.Value) == nil {
			return &Error{At: wanted.At, Message: fmt.Sprintf("clusters.%s.repositories: no entry of 'repositories' is called %q", name, wanted.Value)}
		}
		if seen[wanted.Value] {
			return &Error{At: wanted.At, Message: fmt.Sprintf("clusters.%s.repositories: %q is there twice", name, wanted.Value)}
		}
		seen[wanted.Value] = true
	}
	if n := len(c.Of(name)); cluster.WAL.Copies < 1 || cluster.WAL.Copies > n {
		return &Error{Message: fmt.Sprintf("clusters.%s.wal.copies: %d is not between 1 and %d, the number of repositories", name, cluster.WAL.Copies, n)}
	}
	return nil
}

func (c *Config) repositoryNamed(name string) *Repository {
	for _, r := range c.Repositories {
		if r.Name.Value == name {
			return r
		}
	}
	return nil
}

// Of is the configuration as it would be with each of a cluster's repositories alone, the nearest first.
func (c *Config) Of(cluster string) []*Config {
	if len(c.Repositories) == 0 {
		return []*Config{c}
	}
	chosen := c.Repositories
	if names := c.Clusters[cluster].Repositories; len(names) > 0 {
		chosen = nil
		for _, name := range names {
			chosen = append(chosen, c.repositoryNamed(name.Value))
		}
	}
	return c.each(chosen)
}

// Each is the configuration as it would be with each of its repositories alone, in the order of the file.
func (c *Config) Each() []*Config {
	if len(c.Repositories) == 0 {
		return []*Config{c}
	}
	return c.each(c.Repositories)
}

func (c *Config) each(repositories []*Repository) []*Config {
	var list []*Config
	for _, r := range repositories {
		one := *c
		one.Repository = *r
		list = append(list, &one)
	}
	return list
}

// Uses says whether the cluster keeps a copy in the repository that is in use.
func (c *Config) Uses(cluster string) bool {
	for _, one := range c.Of(cluster) {
		if one.Repository.Name.Value == c.Repository.Name.Value {
			return true
		}
	}
	return false
}
