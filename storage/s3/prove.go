package s3

import (
	"context"

	"lifeboat/storage"
)

var _ storage.PartsPutter = (*Bucket)(nil)

// PutParts stores a small object as Put does a large one that is conditional: some stores keep the condition of the one
// kind and not of the other.
func (b *Bucket) PutParts(ctx context.Context, key string, content []byte) error {
	if err := checked(key); err != nil {
		return b.failed(ctx, "put", key, err)
	}
	u := &upload{write: &write{bucket: b, key: key, ifAbsent: true, nonce: newNonce()}}
	return b.failed(ctx, "put", key, u.all(ctx, content))
}

func (u *upload) all(ctx context.Context, content []byte) error {
	if err := u.create(ctx); err != nil {
		return err
	}
	err := u.sendPart(ctx, ctx, 1, content, u.add(content))
	if err == nil {
		err = u.complete(ctx)
	}
	if err != nil {
		u.abort(ctx)
	}
	return err
}
