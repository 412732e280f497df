package sign

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"aead.dev/minisign"
)

// Signer signs with a secret key. It is safe for concurrent use, and shows no secret however it is printed.
type Signer struct{ key *secretKey }

// secretKey is not printed with the Signer, as fmt does not follow pointers below the first level.
type secretKey struct{ minisign.PrivateKey }

// ReadSigner reads a secret key file of minisign that has no password, as "minisign -G -W" and [Generate] make it. The file
// is refused where anybody but its owner has any right to it.
func ReadSigner(path string) (*Signer, error) {
	file, err := os.Open(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("signing key file %s: there is no such file: %w", path, fs.ErrNotExist)
	case err != nil:
		return nil, fmt.Errorf("signing key file: %w", err)
	}
	defer file.Close()
	s, err := readSigner(file)
	if err != nil {
		return nil, fmt.Errorf("signing key file %s: %w", path, err)
	}
	return s, nil
}

func readSigner(file *os.File) (*Signer, error) {
	if err := private(file); err != nil {
		return nil, err
	}
	text, err := io.ReadAll(io.LimitReader(file, 64<<10))
	if err != nil {
		return nil, err
	}
	return parseSigner(text)
}

// private refuses a directory, and a file that others than its owner can read, change or run.
func private(file *os.File) error {
	info, err := file.Stat()
	switch {
	case err != nil:
		return err
	case info.IsDir():
		return errors.New("it is a directory")
	case info.Mode().Perm()&0o077 != 0:
		return fmt.Errorf("it can be read or changed by others (mode %04o): run 'chmod 600 %s'", info.Mode().Perm(), file.Name())
	}
	return nil
}

func parseSigner(text []byte) (*Signer, error) {
	line := keyLine(string(text))
	key := &secretKey{}
	switch err := key.UnmarshalText([]byte(line)); {
	case err == nil:
		return whole(&Signer{key})
	case line == "":
		return nil, errors.New("there is no key in it")
	case minisign.IsEncrypted([]byte(line)):
		return nil, errors.New("the key is protected by a password, which nobody can type here: " +
			"make one without, by 'lifeboat key generate' or 'minisign -G -W'")
	}
	if _, err := ParsePublicKey(line); err == nil {
		return nil, errors.New("this is a public key: the secret one is needed here")
	}
	return nil, errors.New("not a secret key of minisign")
}

// whole proves by a signature that both halves of the key belong together.
func whole(s *Signer) (*Signer, error) {
	probe := []byte("probe")
	if _, err := Verify([]PublicKey{s.Public()}, probe, s.Sign(probe, "")); err != nil {
		return nil, errors.New("the key is damaged: its two halves do not belong together")
	}
	return s, nil
}

// Sign returns the .minisig file for message with a trusted comment, which is one line: line breaks in it become spaces.
// The signature is of the hashed kind (minisign's default), and the same for the same input.
func (s *Signer) Sign(message []byte, trusted string) []byte {
	trusted = strings.NewReplacer("\r", " ", "\n", " ").Replace(trusted)
	r := minisign.NewReader(bytes.NewReader(message))
	_, _ = io.Copy(io.Discard, r) // it never fails
	return r.SignWithComments(s.key.PrivateKey, trusted, "signature of lifeboat, key "+keyID(s.key.ID()))
}

// Public is the key that checks the signatures.
func (s *Signer) Public() PublicKey {
	return PublicKey{s.key.Public().(minisign.PublicKey)}
}

// String names the public key, so that no secret is ever printed.
func (s *Signer) String() string { return "signer with the public key " + s.Public().String() }

// Generate makes a new key pair: the text of a secret key file without a password, and that of its public key file.
func Generate() (secretFile, publicFile []byte, err error) {
	public, key, err := minisign.GenerateKey(rand.Reader)
	if err != nil {
		return nil, nil, fmt.Errorf("generate signing key: %w", err)
	}
	secretFile, err = key.MarshalText()
	if err != nil {
		return nil, nil, fmt.Errorf("generate signing key: %w", err)
	}
	publicFile, err = public.MarshalText()
	if err != nil {
		return nil, nil, fmt.Errorf("generate signing key: %w", err)
	}
	return append(secretFile, '\n'), append(publicFile, '\n'), nil
}
