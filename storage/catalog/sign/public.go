package sign

import (
	"errors"
	"fmt"
	"strings"

	"aead.dev/minisign"
)

// PublicKey checks signatures. Two keys that are the same have the same String.
type PublicKey struct{ key minisign.PublicKey }

// ParsePublicKey takes a public key in minisign's notation: the line of base64 that starts with RW, or the whole of a .pub
// file. The error never repeats what might be a secret.
func ParsePublicKey(text string) (PublicKey, error) {
	line := keyLine(text)
	var key minisign.PublicKey
	switch err := key.UnmarshalText([]byte(line)); {
	case err == nil:
		return PublicKey{key}, nil
	case line == "":
		return PublicKey{}, errors.New("there is no public key in it")
	case len(line) == secretLineLength:
		return PublicKey{}, errors.New("this is a secret key: its public key is needed here, and a secret one never belongs here")
	}
	return PublicKey{}, errors.New("not a public key of minisign: those are a line of 56 characters that starts with RW")
}

// keyLine finds the line that holds the key.
func keyLine(text string) string {
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, commentPrefix) {
			return line
		}
	}
	return ""
}

const (
	commentPrefix    = "untrusted comment:"
	secretLineLength = 212 // base64 of 158 bytes
)

// String is the key as one line of base64.
func (p PublicKey) String() string { return p.key.String() }

// ID is the key's number as minisign shows it, in hexadecimal. It is not unique: whoever makes a key chooses it.
func (p PublicKey) ID() string { return keyID(p.key.ID()) }

func keyID(id uint64) string { return fmt.Sprintf("%016X", id) }
