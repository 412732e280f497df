package main

import (
	"context"
	"errors"

	"lifeboat/archive"
	"lifeboat/storage"
)

// repositoryDocument is the key of the document that makes a bucket a repository, and that is always there.
const repositoryDocument = "lifeboat.json"

const unconditionalHint = "take a store, or a newer version of it, that honours 'If-None-Match: *'; where only one server ever writes, " +
	"conditional_create: emulated in the repository's settings accepts the risk"

// requireConditional refuses a store that overwrites where it was told to create, before anything relies on it. It leaves
// nothing behind: what it tries is to store the repository's own document once more.
func requireConditional(ctx context.Context, p *place) error {
	err := p.proveConditional(ctx, repositoryDocument)
	if errors.Is(err, storage.ErrUnconditional) {
		return &archive.OperatorError{
			Message: "the store at " + p.Location() + " overwrites objects that it was told to create only, so two servers could destroy one another's WAL",
			Hint:    unconditionalHint,
		}
	}
	return err
}
