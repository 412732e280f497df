package s3

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/aws/aws-sdk-go-v2/aws"
	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"

	"lifeboat/storage"
)

// Stat asks for the object's head; see storage.Bucket.
func (b *Bucket) Stat(ctx context.Context, key string) (storage.Info, error) {
	if err := checked(key); err != nil {
		return storage.Info{}, b.failed(ctx, "stat", key, err)
	}
	info, err := b.stat(ctx, key)
	if err != nil {
		return storage.Info{}, b.failed(ctx, "stat", key, err)
	}
	return info, nil
}

func (b *Bucket) stat(ctx context.Context, key string) (storage.Info, error) {
	out, err := b.head(ctx, key)
	if err != nil {
		return storage.Info{}, err
	}
	info := storage.Info{Key: key, Size: aws.ToInt64(out.ContentLength)}
	if out.ContentLength == nil {
		return storage.Info{}, errors.New("the store does not tell the size of the object")
	}
	if out.LastModified != nil {
		info.ModTime = *out.LastModified
	}
	return info, nil
}

// head asks for what is known of the object. An answer to HEAD has no body, so one that refuses does not say why, and
// one of a proxy looks like one of the store: then the question is put again as a GET.
func (b *Bucket) head(ctx context.Context, key string) (*awss3.HeadObjectOutput, error) {
	out, err := b.client.HeadObject(ctx, &awss3.HeadObjectInput{Bucket: b.name(), Key: b.full(key)})
	var mute *refusal
	if errors.As(err, &mute) && (mute.status < http.StatusInternalServerError || mute.status == http.StatusNotImplemented) {
		return nil, b.reason(ctx, key)
	}
	return out, err
}

// reason is why there was no answer to HEAD.
func (b *Bucket) reason(ctx context.Context, key string) error {
	out, err := b.client.GetObject(ctx, &awss3.GetObjectInput{Bucket: b.name(), Key: b.full(key), Range: aws.String("bytes=0-0")})
	if err == nil {
		err = out.Body.Close()
	}
	err = b.explain(ctx, err)
	if err == nil || errors.Is(err, storage.ErrRange) {
		return fmt.Errorf("the store refuses the head of an object that it has: %w", storage.ErrUnavailable)
	}
	return err
}
