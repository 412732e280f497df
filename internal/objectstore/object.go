package objectstore

import (
	"bytes"
	"context"
	"errors"
	"io"
	"path"
	"testing"

	"golang.org/x/sync/errgroup"

	"lifeboat/storage"
)

// atOnce is how many objects are copied or removed at a time.
const atOnce = 4

// Objects are the keys of all objects that match a pattern of path.Match, in order; the empty one matches all.
func (p *Place) Objects(t testing.TB, pattern string) []string {
	t.Helper()
	keys, err := keysOf(t.Context(), p.Bucket, pattern)
	if err != nil {
		t.Fatalf("objects %s: %v", pattern, err)
	}
	return keys
}

// Read is an object's content.
func (p *Place) Read(t testing.TB, key string) []byte {
	t.Helper()
	body, err := p.Bucket.Get(t.Context(), key, 0, -1)
	if err != nil {
		t.Fatal(err)
	}
	defer body.Close()
	content, err := io.ReadAll(body)
	if err != nil {
		t.Fatalf("read %s: %v", key, err)
	}
	return content
}

// Write puts an object in the place of the one at key, as somebody with the right to do so would.
func (p *Place) Write(t testing.TB, key string, content []byte) {
	t.Helper()
	if err := p.put(key, content); err != nil {
		t.Fatal(err)
	}
}

// put works at the end of a test, too, whose context has ended by then.
func (p *Place) put(key string, content []byte) error {
	return p.Bucket.Put(context.Background(), key, bytes.NewReader(content), storage.PutOptions{Size: int64(len(content))})
}

// Flip changes one bit in the middle of an object.
func (p *Place) Flip(t testing.TB, key string) {
	t.Helper()
	content := p.Read(t, key)
	content[len(content)/2] ^= 1
	p.Write(t, key, content)
}

// Remove takes an object away.
func (p *Place) Remove(t testing.TB, key string) {
	t.Helper()
	if err := p.Bucket.Delete(t.Context(), key); err != nil {
		t.Fatal(err)
	}
}

// PutBackLater makes an object what it is now when the test ends.
func (p *Place) PutBackLater(t testing.TB, key string) {
	t.Helper()
	content := p.Read(t, key)
	t.Cleanup(func() {
		if err := p.put(key, content); err != nil {
			t.Errorf("put %s back: %v", key, err)
		}
	})
}

func keysOf(ctx context.Context, b storage.Bucket, pattern string) ([]string, error) {
	var keys []string
	for info, err := range b.List(ctx, "") {
		if err != nil {
			return nil, err
		}
		matches, err := path.Match(pattern, info.Key)
		if err != nil {
			return nil, err
		}
		if matches || pattern == "" {
			keys = append(keys, info.Key)
		}
	}
	return keys, nil
}

func copyObjects(ctx context.Context, to, from storage.Bucket) error {
	keys, err := keysOf(ctx, from, "")
	if err != nil {
		return err
	}
	return each(ctx, keys, func(ctx context.Context, key string) error {
		body, err := from.Get(ctx, key, 0, -1)
		if err != nil {
			return err
		}
		content, err := io.ReadAll(body)
		if err := errors.Join(err, body.Close()); err != nil {
			return err
		}
		return to.Put(ctx, key, bytes.NewReader(content), storage.PutOptions{Size: int64(len(content))})
	})
}

func each(ctx context.Context, keys []string, do func(ctx context.Context, key string) error) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(atOnce)
	for _, key := range keys {
		group.Go(func() error { return do(ctx, key) })
	}
	return group.Wait()
}
