package catalog

import (
	"context"
	"errors"
	"fmt"

	"lifeboat/storage"
	"lifeboat/storage/catalog/sign"
)

// signatureSuffix ends the key of the signature of the document whose key is before it.
const signatureSuffix = ".minisig"

// UnsignedError says that a document has no signature that a trusted key vouches for. Such a document is not used.
type UnsignedError struct {
	Key string // of the document
	Err error  // why: storage.ErrNotFound for no signature at all, else what is wrong with it
}

func (e *UnsignedError) Error() string {
	if errors.Is(e.Err, storage.ErrNotFound) {
		return fmt.Sprintf("document %s is not signed", e.Key)
	}
	return fmt.Sprintf("document %s is not signed by a trusted key: %v", e.Key, e.Err)
}

func (e *UnsignedError) Unwrap() error { return e.Err }

// checkSignature proves that a trusted key has signed the document for its key, if signatures are asked for: else the
// error is an *UnsignedError.
func (s *store) checkSignature(ctx context.Context, key string, document []byte) error {
	if len(s.keys.Trusted) == 0 {
		return nil
	}
	signature, err := s.getBytes(ctx, key+signatureSuffix)
	if errors.Is(err, storage.ErrNotFound) {
		return &UnsignedError{Key: key, Err: storage.ErrNotFound}
	}
	if err != nil {
		return err
	}
	comment, err := sign.Verify(s.keys.Trusted, document, signature)
	if err == nil && comment != key {
		err = fmt.Errorf("it is the signature of %q", comment)
	}
	if err != nil {
		return &UnsignedError{Key: key, Err: err}
	}
	return nil
}

// putSignature stores the signature of a document that is about to be stored, if there is a key to sign with. Where the
// signature of an attempt is left whose document never came, it takes its place: that is the only object which is ever
// replaced.
func (s *store) putSignature(ctx context.Context, key string, document []byte) error {
	if s.keys.Signer == nil {
		return nil
	}
	signature := s.keys.Signer.Sign(document, key)
	err := s.putBytes(ctx, key+signatureSuffix, signature)
	if !errors.Is(err, storage.ErrExists) {
		return err
	}
	_, err = s.bucket.Stat(ctx, key)
	if !errors.Is(err, storage.ErrNotFound) {
		return err // nil: the document is there and will be compared
	}
	return s.replaceBytes(ctx, key+signatureSuffix, signature)
}
