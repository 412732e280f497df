package catalog

import (
	"context"
	"errors"
	"fmt"
	"time"

	"lifeboat/storage"
)

// Repository is a place that holds the backups of clusters. It is safe for concurrent use.
type Repository struct {
	*store
}

// repositoryBody is the body of the repository's document.
type repositoryBody struct {
	Created time.Time `json:"created"`
}

// Create makes the bucket a repository, durably, and opens it. Where it is one already, it is only opened.
func Create(ctx context.Context, b storage.Bucket, now time.Time) (*Repository, error) {
	r, err := Open(ctx, b)
	if !errors.Is(err, ErrNoRepository) {
		return r, err
	}
	err = newStore(b).putDocument(ctx, repositoryKey, kindRepository, repositoryBody{Created: now.UTC()})
	if err != nil && !errors.Is(err, storage.ErrExists) {
		return nil, fmt.Errorf("create repository in %s: %w", b.Location(), err)
	}
	return Open(ctx, b)
}

// Open reads the repository's document. The errors are ErrNoRepository where the place answers and holds none,
// *DamagedError, *VersionError, and whatever the store says.
func Open(ctx context.Context, b storage.Bucket) (*Repository, error) {
	var body repositoryBody
	s := newStore(b)
	err := s.getDocument(ctx, repositoryKey, kindRepository, &body)
	if errors.Is(err, storage.ErrNotFound) {
		return nil, fmt.Errorf("open repository in %s: %w", b.Location(), ErrNoRepository)
	}
	if err != nil {
		return nil, fmt.Errorf("open repository in %s: %w", b.Location(), err)
	}
	return &Repository{s}, nil
}

// Location names the place in messages, without secrets.
func (r *Repository) Location() string { return r.bucket.Location() }
