package s3

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"lifeboat/storage"
)

// Get reads with one request; see storage.Bucket. The checksum that the store keeps of the object is verified where all
// of it is read, to io.EOF, with a length below zero; a mismatch is an error that is not passing.
func (b *Bucket) Get(ctx context.Context, key string, offset, length int64) (io.ReadCloser, error) {
	if err := checked(key); err != nil {
		return nil, b.failed(ctx, "get", key, err)
	}
	body, err := b.get(ctx, key, offset, length)
	if err != nil {
		return nil, b.failed(ctx, "get", key, err)
	}
	return body, nil
}

func (b *Bucket) get(ctx context.Context, key string, offset, length int64) (io.ReadCloser, error) {
	switch {
	case offset < 0:
		return nil, storage.ErrRange
	case length == 0, length > math.MaxInt64-offset:
		return b.getNothing(ctx, key, offset, length)
	case offset == 0 && length < 0:
		return b.getWhole(ctx, key)
	}
	return b.getRange(ctx, key, offset, length)
}

func (b *Bucket) getWhole(ctx context.Context, key string) (io.ReadCloser, error) {
	out, err := b.client.GetObject(ctx, &awss3.GetObjectInput{
		Bucket: b.name(), Key: b.full(key), ChecksumMode: types.ChecksumModeEnabled,
	})
	if err != nil {
		return nil, err
	}
	left := int64(-1)
	if out.ContentLength != nil {
		left = *out.ContentLength
	}
	return &body{bucket: b, ctx: ctx, key: key, inner: out.Body, left: left}, nil
}

func (b *Bucket) getRange(ctx context.Context, key string, offset, length int64) (io.ReadCloser, error) {
	out, err := b.client.GetObject(ctx, &awss3.GetObjectInput{
		Bucket: b.name(), Key: b.full(key), Range: aws.String(rangeOf(offset, length)),
	})
	if errors.Is(b.explain(ctx, err), storage.ErrRange) {
		return b.getNothing(ctx, key, offset, length)
	}
	if err != nil {
		return nil, err
	}
	left, err := checkRange(out, offset, length)
	if err != nil {
		return nil, errors.Join(err, out.Body.Close())
	}
	return &body{bucket: b, ctx: ctx, key: key, inner: out.Body, left: left}, nil
}

func rangeOf(offset, length int64) string {
	if length < 0 {
		return fmt.Sprintf("bytes=%d-", offset)
	}
	return fmt.Sprintf("bytes=%d-%d", offset, offset+length-1)
}

// checkRange holds the answer against what was asked for, and gives the length of the body.
func checkRange(out *awss3.GetObjectOutput, offset, length int64) (int64, error) {
	if out.ContentRange == nil {
		return 0, &trouble{
			text: "the store ignores the range that was asked for",
			hint: "restores read ranges: use a store or a proxy that serves them",
		}
	}
	r, err := parseContentRange(*out.ContentRange)
	if err != nil {
		return 0, err
	}
	want := length
	if length < 0 {
		want = r.total - offset
	}
	got := r.last - r.first + 1
	switch {
	case r.first == offset && got == want && (out.ContentLength == nil || *out.ContentLength == want):
		return want, nil
	case r.first == offset && got < want && r.last == r.total-1:
		return 0, storage.ErrRange
	}
	return 0, fmt.Errorf("the store answers with the range %q to %s", *out.ContentRange, rangeOf(offset, length))
}

// contentRange is the header of that name: positions of bytes, and the size of the object.
type contentRange struct{ first, last, total int64 }

func parseContentRange(header string) (r contentRange, err error) {
	var rest string
	n, _ := fmt.Sscanf(strings.TrimSpace(header)+" .", "bytes %d-%d/%d %s", &r.first, &r.last, &r.total, &rest) // n says how far it went
	if n != 4 || rest != "." || r.first < 0 || r.last < r.first || r.total <= r.last {
		return contentRange{}, fmt.Errorf("the store answers with the range %q", legible(header))
	}
	return r, nil
}

// getNothing is for ranges that hold no byte: the object must be there, and the range inside of it.
func (b *Bucket) getNothing(ctx context.Context, key string, offset, length int64) (io.ReadCloser, error) {
	info, err := b.stat(ctx, key)
	switch {
	case err != nil:
		return nil, err
	case offset == info.Size && length <= 0, offset < info.Size && length == 0:
		return &body{bucket: b, ctx: ctx, key: key, inner: io.NopCloser(strings.NewReader(""))}, nil
	case length > info.Size-offset, offset > info.Size:
		return nil, storage.ErrRange
	}
	return nil, fmt.Errorf("the store finds %s outside of an object of %d bytes: %w",
		rangeOf(offset, length), info.Size, storage.ErrUnavailable)
}

// body is what is read of an object.
type body struct {
	bucket *Bucket
	ctx    context.Context
	key    string
	inner  io.ReadCloser
	left   int64 // bytes until the end, or below zero where the store did not say
	err    error // what the body ended with
}

func (r *body) Read(p []byte) (int, error) {
	if r.err != nil {
		return 0, r.err
	}
	if r.err = r.ctx.Err(); r.err != nil {
		return 0, r.err
	}
	n, err := r.inner.Read(p)
	n, err = r.count(n, err)
	if err != nil && !errors.Is(err, io.EOF) {
		err = r.bucket.failed(r.ctx, "get", r.key, explainBody(err))
	}
	r.err = err
	return n, err
}

// count holds what came against what the store announced.
func (r *body) count(n int, err error) (int, error) {
	if r.left < 0 {
		return n, err
	}
	if int64(n) > r.left {
		return int(r.left), errors.New("the store sends more bytes than it announced")
	}
	r.left -= int64(n)
	if errors.Is(err, io.EOF) && r.left > 0 {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

func explainBody(err error) error {
	if strings.Contains(err.Error(), "checksum did not match") {
		return &trouble{
			text: "the bytes that came do not match the object's checksum",
			hint: "read it again; if that stays so, the object is damaged in the store: run lifeboat verify", cause: storage.ErrDamaged,
		}
	}
	return err
}

func (r *body) Close() error {
	r.err = errors.New("read from a closed body")
	return r.inner.Close()
}
