package retry_test

import (
	"context"
	"errors"
	"io"
	"iter"
	"maps"
	"slices"
	"strings"

	"lifeboat/storage"
)

// memory is a bucket without a disk, for tests on a bubble's clock, where a system call would look like a wait.
type memory map[string]string

func (m memory) Put(ctx context.Context, key string, body io.Reader, _ storage.PutOptions) error {
	data, err := io.ReadAll(body)
	m[key] = string(data)
	return errors.Join(err, ctx.Err())
}

func (m memory) Get(ctx context.Context, key string, offset, _ int64) (io.ReadCloser, error) {
	return io.NopCloser(&contextReader{ctx, strings.NewReader(m[key][offset:])}), nil
}

func (m memory) Stat(_ context.Context, key string) (storage.Info, error) {
	return storage.Info{Key: key, Size: int64(len(m[key]))}, nil
}

func (m memory) List(ctx context.Context, _ string) iter.Seq2[storage.Info, error] {
	return func(yield func(storage.Info, error) bool) {
		for _, key := range slices.Sorted(maps.Keys(m)) {
			if err := ctx.Err(); err != nil {
				yield(storage.Info{}, err)
				return
			}
			if !yield(storage.Info{Key: key}, nil) {
				return
			}
		}
	}
}

func (m memory) Delete(_ context.Context, key string) error {
	delete(m, key)
	return nil
}

func (m memory) Location() string { return "mem://" }

// contextReader fails once its context has ended.
type contextReader struct {
	ctx context.Context
	io.Reader
}

func (r *contextReader) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.Reader.Read(p)
}

// nowhere is a bucket that is never reached.
type nowhere struct{ memory }
