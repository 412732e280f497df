package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/goccy/go-yaml"
)

// Load reads and validates the file at path. Every mistake is an [*Error].
//
// The file must be a regular one that only its owner can read (0600), since it may name a password: anything wider is
// refused rather than warned about.
func Load(path string) (*Config, error) {
	absolute, err := filepath.Abs(path)
	if err != nil {
		return nil, &Error{Path: path, Message: err.Error()}
	}
	raw, err := readPrivate(absolute)
	if err != nil {
		return nil, err
	}
	return Parse(absolute, raw)
}

// Parse decodes and validates the text of the file at path, which is used for messages only.
func Parse(path string, raw []byte) (*Config, error) {
	c := defaults()
	c.Path = path
	decoder := yaml.NewDecoder(bytes.NewReader(raw), yaml.Strict())
	if err := decoder.Decode(c); err != nil && !errors.Is(err, io.EOF) {
		return nil, located(path, err)
	}
	for name, cluster := range c.Clusters {
		if cluster == nil {
			c.Clusters[name] = &Cluster{}
		}
		for drill, d := range c.Clusters[name].Drills {
			if d == nil {
				c.Clusters[name].Drills[drill] = &Drill{}
			}
		}
		c.Clusters[name].fill()
	}
	if err := c.validate(); err != nil {
		return nil, located(path, err)
	}
	return c, nil
}

func readPrivate(path string) ([]byte, error) {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, &Error{Path: path, Message: "no configuration is there: name one with --config, or write one with 'lifeboat init'"}
	case err != nil:
		return nil, &Error{Path: path, Message: fmt.Sprintf("the configuration cannot be read: %v", errors.Unwrap(err))}
	case !info.Mode().IsRegular():
		return nil, &Error{Path: path, Message: "the configuration is not a regular file"}
	case info.Mode().Perm()&0o077 != 0:
		return nil, &Error{Path: path, Message: fmt.Sprintf(
			"the configuration can be read or changed by others (mode %04o): run 'chmod 600 %s'", info.Mode().Perm(), path)}
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, &Error{Path: path, Message: fmt.Sprintf("the configuration cannot be read: %v; run this as the user that owns it", errors.Unwrap(err))}
	}
	return raw, nil
}
