package sign_test

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"aead.dev/minisign"

	"lifeboat/storage/catalog/sign"
)

// signer makes a key pair, and reads the secret key from a file as an agent does.
func signer(t *testing.T) (s *sign.Signer, secret, public string) {
	t.Helper()
	secretFile, publicFile, err := sign.Generate()
	if err != nil {
		t.Fatal(err)
	}
	s, err = sign.ReadSigner(keyFile(t, secretFile, 0o600))
	if err != nil {
		t.Fatal(err)
	}
	return s, string(secretFile), string(publicFile)
}

func keyFile(t *testing.T, text []byte, mode fs.FileMode) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "signing.key")
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestSignatureGivesItsTrustedComment(t *testing.T) {
	t.Parallel()
	s, _, public := signer(t)
	other, _, _ := signer(t)
	parsed, err := sign.ParsePublicKey(public)
	if err != nil || parsed.String() != s.Public().String() {
		t.Fatalf("public key file reads as %v, %v", parsed, err)
	}
	line, err := sign.ParsePublicKey(" " + parsed.String() + "\r\n")
	if err != nil || line.String() != parsed.String() || line.ID() != parsed.ID() {
		t.Fatalf("public key line reads as %v, %v", line, err)
	}
	message := []byte(`{"kind":"record"}`)
	signature := s.Sign(message, "backups/1/record")
	comment, err := sign.Verify([]sign.PublicKey{other.Public(), line}, message, signature)
	if err != nil || comment != "backups/1/record" {
		t.Fatalf("verified as %q, %v", comment, err)
	}
}

func TestSigningTwiceGivesTheSame(t *testing.T) {
	t.Parallel()
	s, _, _ := signer(t)
	message := []byte("the same")
	if !bytes.Equal(s.Sign(message, "a"), s.Sign(message, "a")) {
		t.Fatal("two signatures of the same message differ")
	}
	if bytes.Equal(s.Sign(message, "a"), s.Sign(message, "b")) {
		t.Fatal("the trusted comment makes no difference")
	}
}

func TestCommentStaysOneLine(t *testing.T) {
	t.Parallel()
	s, _, _ := signer(t)
	comment, err := sign.Verify([]sign.PublicKey{s.Public()}, nil, s.Sign(nil, "a\nb\r\nc"))
	if err != nil || comment != "a b  c" {
		t.Fatalf("verified as %q, %v", comment, err)
	}
}

func TestChangedSignatureIsRefused(t *testing.T) {
	t.Parallel()
	s, _, _ := signer(t)
	keys := []sign.PublicKey{s.Public()}
	message := []byte("message")
	signature := s.Sign(message, "comment")
	first := bytes.IndexByte(signature, '\n') // what comes before is the comment that nobody vouches for
	for at := first; at < len(signature); at++ {
		for bit := range 8 {
			changed := bytes.Clone(signature)
			changed[at] ^= 1 << bit
			if _, err := sign.Verify(keys, message, changed); !refused(err) {
				t.Fatalf("bit %d of byte %d changed: %v\n%s", bit, at, err, changed)
			}
		}
	}
	for end := range len(signature) {
		if _, err := sign.Verify(keys, message, signature[:end]); !refused(err) {
			t.Fatalf("cut after %d bytes: %v", end, err)
		}
	}
}

func refused(err error) bool {
	return errors.Is(err, sign.ErrInvalid) || errors.Is(err, sign.ErrUntrusted)
}

