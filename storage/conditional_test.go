package storage_test

import (
	"context"
	"errors"
	"io"
	"path/filepath"
	"strings"
	"testing"

	"lifeboat/storage"
	"lifeboat/storage/fault"
	"lifeboat/storage/file"
)

// careless is a bucket that forgets conditions.
type careless struct{ storage.Bucket }

func (c careless) Put(ctx context.Context, key string, body io.Reader, opts storage.PutOptions) error {
	opts.IfAbsent = false
	return c.Bucket.Put(ctx, key, body, opts)
}

// halfCareless forgets the conditions of large objects.
type halfCareless struct{ storage.Bucket }

func (halfCareless) PutParts(context.Context, string, []byte) error { return nil }

func TestProveConditional(t *testing.T) {
	t.Parallel()
	b, err := file.Create(filepath.Join(t.TempDir(), "root"), file.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	if err := b.Put(t.Context(), "x", strings.NewReader("text"), storage.PutOptions{Size: 4}); err != nil {
		t.Fatal(err)
	}
	outage := errors.New("outage")
	for name, c := range map[string]struct {
		bucket storage.Bucket
		key    string
		want   error
	}{
		"kept":              {b, "x", nil},
		"forgotten":         {careless{b}, "x", storage.ErrUnconditional},
		"forgotten by half": {halfCareless{b}, "x", storage.ErrUnconditional},
		"absent":            {careless{b}, "y", storage.ErrNotFound},
		"outage":            {fault.Wrap(careless{b}, fault.NewSet(fault.Rule{Op: fault.Put, Action: fault.Fail(outage)})), "x", outage},
	} {
		if err := storage.ProveConditional(t.Context(), c.bucket, c.key); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	body, err := b.Get(t.Context(), "x", 0, -1)
	if err != nil {
		t.Fatal(err)
	}
	defer body.Close()
	if text, err := io.ReadAll(body); string(text) != "text" || err != nil {
		t.Errorf("the object is %q now, %v", text, err)
	}
}
