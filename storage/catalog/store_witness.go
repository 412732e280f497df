package catalog

import (
	"context"
	"errors"
	"io"

	"lifeboat/storage"
)

// witnessed is a bucket whose word is taken for it that an object is damaged: one whose bytes do not match the store's own
// checksum needs no further proof.
type witnessed struct{ storage.Bucket }

func (w witnessed) Get(ctx context.Context, key string, offset, length int64) (io.ReadCloser, error) {
	body, err := w.Bucket.Get(ctx, key, offset, length)
	if err != nil {
		return nil, witness(key, err)
	}
	return &witnessedBody{ReadCloser: body, key: key}, nil
}

type witnessedBody struct {
	io.ReadCloser
	key string
}

func (b *witnessedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	return n, witness(b.key, err)
}

func witness(key string, err error) error {
	if errors.Is(err, storage.ErrDamaged) {
		return &DamagedError{Key: key, Detail: "stored bytes", Err: err}
	}
	return err
}
