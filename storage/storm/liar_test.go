package storm

import (
	"bytes"
	"context"
	"errors"
	"io"
	"iter"
	"path/filepath"
	"strings"
	"testing"

	"lifeboat/storage"
	"lifeboat/storage/file"
)

// liar is a store, or a driver, that breaks the contract in one way. The storms must find each of them, or they prove
// nothing of those that they let pass.
type liar struct {
	storage.Bucket
	put  func(ctx context.Context, b storage.Bucket, key string, body io.Reader, opts storage.PutOptions) error
	get  func(ctx context.Context, b storage.Bucket, key string) error // comes before the true one
	list func(key string) bool                                         // leaves an entry out
}

func (l liar) Put(ctx context.Context, key string, body io.Reader, opts storage.PutOptions) error {
	if l.put == nil {
		return l.Bucket.Put(ctx, key, body, opts)
	}
	return l.put(ctx, l.Bucket, key, body, opts)
}

func (l liar) Get(ctx context.Context, key string, offset, length int64) (io.ReadCloser, error) {
	if l.get != nil {
		if err := l.get(ctx, l.Bucket, key); err != nil {
			return nil, err
		}
	}
	return l.Bucket.Get(ctx, key, offset, length)
}

func (l liar) List(ctx context.Context, prefix string) iter.Seq2[storage.Info, error] {
	return func(yield func(storage.Info, error) bool) {
		for info, err := range l.Bucket.List(ctx, prefix) {
			if l.list != nil && l.list(info.Key) {
				continue
			}
			if !yield(info, err) {
				return
			}
		}
	}
}

// some is true for the keys of a third of all segments.
func some(key string) bool { return strings.HasSuffix(key, "3") || strings.HasSuffix(key, "6") }

func TestStormsFindLiars(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		lie  liar
		want string
	}{
		"acknowledges and forgets": {liar{put: forget}, "does not read back"},
		"acknowledges a part":      {liar{put: storePart}, "does not read back"},
		"leaves a part behind":     {liar{put: leavePart}, "is there in part"},
		"replaces what is there":   {liar{put: replace}, "yet was not there"},
		"takes trouble for absence": {liar{get: func(_ context.Context, _ storage.Bucket, key string) error {
			if some(key) {
				return storage.ErrNotFound
			}
			return nil
		}}, "seems absent"},
		"leaves out of listings": {liar{list: some}, "not in it"},
		"hides records":          {liar{list: func(key string) bool { return strings.HasSuffix(key, "record.json") }}, "is committed and not in it"},
		"loses packs":            {liar{put: losePacks}, "does not read back"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			clean, err := file.Create(filepath.Join(t.TempDir(), "root"), file.Options{})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { clean.Close() })
			lie := c.lie
			lie.Bucket = clean
			never := func() bool { return false }
			found := voyage(t.Context(), 1, place{clean: clean, rough: lie, script: rulesText(nil), flips: never})
			if all := strings.Join(found.violations, "\n"); !strings.Contains(all, c.want) {
				t.Errorf("found %q, want %q in it", all, c.want)
			}
		})
	}
}

func forget(ctx context.Context, b storage.Bucket, key string, body io.Reader, opts storage.PutOptions) error {
	if some(key) {
		_, err := io.Copy(io.Discard, body)
		return err
	}
	return b.Put(ctx, key, body, opts)
}

func storePart(ctx context.Context, b storage.Bucket, key string, body io.Reader, opts storage.PutOptions) error {
	if some(key) {
		content, err := io.ReadAll(body)
		if err != nil {
			return err
		}
		return b.Put(ctx, key, bytes.NewReader(content[:len(content)/2]), storage.PutOptions{IfAbsent: opts.IfAbsent, Size: -1})
	}
	return b.Put(ctx, key, body, opts)
}

func leavePart(ctx context.Context, b storage.Bucket, key string, body io.Reader, opts storage.PutOptions) error {
	if err := storePart(ctx, b, key, body, opts); err != nil || !some(key) {
		return err
	}
	return errors.New("the rest did not arrive")
}

func replace(ctx context.Context, b storage.Bucket, key string, body io.Reader, opts storage.PutOptions) error {
	opts.IfAbsent = opts.IfAbsent && !strings.Contains(key, "/wal/")
	return b.Put(ctx, key, body, opts)
}

func losePacks(ctx context.Context, b storage.Bucket, key string, body io.Reader, opts storage.PutOptions) error {
	if strings.HasSuffix(key, "packs/01/000001") {
		_, err := io.Copy(io.Discard, body)
		return err
	}
	return b.Put(ctx, key, body, opts)
}
