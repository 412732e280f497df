package sign

import (
	"bytes"
	"errors"
	"fmt"

	"aead.dev/minisign"
)

var (
	// ErrInvalid says that the signature is none, or not one of this message.
	ErrInvalid = errors.New("invalid signature")
	// ErrUntrusted says that the signature is of a key that is not among the trusted ones.
	ErrUntrusted = errors.New("signed with a key that is not trusted")
)

// Verify checks a .minisig file against message, and returns its trusted comment. It gives no error only where the
// signature is whole, of the hashed kind, and made by one of keys; [ErrInvalid] or [ErrUntrusted] otherwise. A changed
// byte anywhere but in the text of the untrusted comment is an error.
func Verify(keys []PublicKey, message, signature []byte) (comment string, err error) {
	s, err := parse(signature)
	if err != nil {
		return "", err
	}
	known := false
	for _, key := range keys {
		if key.key.ID() != s.KeyID {
			continue
		}
		if minisign.Verify(key.key, message, signature) {
			return s.TrustedComment, nil
		}
		known = true
	}
	if known {
		return "", fmt.Errorf("%w: it is not one of these bytes", ErrInvalid)
	}
	return "", fmt.Errorf("%w: key %s", ErrUntrusted, keyID(s.KeyID))
}

// KeyID is the number of the key that a .minisig file says it was made with, as PublicKey.ID has it. It proves nothing.
func KeyID(signature []byte) (string, error) {
	s, err := parse(signature)
	return keyID(s.KeyID), err
}

// parse reads a .minisig file. It takes the one spelling of it alone that minisign writes, as base64 has several.
func parse(signature []byte) (minisign.Signature, error) {
	var s minisign.Signature
	if err := s.UnmarshalText(signature); err != nil {
		return s, fmt.Errorf("%w: it is not in the format of minisign", ErrInvalid)
	}
	switch spelled, err := s.MarshalText(); {
	case err != nil || !bytes.Equal(spelled, signature):
		return s, fmt.Errorf("%w: it is not as minisign writes it", ErrInvalid)
	case s.Algorithm != minisign.HashEdDSA:
		return s, fmt.Errorf("%w: it is of the old kind, which does not hash the message first", ErrInvalid)
	}
	return s, nil
}
