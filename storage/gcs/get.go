package gcs

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"net/http"

	gcstorage "cloud.google.com/go/storage"

	"lifeboat/storage"
)

// Get asks for the range in one request; see storage.Bucket. The CRC32C of an object that is read as a whole is compared
// with the store's before its last bytes are handed out.
func (b *Bucket) Get(ctx context.Context, key string, offset, length int64) (io.ReadCloser, error) {
	if !storage.ValidKey(key) {
		return nil, b.failed("get", key, storage.ErrKey)
	}
	body, err := b.get(ctx, key, offset, length)
	if err != nil {
		return nil, b.failed("get", key, err)
	}
	return body, nil
}

func (b *Bucket) get(ctx context.Context, key string, offset, length int64) (io.ReadCloser, error) {
	if offset < 0 || length == 0 {
		return b.empty(ctx, key, offset, length)
	}
	var r *gcstorage.Reader
	err := b.ask(ctx, key, func() (err error) {
		r, err = b.object(key).NewRangeReader(context.WithValue(ctx, taskKey{}, new(download)), offset, length)
		return err
	})
	if hasCode(err, http.StatusRequestedRangeNotSatisfiable) {
		return b.empty(ctx, key, offset, length)
	}
	if err != nil {
		return nil, err
	}
	body, err := b.body(ctx, key, r, offset, length)
	if err != nil {
		_ = r.Close() // of no use
	}
	return body, err
}

// empty answers for a range without bytes, which cannot be asked for.
func (b *Bucket) empty(ctx context.Context, key string, offset, length int64) (io.ReadCloser, error) {
	attrs, err := b.attrs(ctx, key)
	if err != nil {
		return nil, err
	}
	if err := inside(offset, length, attrs.Size); err != nil {
		return nil, err
	}
	if length != 0 && offset < attrs.Size {
		return nil, fmt.Errorf("the object was replaced meanwhile: %w", storage.ErrUnavailable)
	}
	return &body{ctx: ctx, reader: io.NopCloser(nil)}, nil
}

// inside reports ErrRange unless length bytes from offset, or those to the end, lie in an object of the given size.
func inside(offset, length, size int64) error {
	if offset < 0 || offset > size || length > size-offset {
		return fmt.Errorf("%w: %d bytes from %d of %d", storage.ErrRange, length, offset, size)
	}
	return nil
}

// body checks that the answer is for the range that was asked for.
func (b *Bucket) body(ctx context.Context, key string, r *gcstorage.Reader, offset, length int64) (io.ReadCloser, error) {
	size, left := r.Attrs.Size, r.Remain()
	if size < 0 || left < 0 {
		return nil, &foreignError{"answered without saying how long the object is"}
	}
	if err := inside(offset, length, size); err != nil {
		return nil, err
	}
	if length < 0 {
		length = size - offset
	}
	if r.Attrs.StartOffset != offset || left != length {
		return nil, &foreignError{fmt.Sprintf("answered with %d bytes from %d when asked for %d from %d", left, r.Attrs.StartOffset, length, offset)}
	}
	return &body{
		ctx: ctx, reader: r, left: length, check: length == size && r.Attrs.CRC32C != 0, want: r.Attrs.CRC32C,
		failed: func(err error) error { return b.failed("get", key, err) },
	}, nil
}

// body reads a range of an object.
type body struct {
	ctx       context.Context
	reader    io.ReadCloser
	left      int64
	check     bool // whether the bytes are all of the object and the store says their sum
	sum, want uint32
	failed    func(error) error
	broken    error
}

// errDamaged is final: the bytes have been handed out but for the last ones, so going on behind them mends nothing.
var errDamaged = fmt.Errorf("the bytes were damaged on their way from the store: %w", storage.ErrDamaged)

func (r *body) Read(p []byte) (int, error) {
	switch {
	case r.broken != nil:
		return 0, r.broken
	case r.left == 0:
		return 0, io.EOF
	case r.ctx.Err() != nil:
		return 0, r.failed(r.ctx.Err())
	case len(p) == 0:
		return 0, nil
	}
	n, err := r.reader.Read(p[:min(int64(len(p)), r.left)])
	r.left -= int64(n)
	if r.check {
		r.sum = crc32.Update(r.sum, castagnoli(), p[:n])
	}
	switch {
	case r.check && r.left == 0 && r.sum != r.want:
		n, err = 0, fmt.Errorf("%w: CRC32C %08x instead of %08x", errDamaged, r.sum, r.want)
	case n > 0 || err == nil:
		return n, nil // an error comes again with the next read
	case errors.Is(err, io.EOF):
		err = io.ErrUnexpectedEOF
	}
	r.broken = r.failed(err)
	return n, r.broken
}

func (r *body) Close() error { return r.reader.Close() }
