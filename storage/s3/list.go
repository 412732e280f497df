package s3

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"net/url"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"lifeboat/storage"
)

var (
	errDisorder = &trouble{
		text: "the store lists objects out of order, so nothing can be concluded from its listings",
		hint: "use a store, or a kind of bucket, that lists keys bytewise ascending, as S3's general purpose buckets do",
	}
	errPages = errors.New("the store's listing does not come to an end: a page says that there are more, and not how to get them")
)

// List asks page by page; see storage.Bucket. Objects whose names are no valid keys, such as the empty ones that
// consoles make for "directories", are left out.
func (b *Bucket) List(ctx context.Context, prefix string) iter.Seq2[storage.Info, error] {
	return func(yield func(storage.Info, error) bool) {
		l := listing{bucket: b, ctx: ctx, yield: yield}
		if err := l.run(prefix); err != nil {
			yield(storage.Info{}, b.failed(ctx, "list", prefix, err))
		}
	}
}

type listing struct {
	bucket *Bucket
	ctx    context.Context
	yield  func(storage.Info, error) bool
	last   string // the last name seen, in the store's form
	enough bool   // the caller has seen enough
}

func (l *listing) run(prefix string) error {
	if !storage.ValidPrefix(prefix) {
		return fmt.Errorf("%q: %w", prefix, storage.ErrKey)
	}
	var token *string
	for {
		out, err := l.bucket.client.ListObjectsV2(l.ctx, &awss3.ListObjectsV2Input{
			Bucket: l.bucket.name(), Prefix: l.bucket.full(prefix), ContinuationToken: token, EncodingType: types.EncodingTypeUrl,
		})
		if err != nil {
			return err
		}
		if err := l.page(out); err != nil || l.enough || !aws.ToBool(out.IsTruncated) {
			return err
		}
		next := out.NextContinuationToken
		if aws.ToString(next) == "" || aws.ToString(next) == aws.ToString(token) {
			return errPages
		}
		token = next
	}
}

func (l *listing) page(out *awss3.ListObjectsV2Output) error {
	if out.IsTruncated == nil {
		return errPages
	}
	for _, object := range out.Contents {
		if err := l.ctx.Err(); err != nil {
			return err
		}
		name, err := decoded(aws.ToString(object.Key), out.EncodingType)
		if err != nil {
			return err
		}
		if err := l.object(name, object); err != nil || l.enough {
			return err
		}
	}
	return nil
}

func (l *listing) object(name string, object types.Object) error {
	if name <= l.last {
		return errDisorder
	}
	l.last = name
	key, ok := strings.CutPrefix(name, l.bucket.prefix)
	if !ok {
		return fmt.Errorf("the store lists %q, which was not asked for", legible(name))
	}
	if object.Size == nil {
		return fmt.Errorf("the store does not tell the size of %q", legible(name))
	}
	if storage.ValidKey(key) {
		l.enough = !l.yield(storage.Info{Key: key, Size: *object.Size, ModTime: aws.ToTime(object.LastModified)}, nil)
	}
	return nil
}

// decoded is a name as it was before it was put into XML, which cannot hold every character.
func decoded(name string, encoding types.EncodingType) (string, error) {
	if encoding != types.EncodingTypeUrl {
		return name, nil
	}
	plain, err := url.QueryUnescape(name)
	if err != nil {
		return "", fmt.Errorf("the store lists the name %q, which cannot be decoded", legible(name))
	}
	return plain, nil
}
