package seal

import (
	"bytes"
	"errors"
	"io"
	"strings"

	"filippo.io/age"
)

// intro is how every version of age's format starts, so that a file of a later one is not taken for a plain object.
const intro = "age-encryption.org/"

// prefixLength is how many bytes [Sealed] needs.
const prefixLength = len(intro)

// Sealed reports whether prefix, the first 19 bytes of an object or more, starts like an age file. No plain object of
// the repository does.
func Sealed(prefix []byte) bool {
	return strings.HasPrefix(string(prefix[:min(len(prefix), prefixLength)]), intro)
}

// Open returns the plain bytes of a sealed object: [ErrNoIdentity], a [*WrongIdentityError], [ErrDamaged] or an error of
// a plugin otherwise.
func (i *Identities) Open(sealed []byte) ([]byte, error) {
	r, err := i.Reader(bytes.NewReader(sealed))
	if err != nil {
		return nil, err
	}
	plain := bytes.NewBuffer(make([]byte, 0, len(sealed)+bytes.MinRead))
	if _, err := plain.ReadFrom(r); err != nil {
		return nil, err
	}
	return plain.Bytes(), nil
}

// Reader opens a sealed object as it is read, 64 KiB at a time. Bytes that it gives are those that were sealed; that they
// are all of them is shown by io.EOF alone. Errors are those of [Identities.Open] and those of sealed.
func (i *Identities) Reader(sealed io.Reader) (io.Reader, error) {
	if i == nil {
		return nil, ErrNoIdentity
	}
	from := &watched{from: sealed}
	plain, err := age.Decrypt(from, i.keys...)
	if err != nil {
		return nil, explain(err, from.err, i)
	}
	return &opened{plain: plain, from: from, identities: i}, nil
}

// opened gives plain bytes and explains errors.
type opened struct {
	plain      io.Reader
	from       *watched
	identities *Identities
}

func (o *opened) Read(p []byte) (int, error) {
	n, err := o.plain.Read(p)
	if err == nil || errors.Is(err, io.EOF) {
		return n, err
	}
	return n, explain(err, o.from.err, o.identities)
}
