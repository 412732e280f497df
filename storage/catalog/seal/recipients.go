package seal

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"filippo.io/age"
	"filippo.io/age/plugin"
)

// maxRecipients keeps headers small: age itself refuses to read one over 2 MiB.
const maxRecipients = 64

// Recipients are the public keys that objects are sealed for. Each of them opens everything that is sealed.
//
// They are safe for concurrent use.
type Recipients struct {
	keys  []age.Recipient
	names []string
}

// ParseRecipients takes public keys in age's notation: age1… (X25519), age1pq1… (post-quantum hybrid) and those of
// plugins (age1NAME1…, which the program age-plugin-NAME on the PATH serves, without a terminal). Blank lines and lines
// that start with # are passed over. Post-quantum keys cannot be mixed with others, as the weakest one would decide.
//
// The error names the bad recipient by its position, counted from 1, and never repeats what might be a secret.
func ParseRecipients(lines []string) (*Recipients, error) {
	r := &Recipients{}
	for i, line := range lines {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		if err := r.add(line); err != nil {
			return nil, fmt.Errorf("recipient %d: %w", i+1, err)
		}
	}
	switch {
	case len(r.keys) == 0:
		return nil, errors.New("no recipient is named")
	case len(r.keys) > maxRecipients:
		return nil, fmt.Errorf("%d recipients are named, and %d are the most that an object is sealed for", len(r.keys), maxRecipients)
	}
	return r, nil
}

func (r *Recipients) add(line string) error {
	if slices.Contains(r.names, line) {
		return fmt.Errorf("%s is named twice", line)
	}
	key, err := parseRecipient(line)
	if err != nil {
		return err
	}
	if len(r.keys) > 0 && native(key) && native(r.keys[0]) && postQuantum(key) != postQuantum(r.keys[0]) {
		return errors.New("post-quantum recipients (age1pq1…) cannot be mixed with others: name only such, or none")
	}
	r.keys, r.names = append(r.keys, key), append(r.names, line)
	return nil
}

func parseRecipient(line string) (age.Recipient, error) {
	folded := strings.ToLower(line)
	switch {
	case strings.HasPrefix(folded, "age-secret-key-"), strings.HasPrefix(folded, "age-plugin-"):
		return nil, errors.New("this is an identity, which is a secret: name its public key (age1…), and never store identities here")
	case strings.HasPrefix(line, "ssh-"):
		return nil, errors.New("SSH keys are not taken: make a key with 'lifeboat key generate' or age-keygen")
	case strings.HasPrefix(line, "age1pq1"):
		return tried(age.ParseHybridRecipient(line))
	case strings.HasPrefix(line, "age1") && strings.Count(line, "1") > 1:
		return pluginRecipient(line)
	case strings.HasPrefix(line, "age1"):
		return tried(age.ParseX25519Recipient(line))
	}
	return nil, errors.New("not a recipient: those of age start with age1")
}

// tried wraps a key for a recipient that was just parsed, since some public keys show only then that they are none.
func tried[R age.Recipient](recipient R, err error) (age.Recipient, error) {
	if err == nil {
		_, err = recipient.Wrap(make([]byte, 16))
	}
	if err != nil {
		return nil, errors.New("not a valid recipient: a character is wrong, missing or too many")
	}
	return recipient, nil
}

func pluginRecipient(line string) (age.Recipient, error) {
	recipient, err := plugin.NewRecipient(line, &plugin.ClientUI{})
	if err != nil {
		return nil, errors.New("not a valid recipient: a character is wrong, missing or too many")
	}
	return recipient, nil
}

// native reports whether this package itself knows what kind of key it is.
func native(key age.Recipient) bool {
	_, x25519 := key.(*age.X25519Recipient)
	return x25519 || postQuantum(key)
}

func postQuantum(key age.Recipient) bool {
	_, ok := key.(*age.HybridRecipient)
	return ok
}

// Strings returns the public keys, as they were given and in that order.
func (r *Recipients) Strings() []string { return slices.Clone(r.names) }

// Seal returns the age file of plain.
func (r *Recipients) Seal(plain []byte) ([]byte, error) {
	var sealed bytes.Buffer
	w, err := age.Encrypt(&sealed, r.keys...)
	if err != nil {
		return nil, fmt.Errorf("seal: %w", err)
	}
	if _, err := w.Write(plain); err != nil {
		return nil, fmt.Errorf("seal: %w", err)
	}
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("seal: %w", err)
	}
	return sealed.Bytes(), nil
}

// Reader returns the age file of what plain gives, sealed as it is read and 64 KiB at a time. An error of plain is
// returned as it is.
func (r *Recipients) Reader(plain io.Reader) (io.Reader, error) {
	sealed, err := age.EncryptReader(plain, r.keys...)
	if err != nil {
		return nil, fmt.Errorf("seal: %w", err)
	}
	return sealed, nil
}
