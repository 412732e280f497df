package seal

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strings"

	"filippo.io/age"
	"filippo.io/age/plugin"
)

// Identities are the secret keys that open sealed objects, each of them what was sealed for its recipient. The nil
// *Identities holds none.
//
// They are safe for concurrent use, and show no secret however they are printed.
type Identities struct {
	keys       []age.Identity
	recipients []string
}

// maxIdentityFile is far more than any number of identities that makes sense.
const maxIdentityFile = 1 << 20

// ParseIdentities reads secret keys in age's notation, one a line: AGE-SECRET-KEY-1… (X25519), AGE-SECRET-KEY-PQ-1…
// (post-quantum hybrid) and AGE-PLUGIN-NAME-1… (served by the program age-plugin-NAME on the PATH, without a terminal).
// Blank lines and lines that start with # are passed over.
//
// The error names the bad line by its number and never repeats any of it.
func ParseIdentities(r io.Reader) (*Identities, error) {
	i := &Identities{}
	lines := bufio.NewScanner(io.LimitReader(r, maxIdentityFile))
	for number := 1; lines.Scan(); number++ {
		line := strings.TrimSpace(strings.TrimPrefix(lines.Text(), "\ufeff"))
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		if err := i.add(line); err != nil {
			return nil, fmt.Errorf("line %d: %w", number, err)
		}
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("read identities: %w", err)
	}
	if len(i.keys) == 0 {
		return nil, errors.New("there is no identity in it")
	}
	return i, nil
}

func (i *Identities) add(line string) error {
	key, recipient, err := parseIdentity(line)
	if err != nil {
		return err
	}
	i.keys = append(i.keys, key)
	if recipient != "" {
		i.recipients = append(i.recipients, recipient)
	}
	return nil
}

func parseIdentity(line string) (age.Identity, string, error) {
	switch {
	case strings.HasPrefix(line, "AGE-SECRET-KEY-PQ-1"):
		if key, err := age.ParseHybridIdentity(line); err == nil {
			return key, key.Recipient().String(), nil
		}
		return nil, "", errTypo
	case strings.HasPrefix(line, "AGE-SECRET-KEY-1"):
		if key, err := age.ParseX25519Identity(line); err == nil {
			return key, key.Recipient().String(), nil
		}
		return nil, "", errTypo
	case strings.HasPrefix(line, "AGE-PLUGIN-"):
		if key, err := plugin.NewIdentity(line, &plugin.ClientUI{}); err == nil {
			return pluginIdentity{key}, "", nil
		}
		return nil, "", errTypo
	}
	return nil, "", notAnIdentity(line)
}

var errTypo = errors.New("not a valid identity: a character is wrong, missing or too many")

// notAnIdentity says what a line is that starts like no identity, without repeating it.
func notAnIdentity(line string) error {
	switch {
	case strings.HasPrefix(line, "age1"):
		return errors.New("this is a recipient, which is a public key: the identity (AGE-SECRET-KEY-…) is needed here")
	case strings.HasPrefix(line, "-----BEGIN AGE ENCRYPTED FILE-----"), strings.HasPrefix(line, "age-encryption.org/"):
		return errors.New("the identity is protected by a passphrase, which nobody can type here: " +
			"open it with 'age -d' and keep the result readable for its owner only")
	case strings.HasPrefix(line, "-----BEGIN "):
		return errors.New("SSH and PEM keys are not taken: make a key with 'lifeboat key generate' or age-keygen")
	}
	return errors.New("not an identity: those of age start with AGE-SECRET-KEY- or AGE-PLUGIN-")
}

// Recipients returns the public keys that belong to the identities. Those of plugins cannot be known and are left out.
func (i *Identities) Recipients() []string {
	if i == nil {
		return nil
	}
	return append([]string(nil), i.recipients...)
}

// String names the public keys, so that no secret is ever printed.
func (i *Identities) String() string { return "identities of " + strings.Join(i.Recipients(), ", ") }

// Generate makes a new key pair in age's notation: an X25519 one, or with postQuantum the hybrid of ML-KEM-768 and X25519.
func Generate(postQuantum bool) (identity, recipient string, err error) {
	if postQuantum {
		key, err := age.GenerateHybridIdentity()
		if err != nil {
			return "", "", fmt.Errorf("generate identity: %w", err)
		}
		return key.String(), key.Recipient().String(), nil
	}
	key, err := age.GenerateX25519Identity()
	if err != nil {
		return "", "", fmt.Errorf("generate identity: %w", err)
	}
	return key.String(), key.Recipient().String(), nil
}

// pluginIdentity marks errors of a plugin: that it cannot be run says nothing about the object.
type pluginIdentity struct{ key *plugin.Identity }

func (p pluginIdentity) Unwrap(stanzas []*age.Stanza) ([]byte, error) {
	key, err := p.key.Unwrap(stanzas)
	if err != nil && !errors.Is(err, age.ErrIncorrectIdentity) {
		return nil, &pluginError{name: p.key.Name(), err: err}
	}
	return key, err
}

type pluginError struct {
	name string
	err  error
}

func (e *pluginError) Error() string {
	return "open with age-plugin-" + e.name + ": " + excerpt(e.err.Error())
}
func (e *pluginError) Unwrap() error { return e.err }
