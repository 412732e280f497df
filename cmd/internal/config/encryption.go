package config

import (
	"errors"
	"strings"

	"lifeboat/storage/catalog/seal"
	"lifeboat/storage/catalog/sign"
)

// Encryption names the age recipients that objects are sealed for, and the file of the identities that open them. Only
// what reads backups needs the file: it has no place on a server that only writes them.
type Encryption struct {
	Recipients   []Text `yaml:"recipients"`
	IdentityFile Text   `yaml:"identity_file"`

	parsed *seal.Recipients
}

// Signing names the minisign key that documents are signed with, and those whose signatures are trusted.
type Signing struct {
	KeyFile    Text   `yaml:"key_file"`
	PublicKeys []Text `yaml:"public_keys"`

	trusted []sign.PublicKey
}

// Recipients are those that objects are sealed for; nil where the repository is not encrypted.
func (r *Repository) Recipients() *seal.Recipients {
	if r.Encryption == nil {
		return nil
	}
	return r.Encryption.parsed
}

// IdentityFile is the absolute path of the identities, or empty.
func (r *Repository) IdentityFile() string {
	if r.Encryption == nil {
		return ""
	}
	return r.Encryption.IdentityFile.Value
}

// SigningKeyFile is the absolute path of the key that documents are signed with, or empty.
func (r *Repository) SigningKeyFile() string {
	if r.Signing == nil {
		return ""
	}
	return r.Signing.KeyFile.Value
}

// Trusted are the keys whose signatures are asked for; none where signatures are not.
func (r *Repository) Trusted() []sign.PublicKey {
	if r.Signing == nil {
		return nil
	}
	return r.Signing.trusted
}

func (r *Repository) checkEncryption() error {
	e := r.Encryption
	if e == nil {
		return nil
	}
	if len(e.Recipients) == 0 && e.IdentityFile.Value == "" {
		return &Error{Message: "repository.encryption names no recipients to seal for: add the one that 'lifeboat key generate' has printed, or remove it"}
	}
	if err := e.parseRecipients(); err != nil {
		return err
	}
	return checkFiles(file{"repository.encryption.identity_file", e.IdentityFile})
}

// parseRecipients tries each by itself first, so that a mistake is told with its place.
func (e *Encryption) parseRecipients() (err error) {
	lines := make([]string, 0, len(e.Recipients))
	for i, line := range e.Recipients {
		if _, err := seal.ParseRecipients([]string{line.Value}); err != nil {
			return mistake(line, "repository.encryption.recipients: number %d of %d%s", i+1, len(e.Recipients), wrongRecipient(line.Value, err))
		}
		lines = append(lines, line.Value)
	}
	if len(lines) == 0 {
		return nil
	}
	if e.parsed, err = seal.ParseRecipients(lines); err != nil {
		return mistake(e.Recipients[0], "repository.encryption.recipients: %v", err)
	}
	return nil
}

// wrongRecipient says what is wrong with one. It shows as much as it takes to recognise it, and nothing of what may be a
// secret: all that can be wrong with what begins like a recipient is that it was not copied as it is.
func wrongRecipient(text string, err error) string {
	const shown = 12
	if !strings.HasPrefix(text, "age1") || len(text) < shown {
		return ": " + reasonOf(err)
	}
	return " (" + text[:shown] + "…): its checksum does not hold, so a character is wrong, missing or too many"
}

// reasonOf is what is wrong with a key, without its position in a list of one.
func reasonOf(err error) string {
	if inner := errors.Unwrap(err); inner != nil {
		err = inner
	}
	return err.Error()
}

func (r *Repository) checkSigning() error {
	s := r.Signing
	if s == nil {
		return nil
	}
	if s.KeyFile.Value == "" && len(s.PublicKeys) == 0 {
		return &Error{Message: "repository.signing names neither a key_file to sign with nor public_keys to trust: add what 'lifeboat key generate --signing' has printed, or remove it"}
	}
	for i, line := range s.PublicKeys {
		key, err := sign.ParsePublicKey(line.Value)
		if err != nil {
			return mistake(line, "repository.signing.public_keys: number %d of %d: %s", i+1, len(s.PublicKeys), reasonOf(err))
		}
		s.trusted = append(s.trusted, key)
	}
	return checkFiles(file{"repository.signing.key_file", s.KeyFile})
}
