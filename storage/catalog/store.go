package catalog

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"

	"lifeboat/storage"
)

// store is where the objects of a repository lie. All of them are written and read through it.
type store struct {
	bucket storage.Bucket
}

func newStore(b storage.Bucket) *store { return &store{bucket: b} }

// put stores an object. Nothing else in this package does.
func (s *store) put(ctx context.Context, key string, body io.Reader, opts storage.PutOptions) error {
	return s.bucket.Put(ctx, key, body, opts)
}

// claimDocument stores a new document durably. Of any number of competing calls one succeeds; the others get
// storage.ErrExists.
func (s *store) claimDocument(ctx context.Context, key, kind string, body any) error {
	line, err := encodeDocument(kind, body)
	if err != nil {
		return err
	}
	return s.claimBytes(ctx, key, line)
}

// putDocument stores a document durably, where no other one stands under the key: storage.ErrExists otherwise. The
// same document once more is no error, so that it may be called again after an attempt of unknown outcome.
func (s *store) putDocument(ctx context.Context, key, kind string, body any) error {
	line, err := encodeDocument(kind, body)
	if err != nil {
		return err
	}
	return s.putBytes(ctx, key, line)
}

// claimBytes is claimDocument for any object of known content.
func (s *store) claimBytes(ctx context.Context, key string, content []byte) error {
	err := s.put(ctx, key, bytes.NewReader(content), storage.PutOptions{IfAbsent: true, Size: int64(len(content))})
	if err != nil {
		return fmt.Errorf("store %s: %w", key, err)
	}
	return nil
}

// putBytes is putDocument for any object of known content.
func (s *store) putBytes(ctx context.Context, key string, content []byte) error {
	err := s.claimBytes(ctx, key, content)
	if !errors.Is(err, storage.ErrExists) {
		return err
	}
	stored, readErr := s.getBytes(ctx, key)
	if readErr != nil {
		return fmt.Errorf("compare with what is stored: %w", readErr)
	}
	if !bytes.Equal(stored, content) {
		return err
	}
	return nil
}

// getDocument reads one document. storage.ErrNotFound where it is absent, *DamagedError, *VersionError.
func (s *store) getDocument(ctx context.Context, key, kind string, body any) error {
	raw, err := s.getBytes(ctx, key)
	if err != nil {
		return err
	}
	return decodeDocument(key, kind, raw, body)
}

// getBytes reads a whole object that is no longer than a document may be, as it is stored.
func (s *store) getBytes(ctx context.Context, key string) ([]byte, error) {
	r, err := s.bucket.Get(ctx, key, 0, -1)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", key, err)
	}
	raw, err := io.ReadAll(io.LimitReader(r, maxDocument+1))
	if err := errors.Join(err, r.Close()); err != nil {
		return nil, fmt.Errorf("read %s: %w", key, err)
	}
	if len(raw) > maxDocument {
		return nil, damaged(key, "is longer than any document, %d bytes", maxDocument)
	}
	return raw, nil
}
