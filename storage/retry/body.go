package retry

import (
	"context"
	"errors"
	"io"
)

// Get repeats the Get of the bucket below, also while the body is read: where that breaks for a passing reason, it is
// opened again behind the last byte delivered. Objects are immutable; of one that is replaced meanwhile a mixture may
// be read, so what is replaced must carry a checksum.
func (b *Bucket) Get(ctx context.Context, key string, offset, length int64) (io.ReadCloser, error) {
	r := &body{bucket: b, ctx: ctx, key: key, at: offset, left: length, toEnd: length < 0, effort: b.begin("get", key)}
	if err := r.open(); err != nil {
		return nil, err
	}
	return r, nil
}

var errClosed = errors.New("read from a closed body")

// body is a range of an object, read through as many openings as it takes.
type body struct {
	bucket *Bucket
	ctx    context.Context
	key    string
	at     int64 // offset of the next byte
	left   int64 // bytes until the end, unless toEnd
	toEnd  bool
	effort *effort

	watch *watch // of the present opening
	inner io.ReadCloser
	err   error // what the body ended with
}

// open opens the rest of the range, and tries as long as there is patience.
func (r *body) open() error {
	for {
		err := r.openOnce()
		if err == nil {
			return nil
		}
		if err := r.effort.again(r.ctx, err); err != nil {
			return err
		}
	}
}

func (r *body) openOnce() error {
	length := r.left
	if r.toEnd {
		length = -1
	}
	w := r.bucket.newWatch(r.ctx, "get", r.key)
	inner, err := r.bucket.next.Get(w.ctx, r.key, r.at, length)
	if err != nil {
		defer w.stop()
		return w.explain(err)
	}
	w.pause()
	r.watch, r.inner = w, inner
	return nil
}

func (r *body) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	for r.err == nil {
		n, err := r.readOnce(p)
		if n > 0 {
			return n, nil // an error comes again with the next read
		}
		if err == nil {
			return 0, nil
		}
		r.err = r.resume(err)
	}
	return 0, r.err
}

func (r *body) readOnce(p []byte) (int, error) {
	if !r.toEnd {
		p = p[:min(int64(len(p)), r.left)]
	}
	if len(p) == 0 {
		return 0, io.EOF
	}
	r.watch.progress()
	n, err := r.inner.Read(p)
	r.watch.pause()
	if n > 0 {
		r.at += int64(n)
		r.left -= int64(n)
		r.effort.progress()
	}
	if err == io.EOF && !r.toEnd && r.left > 0 {
		err = io.ErrUnexpectedEOF
	}
	return n, r.watch.explain(err)
}

// resume opens the body again after an error, or gives the one that it ends with.
func (r *body) resume(err error) error {
	if errors.Is(err, io.EOF) {
		return err
	}
	if err := r.effort.again(r.ctx, err); err != nil {
		return err
	}
	_ = r.release() // it has failed already
	return r.open()
}

// release lets go of the present opening.
func (r *body) release() error {
	if r.inner == nil {
		return nil
	}
	err := r.inner.Close()
	r.watch.stop()
	r.inner, r.watch = nil, nil
	return err
}

func (r *body) Close() error {
	r.err = errClosed
	return r.release()
}
