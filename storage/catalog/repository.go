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
	Sealed  bool      `json:"sealed,omitempty"`
}

// ErrNotSealed says that the place holds a repository that takes objects in plain.
var ErrNotSealed = errors.New("there is a repository already that is not sealed")

// Create makes the bucket a repository, durably, and opens it. Where it is one already, it is only opened.
func Create(ctx context.Context, b storage.Bucket, now time.Time) (*Repository, error) {
	return create(ctx, b, repositoryBody{Created: now.UTC()})
}

// CreateSealed is Create for a repository that refuses to hold anything in plain that is worth sealing: writing into it
// without recipients is ErrNoRecipients. Where there is one that is not so, the error is ErrNotSealed.
func CreateSealed(ctx context.Context, b storage.Bucket, now time.Time) (*Repository, error) {
	r, err := create(ctx, b, repositoryBody{Created: now.UTC(), Sealed: true})
	if err == nil && !r.sealed {
		return nil, fmt.Errorf("create sealed repository in %s: %w", b.Location(), ErrNotSealed)
	}
	return r, err
}

func create(ctx context.Context, b storage.Bucket, body repositoryBody) (*Repository, error) {
	r, err := Open(ctx, b)
	if !errors.Is(err, ErrNoRepository) {
		return r, err
	}
	err = newStore(b, Keys{}, false).putDocument(ctx, repositoryKey, kindRepository, body)
	if err != nil && !errors.Is(err, storage.ErrExists) {
		return nil, fmt.Errorf("create repository in %s: %w", b.Location(), err)
	}
	return Open(ctx, b)
}

// Open reads the repository's document. What it gives has no keys, see With. The errors are ErrNoRepository where the
// place answers and holds none, *DamagedError, *VersionError, and whatever the store says.
func Open(ctx context.Context, b storage.Bucket) (*Repository, error) {
	var body repositoryBody
	err := newStore(b, Keys{}, false).getDocument(ctx, repositoryKey, kindRepository, &body)
	if errors.Is(err, storage.ErrNotFound) {
		return nil, fmt.Errorf("open repository in %s: %w", b.Location(), ErrNoRepository)
	}
	if err != nil {
		return nil, fmt.Errorf("open repository in %s: %w", b.Location(), err)
	}
	return &Repository{newStore(b, Keys{}, body.Sealed)}, nil
}

// Location names the place in messages, without secrets.
func (r *Repository) Location() string { return r.bucket.Location() }
