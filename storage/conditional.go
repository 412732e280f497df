package storage

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
)

// ErrUnconditional says that the store replaced an object by a Put that was to create one only.
var ErrUnconditional = errors.New("the store does not keep the condition of a conditional put")

// PartsPutter is a Bucket that stores large objects in another way than small ones.
type PartsPutter interface {
	// PutParts is a conditional Put of content, done as for a large object.
	PutParts(ctx context.Context, key string, content []byte) error
}

// ProveConditional asks the store whether it keeps the condition of a conditional Put: it puts the object at key, a small
// one that must be there, once more with the bytes that it has. The answer is nil, or ErrUnconditional if the store took
// it, which does no harm.
//
// A driver that is a PartsPutter is tried in both ways: it must come bare, without anything wrapped around it.
func ProveConditional(ctx context.Context, b Bucket, key string) error {
	content, err := readWhole(ctx, b, key)
	if err != nil {
		return fmt.Errorf("prove conditional puts: %w", err)
	}
	err = b.Put(ctx, key, bytes.NewReader(content), PutOptions{IfAbsent: true, Size: int64(len(content))})
	if err := proof(b, key, "", err); err != nil {
		return err
	}
	if parts, ok := b.(PartsPutter); ok {
		return proof(b, key, " of large objects", parts.PutParts(ctx, key, content))
	}
	return nil
}

func proof(b Bucket, key, which string, err error) error {
	switch {
	case err == nil:
		return &Error{
			Op: "put", Key: key, Location: b.Location(), Err: fmt.Errorf("%w%s", ErrUnconditional, which),
			Hint: "two writers could overwrite each other's objects there: use a store that keeps If-None-Match",
		}
	case errors.Is(err, ErrExists):
		return nil
	}
	return fmt.Errorf("prove conditional puts%s: %w", which, err)
}

func readWhole(ctx context.Context, b Bucket, key string) ([]byte, error) {
	body, err := b.Get(ctx, key, 0, -1)
	if err != nil {
		return nil, err
	}
	defer body.Close()
	return io.ReadAll(body)
}
