package fault

import (
	"context"
	"io"
	"iter"

	"lifeboat/storage"
)

// Bucket passes every operation on to another bucket, but for what its script says.
type Bucket struct {
	next storage.Bucket
	set  *Set
}

var _ storage.Bucket = (*Bucket)(nil)

// Wrap puts a script before a bucket.
func Wrap(next storage.Bucket, set *Set) *Bucket { return &Bucket{next: next, set: set} }

// Location is that of the bucket below.
func (b *Bucket) Location() string { return b.next.Location() }

// faults are the rules that apply to one operation.
type faults []*state

// run performs an operation between what comes before and what comes after.
func (f faults) run(ctx context.Context, operation func() error) error {
	if err := f.before(ctx); err != nil {
		return err
	}
	if err := operation(); err != nil {
		return err
	}
	return f.after()
}

func (f faults) before(ctx context.Context) error {
	for _, r := range f {
		if r.Action.before == nil {
			continue
		}
		r.fire()
		if err := r.Action.before(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (f faults) after() error {
	for _, r := range f {
		if r.Action.after == nil {
			continue
		}
		r.fire()
		if err := r.Action.after(); err != nil {
			return err
		}
	}
	return nil
}

func (f faults) body(ctx context.Context, body io.Reader) io.Reader {
	for _, r := range f {
		if r.Action.body != nil {
			body = r.Action.body(ctx, body, r.fire)
		}
	}
	return body
}

func (b *Bucket) failed(op Op, key string, err error) error {
	if err == nil {
		return nil
	}
	return &storage.Error{Op: string(op), Key: key, Location: b.Location(), Err: err}
}

// Put applies the rules for Put.
func (b *Bucket) Put(ctx context.Context, key string, body io.Reader, opts storage.PutOptions) error {
	f := faults(b.set.due(Put, key))
	if len(f) == 0 {
		return b.next.Put(ctx, key, body, opts)
	}
	return b.failed(Put, key, f.run(ctx, func() error { return b.next.Put(ctx, key, f.body(ctx, body), opts) }))
}

// Get applies the rules for Get; those on the body are felt while it is read.
func (b *Bucket) Get(ctx context.Context, key string, offset, length int64) (body io.ReadCloser, err error) {
	f := faults(b.set.due(Get, key))
	if len(f) == 0 {
		return b.next.Get(ctx, key, offset, length)
	}
	err = f.run(ctx, func() (err error) {
		body, err = b.next.Get(ctx, key, offset, length)
		return err
	})
	if err != nil {
		if body != nil {
			_ = body.Close() // the scripted error is the answer
		}
		return nil, b.failed(Get, key, err)
	}
	return readCloser{f.body(ctx, body), body}, nil
}

type readCloser struct {
	io.Reader
	io.Closer
}

// Stat applies the rules for Stat.
func (b *Bucket) Stat(ctx context.Context, key string) (info storage.Info, err error) {
	err = faults(b.set.due(Stat, key)).run(ctx, func() (err error) {
		info, err = b.next.Stat(ctx, key)
		return err
	})
	if err != nil {
		return storage.Info{}, b.failed(Stat, key, err)
	}
	return info, nil
}

// Delete applies the rules for Delete.
func (b *Bucket) Delete(ctx context.Context, key string) error {
	f := faults(b.set.due(Delete, key))
	return b.failed(Delete, key, f.run(ctx, func() error { return b.next.Delete(ctx, key) }))
}

// List applies the rules for List, each time that the sequence is run.
func (b *Bucket) List(ctx context.Context, prefix string) iter.Seq2[storage.Info, error] {
	return func(yield func(storage.Info, error) bool) {
		f := faults(b.set.due(List, prefix))
		if err := f.before(ctx); err != nil {
			yield(storage.Info{}, b.failed(List, prefix, err))
			return
		}
		f.cut(b.next.List(ctx, prefix), func(err error) error { return b.failed(List, prefix, err) })(yield)
	}
}

// cut ends a listing as the first rule that cuts one says.
func (f faults) cut(list iter.Seq2[storage.Info, error], failed func(error) error) iter.Seq2[storage.Info, error] {
	for _, r := range f {
		if r.Action.cutList {
			return r.cut(list, failed)
		}
	}
	return list
}

func (r *state) cut(list iter.Seq2[storage.Info, error], failed func(error) error) iter.Seq2[storage.Info, error] {
	return func(yield func(storage.Info, error) bool) {
		left := r.Action.entries
		for info, err := range list {
			if left == 0 {
				break
			}
			left--
			if !yield(info, err) || err != nil {
				return
			}
		}
		if left > 0 {
			return
		}
		r.fire()
		if r.Action.listErr != nil {
			yield(storage.Info{}, failed(r.Action.listErr))
		}
	}
}
