package catalog

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"lifeboat/storage"
)

// Problem is an object that was found and could not be understood, so that what it says is missing from a result.
type Problem struct {
	Key string
	Err error // a *DamagedError, *VersionError or *UnsignedError somewhere in its chain
}

// isProblem says whether err is about what an object holds. Any other error leaves open what it holds.
func isProblem(err error) bool {
	var damage *DamagedError
	var version *VersionError
	var unsigned *UnsignedError
	return errors.As(err, &damage) || errors.As(err, &version) || errors.As(err, &unsigned)
}

// eachDocument calls read with the key of every document right below the prefix, and gathers those that are problems.
// One that goes away meanwhile is passed over; every other error ends it.
func (c *Cluster) eachDocument(ctx context.Context, prefix string, read func(key string) error) ([]Problem, error) {
	var problems []Problem
	for info, err := range c.bucket.List(ctx, prefix) {
		if err != nil {
			return nil, fmt.Errorf("list %s: %w", prefix, err)
		}
		if name := strings.TrimPrefix(info.Key, prefix); strings.Contains(name, "/") || !strings.HasSuffix(name, documentSuffix) {
			continue
		}
		err := read(info.Key)
		switch {
		case isProblem(err):
			problems = append(problems, Problem{Key: info.Key, Err: err})
		case err != nil && !errors.Is(err, storage.ErrNotFound):
			return nil, err
		}
	}
	return problems, nil
}
