package catalog

import (
	"context"
	"io"
	"iter"
	"sync/atomic"
	"testing"

	"lifeboat/storage"
)

// downable is a bucket that can be taken away and brought back.
type downable struct {
	storage.Bucket
	down atomic.Bool
	gets atomic.Int64 // Gets until it goes down by itself; none or less: never
}

func (d *downable) err() error {
	if d.down.Load() {
		return errOutage
	}
	return nil
}

func (d *downable) Put(ctx context.Context, key string, body io.Reader, o storage.PutOptions) error {
	if err := d.err(); err != nil {
		return err
	}
	return d.Bucket.Put(ctx, key, body, o)
}

func (d *downable) Get(ctx context.Context, key string, offset, length int64) (io.ReadCloser, error) {
	if d.gets.Add(-1) == 0 {
		d.down.Store(true)
	}
	if err := d.err(); err != nil {
		return nil, err
	}
	return d.Bucket.Get(ctx, key, offset, length)
}

func (d *downable) Stat(ctx context.Context, key string) (storage.Info, error) {
	if err := d.err(); err != nil {
		return storage.Info{}, err
	}
	return d.Bucket.Stat(ctx, key)
}

func (d *downable) List(ctx context.Context, prefix string) iter.Seq2[storage.Info, error] {
	if err := d.err(); err != nil {
		return func(yield func(storage.Info, error) bool) { yield(storage.Info{}, err) }
	}
	return d.Bucket.List(ctx, prefix)
}

// place is a scene whose store can go away.
type place struct {
	*scene
	*downable
}

// twoCopies are two repositories of one cluster, called near and far, and their sum.
func twoCopies(t *testing.T) (near, far place, both *Cluster) {
	t.Helper()
	near, far = newPlace(t), newPlace(t)
	return near, far, joined(t, near, far)
}

func newPlace(t *testing.T) place {
	t.Helper()
	return placeOf(newScene(t))
}

func placeOf(s *scene) place {
	p := place{scene: s, downable: &downable{Bucket: s.bucket}}
	s.cluster = s.through(p.downable)
	return p
}

// joined opens the copies as a program would.
func joined(t *testing.T, near, far place) *Cluster {
	t.Helper()
	return must(OpenCopies(t.Context(), near.copied("near"), far.copied("far")))(t)
}

func (p place) copied(name string) Copy {
	return Copy{Name: name, Open: func(ctx context.Context) (*Cluster, error) {
		r, err := Open(ctx, p.downable)
		if err != nil {
			return nil, err
		}
		return r.With(p.repo.keys).Cluster(ctx, "main")
	}}
}

func (p place) fall() { p.down.Store(true) }
func (p place) rise() { p.down.Store(false) }
