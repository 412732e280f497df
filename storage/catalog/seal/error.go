package seal

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"filippo.io/age"
)

// ErrNoIdentity says that an object is sealed and no identity is at hand to open it.
var ErrNoIdentity = errors.New("sealed, and no identity is configured to open it")

// ErrDamaged says that the bytes are not a whole and unchanged sealed object: something is flipped, missing, moved or added.
// Errors of the reader underneath, such as a cut connection, never are ErrDamaged and are returned as they came.
var ErrDamaged = errors.New("sealed object is damaged")

// ErrNoNote says that a sealed object carries no note.
var ErrNoNote = errors.New("sealed object carries no note")

// WrongIdentityError says that identities are at hand and that none of them opens the object. Damage to that part of the
// header that holds the wrapped key looks the same: a checksum of the stored bytes tells the two apart.
type WrongIdentityError struct {
	Stanzas    []string // the kinds of the recipients it is sealed for, such as "X25519"; age names no more than that
	Recipients []string // the public keys of the identities that were tried
}

func (e *WrongIdentityError) Error() string {
	return fmt.Sprintf("sealed for %s, and none of the identities at hand fits (%s)",
		strings.Join(e.Stanzas, ", "), strings.Join(e.Recipients, ", "))
}

// damaged is ErrDamaged with what was seen.
func damaged(why string) error { return fmt.Errorf("%w: %s", ErrDamaged, why) }

// watched keeps the error of a reader, so that it can be told from what age makes of the bytes.
type watched struct {
	from io.Reader
	err  error // what from failed with; its end is no failure
}

func (w *watched) Read(p []byte) (int, error) {
	n, err := w.from.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		w.err = err
	}
	return n, err
}

// explain turns an error of age into one of ours, where failed is the error of the reader underneath, if it had one. A
// body that was cut off looks like a short last chunk to age, therefore the reader's own error comes first.
func explain(err, failed error, identities *Identities) error {
	var nobody *age.NoIdentityMatchError
	var plugin *pluginError
	switch {
	case failed != nil:
		return failed
	case errors.As(err, &nobody):
		return &WrongIdentityError{Stanzas: withoutNote(nobody.StanzaTypes), Recipients: identities.Recipients()}
	case errors.As(err, &plugin):
		return err
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		return damaged("it is cut short")
	}
	return damaged(excerpt(err.Error()))
}

// withoutNote drops the stanzas that are for nobody.
func withoutNote(types []string) []string {
	var recipients []string
	for _, kind := range types {
		if kind != noteType {
			recipients = append(recipients, kind)
		}
	}
	return recipients
}

// excerpt bounds a message, as age quotes whole lines of what it cannot read.
func excerpt(message string) string {
	const limit = 160
	if len(message) <= limit {
		return message
	}
	return message[:limit] + "…"
}
