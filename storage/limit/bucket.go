package limit

import (
	"context"
	"io"
	"iter"

	"lifeboat/storage"
)

// entriesPerRequest is how many entries a store lists in one answer; S3 and GCS both send a thousand.
const entriesPerRequest = 1000

// Bucket passes every operation on to another bucket, no faster than the limits allow. Who waits for a limit and whose
// context has a deadline that comes too soon fails at once with context.DeadlineExceeded.
type Bucket struct {
	next                       storage.Bucket
	upload, download, requests *gauge
}

var _ storage.Bucket = (*Bucket)(nil)

// Wrap limits a bucket. It may stand above or below a retry.Bucket: below, repeated attempts count, and waiting is no
// lack of progress.
func Wrap(next storage.Bucket, opts Options) *Bucket {
	return &Bucket{
		next:     next,
		upload:   bytesGauge(opts.Upload),
		download: bytesGauge(opts.Download),
		requests: requestGauge(opts.Requests),
	}
}

// Location is that of the bucket below.
func (b *Bucket) Location() string { return b.next.Location() }

// request waits until one more request may begin.
func (b *Bucket) request(ctx context.Context, op, key string) error {
	return b.explain(op, key, b.requests.wait(ctx, 1))
}

func (b *Bucket) explain(op, key string, err error) error {
	if err == nil {
		return nil
	}
	return &storage.Error{Op: op, Key: key, Location: b.Location(), Err: err}
}

// Put slows the Put of the bucket below. A body that is an io.Seeker stays one.
func (b *Bucket) Put(ctx context.Context, key string, body io.Reader, opts storage.PutOptions) error {
	if err := b.request(ctx, "put", key); err != nil {
		return err
	}
	return b.next.Put(ctx, key, b.upload.reader(ctx, body), opts)
}

// Get slows the Get of the bucket below, and the body that it gives.
func (b *Bucket) Get(ctx context.Context, key string, offset, length int64) (io.ReadCloser, error) {
	if err := b.request(ctx, "get", key); err != nil {
		return nil, err
	}
	body, err := b.next.Get(ctx, key, offset, length)
	if err != nil || b.download == nil {
		return body, err
	}
	slow := &reader{ctx: ctx, body: body, gauge: b.download}
	return &downloadBody{reader: slow, Closer: body, bucket: b, key: key}, nil
}

// downloadBody is the body of a Get.
type downloadBody struct {
	*reader
	io.Closer
	bucket *Bucket
	key    string
}

func (d *downloadBody) Read(p []byte) (int, error) {
	n, err := d.reader.Read(p)
	if d.waited != nil {
		err = d.bucket.explain("get", d.key, d.waited)
	}
	return n, err
}

// Stat slows the Stat of the bucket below.
func (b *Bucket) Stat(ctx context.Context, key string) (storage.Info, error) {
	if err := b.request(ctx, "stat", key); err != nil {
		return storage.Info{}, err
	}
	return b.next.Stat(ctx, key)
}

// Delete slows the Delete of the bucket below.
func (b *Bucket) Delete(ctx context.Context, key string) error {
	if err := b.request(ctx, "delete", key); err != nil {
		return err
	}
	return b.next.Delete(ctx, key)
}

// List slows the List of the bucket below.
func (b *Bucket) List(ctx context.Context, prefix string) iter.Seq2[storage.Info, error] {
	return func(yield func(storage.Info, error) bool) {
		if err := b.request(ctx, "list", prefix); err != nil {
			yield(storage.Info{}, err)
			return
		}
		listed := 0
		for info, err := range b.next.List(ctx, prefix) {
			if !yield(info, err) || err != nil {
				return
			}
			if listed++; listed%entriesPerRequest != 0 {
				continue
			}
			if err := b.request(ctx, "list", prefix); err != nil {
				yield(storage.Info{}, err)
				return
			}
		}
	}
}
