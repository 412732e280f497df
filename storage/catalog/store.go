package catalog

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"

	"lifeboat/storage"
	"lifeboat/storage/catalog/seal"
)

// store is where the objects of a repository lie, and the keys that they are written and read with. All of them are
// written and read through it.
type store struct {
	bucket storage.Bucket
	keys   Keys
	sealed bool         // nothing may be stored in plain
	source *seal.Source // of the plain bytes of sealed objects
}

func newStore(b storage.Bucket, keys Keys, sealed bool) *store {
	b = witnessed{b}
	return &store{bucket: b, keys: keys, sealed: sealed, source: seal.NewSource(b, keys.Identities)}
}

// put stores an object. Nothing else in this package does.
func (s *store) put(ctx context.Context, key string, body io.Reader, opts storage.PutOptions) error {
	if s.sealed && !s.seals() {
		return ErrNoRecipients
	}
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

// putSigned is putDocument for the line of a document that is signed. Two sealed documents with the same content differ
// in their bytes: same says whether the stored one has the content at hand.
func (s *store) putSigned(ctx context.Context, key string, line []byte, same func(stored []byte) bool) error {
	if err := s.putSignature(ctx, key, line); err != nil {
		return err
	}
	return s.putSame(ctx, key, line, same)
}

// claimBytes is claimDocument for any object of known content.
func (s *store) claimBytes(ctx context.Context, key string, content []byte) error {
	return s.putWhole(ctx, key, content, storage.PutOptions{IfAbsent: true, Size: int64(len(content))})
}

// replaceBytes stores an object in the place of another one.
func (s *store) replaceBytes(ctx context.Context, key string, content []byte) error {
	return s.putWhole(ctx, key, content, storage.PutOptions{Size: int64(len(content))})
}

func (s *store) putWhole(ctx context.Context, key string, content []byte, opts storage.PutOptions) error {
	if err := s.put(ctx, key, bytes.NewReader(content), opts); err != nil {
		return fmt.Errorf("store %s: %w", key, err)
	}
	return nil
}

// putBytes is putDocument for any object of known content.
func (s *store) putBytes(ctx context.Context, key string, content []byte) error {
	return s.putSame(ctx, key, content, func([]byte) bool { return false })
}

// putSame is putBytes where other bytes can be as good: same says so.
func (s *store) putSame(ctx context.Context, key string, content []byte, same func(stored []byte) bool) error {
	err := s.claimBytes(ctx, key, content)
	if !errors.Is(err, storage.ErrExists) {
		return err
	}
	stored, readErr := s.getBytes(ctx, key)
	if readErr != nil {
		return fmt.Errorf("compare with what is stored: %w", readErr)
	}
	if bytes.Equal(stored, content) || same(stored) {
		return nil
	}
	return err
}

// getDocument reads one document. storage.ErrNotFound where it is absent, *DamagedError, *VersionError.
func (s *store) getDocument(ctx context.Context, key, kind string, body any) error {
	raw, err := s.getBytes(ctx, key)
	if err != nil {
		return err
	}
	return decodeDocument(key, kind, raw, body)
}

// getSigned reads the line of a document that is signed. Where signatures are asked for and this has none that holds,
// the error is an *UnsignedError; damage of the line itself is told first.
func (s *store) getSigned(ctx context.Context, key, kind string) ([]byte, error) {
	raw, err := s.getBytes(ctx, key)
	if err != nil {
		return nil, err
	}
	if _, err := openEnvelope(key, kind, raw); err != nil {
		return nil, err
	}
	return raw, s.checkSignature(ctx, key, raw)
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

// openStored opens length bytes of an object that another one stands for, as they are stored. That it is absent or ends
// before is a *DamagedError.
func (s *store) openStored(ctx context.Context, key string, offset, length int64) (io.ReadCloser, error) {
	r, err := s.bucket.Get(ctx, key, offset, length)
	return r, missing(key, offset, length, err)
}

// openPlain is openStored for the plain bytes of a sealed object. Besides, the errors are those of isLocked, and damage
// that is found later is a *DamagedError of the reader.
func (s *store) openPlain(ctx context.Context, key string, offset, length int64) (io.ReadCloser, error) {
	r, err := s.source.Get(ctx, key, offset, length)
	if err != nil {
		return nil, missing(key, offset, length, unsealError(key, err))
	}
	return &plainReader{ReadCloser: r, key: key}, nil
}

// missing explains why an object that another one stands for could not be opened.
func missing(key string, offset, length int64, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, storage.ErrNotFound):
		return damaged(key, "is missing")
	case errors.Is(err, storage.ErrRange):
		return damaged(key, "is shorter than it was: no %d bytes at %d", length, offset)
	}
	return fmt.Errorf("read %s: %w", key, err)
}

// plainReader makes damage that it meets a *DamagedError.
type plainReader struct {
	io.ReadCloser
	key string
}

func (r *plainReader) Read(p []byte) (int, error) {
	n, err := r.ReadCloser.Read(p)
	if err != nil {
		err = unsealError(r.key, err)
	}
	return n, err
}