func TestSignatureOfOtherIsRefused(t *testing.T) {
	t.Parallel()
	s, _, _ := signer(t)
	other, _, _ := signer(t)
	message := []byte("message")
	signature := s.Sign(message, "comment")
	for name, test := range map[string]struct {
		keys      []sign.PublicKey
		message   string
		signature []byte
		want      error
	}{
		"other message":      {[]sign.PublicKey{s.Public()}, "massage", signature, sign.ErrInvalid},
		"other key":          {[]sign.PublicKey{other.Public()}, "message", signature, sign.ErrUntrusted},
		"no key":             {nil, "message", signature, sign.ErrUntrusted},
		"empty":              {[]sign.PublicKey{s.Public()}, "message", nil, sign.ErrInvalid},
		"comment of another": {[]sign.PublicKey{s.Public()}, "message", mixed(signature, s.Sign(message, "other")), sign.ErrInvalid},
	} {
		if _, err := sign.Verify(test.keys, []byte(test.message), test.signature); !errors.Is(err, test.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// mixed has the signature of a and the trusted comment of b, each whole.
func mixed(a, b []byte) []byte {
	linesA, linesB := bytes.SplitAfter(a, []byte("\n")), bytes.SplitAfter(b, []byte("\n"))
	linesA[2] = linesB[2]
	return bytes.Join(linesA, nil)
}

func TestUnhashedSignatureIsRefused(t *testing.T) {
	t.Parallel()
	public, key, err := minisign.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	trusted, err := sign.ParsePublicKey(public.String())
	if err != nil {
		t.Fatal(err)
	}
	old := minisign.SignWithComments(key, []byte("message"), "trusted", "untrusted")
	if _, err := sign.Verify([]sign.PublicKey{trusted}, []byte("message"), old); !errors.Is(err, sign.ErrInvalid) {
		t.Fatalf("verified: %v", err)
	}
}

func TestUnfitKeyFilesAreRefused(t *testing.T) {
	t.Parallel()
	_, secret, public := signer(t)
	withPassword := encrypted(t)
	for name, test := range map[string]struct {
		text string
		mode fs.FileMode
		want string
	}{
		"readable by the group": {secret, 0o640, "chmod 600"},
		"readable by all":       {secret, 0o604, "chmod 600"},
		"empty":                 {"", 0o600, "no key"},
		"only a comment":        {"untrusted comment: nothing\n", 0o600, "no key"},
		"public key":            {public, 0o600, "this is a public key"},
		"with a password":       {withPassword, 0o600, "protected by a password"},
		"cut":                   {secret[:len(secret)-20], 0o600, "not a secret key"},
		"two halves":            {otherHalf(t, secret), 0o600, "two halves"},
		"something else":        {"password=hunter2\n", 0o600, "not a secret key"},
	} {
		_, err := sign.ReadSigner(keyFile(t, []byte(test.text), test.mode))
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v", name, err)
		}
		wantNoSecret(t, name, fmt.Sprint(err), test.text)
	}
	if _, err := sign.ReadSigner(filepath.Join(t.TempDir(), "absent")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("absent: %v", err)
	}
	if _, err := sign.ReadSigner(t.TempDir()); err == nil || !strings.Contains(err.Error(), "directory") {
		t.Errorf("directory: %v", err)
	}
}

func encrypted(t *testing.T) string {
	t.Helper()
	// A record whose key derivation is named as scrypt; what follows is of no matter.
	record := make([]byte, 158)
	copy(record, "EdScB2")
	return "untrusted comment: minisign encrypted secret key\n" + base64.StdEncoding.EncodeToString(record) + "\n"
}

// otherHalf changes a bit of the secret half.
func otherHalf(t *testing.T, secret string) string {
	t.Helper()
	comment, line, _ := strings.Cut(secret, "\n")
	record, err := base64.StdEncoding.DecodeString(line)
	if err != nil {
		t.Fatal(err)
	}
	record[70] ^= 1
	return comment + "\n" + base64.StdEncoding.EncodeToString(record) + "\n"
}

// wantNoSecret checks that no long piece of a file's lines is repeated.
func wantNoSecret(t *testing.T, name, shown, text string) {
	t.Helper()
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "untrusted") {
			continue
		}
		for at := 0; at+8 <= len(line); at++ {
			if strings.Contains(shown, line[at:at+8]) && !strings.Contains(line[at:at+8], "AAAA") {
				t.Errorf("%s: %q repeats %q", name, shown, line[at:at+8])
				return
			}
		}
	}
}

func TestSignerShowsNoSecret(t *testing.T) {
	t.Parallel()
	s, secret, _ := signer(t)
	_, line, _ := strings.Cut(strings.TrimSpace(secret), "\n")
	record, err := base64.StdEncoding.DecodeString(line)
	if err != nil {
		t.Fatal(err)
	}
	seed := record[62:94]
	shown := fmt.Sprintf("%v %+v %#v %s %v %#v", s, s, s, s, *s, struct{ S *sign.Signer }{s})
	for _, form := range []string{string(seed), fmt.Sprintf("%x", seed), fmt.Sprintf("%d", seed), line[90:]} {
		if strings.Contains(shown, form) {
			t.Fatalf("the secret key is shown: %s", shown)
		}
	}
}

func TestUnfitPublicKeysAreRefused(t *testing.T) {
	t.Parallel()
	s, secret, _ := signer(t)
	good := s.Public().String()
	for name, test := range map[string]struct{ text, want string }{
		"empty":      {" \n", "no public key"},
		"comment":    {"untrusted comment: minisign public key\n", "no public key"},
		"secret":     {secret, "this is a secret key"},
		"cut":        {good[:len(good)-4], "not a public key"},
		"too long":   {good + "AAAA", "not a public key"},
		"age's":      {"age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p", "not a public key"},
		"other kind": {"A" + good[1:], "not a public key"},
	} {
		_, err := sign.ParsePublicKey(test.text)
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v", name, err)
		}
		wantNoSecret(t, name, fmt.Sprint(err), test.text)
	}
}

func FuzzVerify(f *testing.F) {
	public, key, err := minisign.GenerateKey(nil)
	if err != nil {
		f.Fatal(err)
	}
	trusted, err := sign.ParsePublicKey(public.String())
	if err != nil {
		f.Fatal(err)
	}
	message := []byte("message")
	r := minisign.NewReader(bytes.NewReader(message))
	if _, err := io.Copy(io.Discard, r); err != nil {
		f.Fatal(err)
	}
	genuine := r.SignWithComments(key, "trusted", "untrusted")
	f.Add(genuine)
	f.Add(minisign.SignWithComments(key, message, "trusted", "untrusted"))
	f.Add([]byte("untrusted comment: \n\ntrusted comment: \n\n"))
	_, vouchedFor, _ := bytes.Cut(genuine, []byte("\n"))
	f.Fuzz(func(t *testing.T, signature []byte) {
		comment, err := sign.Verify([]sign.PublicKey{trusted}, message, signature)
		if err != nil && !refused(err) || err == nil && (comment != "trusted" || !bytes.HasSuffix(signature, vouchedFor)) {
			t.Fatalf("a made-up signature gives %q, %v", comment, err)
		}
	})
}

func FuzzParsePublicKey(f *testing.F) {
	f.Add("RWQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3")
	f.Add("untrusted comment: x\nRWQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3\n")
	f.Fuzz(func(t *testing.T, text string) {
		key, err := sign.ParsePublicKey(text)
		if err != nil {
			return
		}
		again, err := sign.ParsePublicKey(key.String())
		if err != nil || again.String() != key.String() {
			t.Fatalf("%q reads as %q, and that as %q, %v", text, key, again, err)
		}
	})
}
