package s3

import (
	"context"
	"errors"

	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"

	"lifeboat/storage"
)

// Delete removes the object; see storage.Bucket. In a bucket with versions the older ones stay.
func (b *Bucket) Delete(ctx context.Context, key string) error {
	if err := checked(key); err != nil {
		return b.failed(ctx, "delete", key, err)
	}
	_, err := b.client.DeleteObject(ctx, &awss3.DeleteObjectInput{Bucket: b.name(), Key: b.full(key)})
	if err = b.failed(ctx, "delete", key, err); errors.Is(err, storage.ErrNotFound) {
		return nil
	}
	return err
}
