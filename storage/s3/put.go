package s3

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"lifeboat/storage"
	"lifeboat/storage/retry"
)

const (
	contentType = "application/octet-stream"
	// nonceName is the object's metadata that tells one attempt at storing it from all others.
	nonceName = "lifeboat-nonce"
)

// Put sends an object of known size up to 16 MiB, or one that turns out not larger than 8 MiB, as a whole, and all others
// in parts; see storage.Bucket. Each request is repeated with the patience of Options.Retry, also for a body that cannot
// be read twice. The store verifies checksums of what it gets.
func (b *Bucket) Put(ctx context.Context, key string, body io.Reader, opts storage.PutOptions) error {
	if err := checked(key); err != nil {
		return b.failed(ctx, "put", key, err)
	}
	w := &write{bucket: b, key: key, ifAbsent: opts.IfAbsent, nonce: newNonce()}
	return b.failed(ctx, "put", key, w.put(ctx, &source{body: body, size: opts.Size}))
}

// write is one object on its way.
type write struct {
	bucket   *Bucket
	key      string
	ifAbsent bool
	nonce    string
	unsure   bool // an attempt to publish it may have done so
}

func (w *write) put(ctx context.Context, src *source) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	first := w.bucket.firstPiece(src.size)
	defer w.bucket.giveBack(first)
	piece, err := src.fill(ctx, first.bytes)
	if err != nil {
		return err
	}
	if !src.last() {
		return w.putParts(ctx, src, first, piece)
	}
	return w.putWhole(ctx, piece)
}

func (w *write) putWhole(ctx context.Context, content []byte) error {
	b := w.bucket
	in := awss3.PutObjectInput{
		Bucket: b.name(), Key: b.full(w.key), IfNoneMatch: w.condition(), Metadata: w.metadata(), ContentType: aws.String(contentType),
		ContentLength: aws.Int64(int64(len(content))), StorageClass: types.StorageClass(b.opts.StorageClass),
		ServerSideEncryption: types.ServerSideEncryption(b.opts.ServerSideEncryption), SSEKMSKeyId: set(b.opts.KMSKeyID),
	}
	if b.plain {
		in.ContentMD5 = contentMD5(content)
	} else {
		in.ChecksumCRC64NVME = encodeSum(checksum(content))
	}
	return w.publish(ctx, func(attempt context.Context) error {
		send := in
		send.Body = newTold(content, attempt, ctx)
		_, err := b.client.PutObject(attempt, &send)
		return err
	})
}

func (w *write) metadata() map[string]string { return map[string]string{nonceName: w.nonce} }

// condition is If-None-Match, for a conditional write to a store that knows it.
func (w *write) condition() *string {
	if w.ifAbsent && !w.bucket.opts.EmulateConditional {
		return aws.String("*")
	}
	return nil
}

func set(text string) *string {
	if text == "" {
		return nil
	}
	return &text
}

// publish makes the object appear with the request that is attempt, which is repeated until its outcome is known.
func (w *write) publish(ctx context.Context, attempt func(context.Context) error) error {
	return w.bucket.repeat(ctx, w.key, func(ctx context.Context) error {
		if w.ifAbsent && w.bucket.opts.EmulateConditional {
			if own, err := w.occupied(ctx); own || err != nil {
				return err
			}
		}
		err := w.bucket.explain(ctx, attempt(ctx))
		if w.unsure && (errors.Is(err, storage.ErrExists) || errors.Is(err, errNoUpload)) {
			return w.recognise(ctx, err)
		}
		w.unsure = w.unsure || err != nil && !definite(err)
		return err
	})
}

// repeat is retry.Do for one request of a Put.
func (b *Bucket) repeat(ctx context.Context, key string, attempt func(context.Context) error) error {
	return retry.Do(ctx, b.opts.Retry, b.location, "put", key, attempt)
}

// definite reports whether an attempt that failed with err has certainly stored nothing.
func definite(err error) bool {
	return errors.Is(err, storage.ErrExists) || !errors.Is(err, context.Canceled) && !storage.Transient(err)
}

// occupied looks what is at the key: nothing is no error, this very object is own, and any other one is ErrExists.
func (w *write) occupied(ctx context.Context) (own bool, err error) {
	out, err := w.bucket.head(ctx, w.key)
	if err = w.bucket.explain(ctx, err); err != nil {
		if errors.Is(err, storage.ErrNotFound) {
			return false, nil
		}
		return false, err
	}
	for name, value := range out.Metadata {
		if strings.EqualFold(name, nonceName) && value == w.nonce {
			return true, nil
		}
	}
	return false, storage.ErrExists
}

// recognise tells whether it was an earlier attempt at this very object that is in the way of this one.
func (w *write) recognise(ctx context.Context, answer error) error {
	own, err := w.occupied(ctx)
	switch {
	case own:
		return nil
	case err != nil && !errors.Is(err, storage.ErrExists):
		return err
	case err == nil && errors.Is(answer, storage.ErrExists):
		return fmt.Errorf("what was in the way is gone: %w", storage.ErrUnavailable)
	}
	return answer
}

// told is a piece of an object as the body of a request: who waits is told whenever some of it is sent.
type told struct {
	content  *bytes.Reader
	contexts []context.Context
}

func newTold(content []byte, contexts ...context.Context) *told {
	return &told{bytes.NewReader(content), contexts}
}

func (r *told) Read(p []byte) (int, error) {
	for _, ctx := range r.contexts {
		storage.Progress(ctx)
	}
	return r.content.Read(p)
}

func (r *told) Seek(offset int64, whence int) (int64, error) { return r.content.Seek(offset, whence) }

// newNonce gives a text that no other attempt has.
func newNonce() string { return rand.Text() }
