package retry

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"

	"lifeboat/storage"
)

// Bucket repeats what fails with an error that is storage.Transient. Every other error is returned at once.
type Bucket struct {
	next storage.Bucket
	opts Options
}

var _ storage.Bucket = (*Bucket)(nil)

// Wrap makes a bucket patient.
func Wrap(next storage.Bucket, opts Options) *Bucket {
	return &Bucket{next: next, opts: opts.withDefaults()}
}

// AmbiguousError comes in place of ErrExists where an earlier attempt of the same conditional Put may have succeeded
// without our knowing: the object found may be our own. The caller compares contents to tell. errors.Is finds
// storage.ErrExists in it.
type AmbiguousError struct {
	Err      error // the answer to the last attempt
	Previous error // why the outcome of the one before is unknown
}

func (e *AmbiguousError) Error() string {
	return fmt.Sprintf("%v, perhaps by an attempt whose outcome is unknown: %v", e.Err, e.Previous)
}

func (e *AmbiguousError) Unwrap() error { return e.Err }

// Location is that of the bucket below.
func (b *Bucket) Location() string { return b.next.Location() }

// do repeats an operation that is harmless when repeated.
func (b *Bucket) do(ctx context.Context, op, key string, attempt func(*watch) error) error {
	e := b.begin(op, key)
	for {
		err := b.once(ctx, op, key, attempt)
		if err == nil {
			return nil
		}
		if err := e.again(ctx, err); err != nil {
			return err
		}
	}
}

func (b *Bucket) once(ctx context.Context, op, key string, attempt func(*watch) error) error {
	w := b.newWatch(ctx, op, key)
	defer w.stop()
	return w.explain(attempt(w))
}

// Stat repeats the Stat of the bucket below.
func (b *Bucket) Stat(ctx context.Context, key string) (info storage.Info, err error) {
	err = b.do(ctx, "stat", key, func(w *watch) (err error) {
		info, err = b.next.Stat(w.ctx, key)
		return err
	})
	return info, err
}

// Delete repeats the Delete of the bucket below.
func (b *Bucket) Delete(ctx context.Context, key string) error {
	return b.do(ctx, "delete", key, func(w *watch) error { return b.next.Delete(w.ctx, key) })
}

// Put repeats the Put of the bucket below where body is an io.Seeker, from where body stood at first; any other body
// is tried once. An error of the body itself is never a reason to repeat. See AmbiguousError for conditional ones.
func (b *Bucket) Put(ctx context.Context, key string, body io.Reader, opts storage.PutOptions) error {
	seeker, ok := body.(io.Seeker)
	if !ok {
		return b.once(ctx, "put", key, func(w *watch) error { return b.next.Put(w.ctx, key, &watchedReader{body: body, watch: w}, opts) })
	}
	start, err := seeker.Seek(0, io.SeekCurrent)
	if err != nil {
		return fmt.Errorf("put %s: find the start of the body: %w", key, err)
	}
	var previous error
	return b.do(ctx, "put", key, func(w *watch) error {
		if _, err := seeker.Seek(start, io.SeekStart); err != nil {
			return &bodyError{fmt.Errorf("put %s: rewind the body: %w", key, err)}
		}
		err := b.putOnce(w, key, body, opts)
		if previous != nil && opts.IfAbsent && errors.Is(err, storage.ErrExists) {
			return &AmbiguousError{Err: err, Previous: previous}
		}
		previous = w.explain(err)
		return err
	})
}

func (b *Bucket) putOnce(w *watch, key string, body io.Reader, opts storage.PutOptions) error {
	watched := &watchedReader{body: body, watch: w}
	err := b.next.Put(w.ctx, key, watched, opts)
	if err != nil && watched.err != nil {
		return &bodyError{err}
	}
	return err
}

// bodyError marks an attempt that failed because of the caller's body, which is never repeated.
type bodyError struct{ err error }

func (e *bodyError) Error() string { return e.err.Error() }
func (e *bodyError) Unwrap() error { return e.err }

// watchedReader tells the watch about progress, and remembers the body's own error.
type watchedReader struct {
	body  io.Reader
	watch *watch
	err   error
}

func (r *watchedReader) Read(p []byte) (int, error) {
	r.watch.pause()
	n, err := r.body.Read(p)
	r.watch.progress()
	if err != nil && err != io.EOF {
		r.err = err
	}
	return n, err
}

// List repeats the List of the bucket below, and after an error goes on behind the last key that was yielded.
func (b *Bucket) List(ctx context.Context, prefix string) iter.Seq2[storage.Info, error] {
	return func(yield func(storage.Info, error) bool) {
		l := listing{bucket: b, effort: b.begin("list", prefix), yield: yield}
		for {
			err := l.attempt(ctx, prefix)
			if err == nil {
				return
			}
			if err := l.effort.again(ctx, err); err != nil {
				yield(storage.Info{}, err)
				return
			}
		}
	}
}

type listing struct {
	bucket *Bucket
	effort *effort
	yield  func(storage.Info, error) bool
	last   string // the last key yielded
}

// attempt lists once, and gives nil when it came to the end or the caller had enough.
func (l *listing) attempt(ctx context.Context, prefix string) error {
	w := l.bucket.newWatch(ctx, "list", prefix)
	defer w.stop()
	for info, err := range l.bucket.next.List(w.ctx, prefix) {
		if err != nil {
			return w.explain(err)
		}
		w.pause()
		if info.Key > l.last {
			l.last = info.Key
			if !l.yield(info, nil) {
				return nil
			}
			l.effort.progress()
		}
		w.progress()
	}
	return nil
}
