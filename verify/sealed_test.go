package verify

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"lifeboat/storage/catalog"
	"lifeboat/storage/catalog/seal"
	"lifeboat/storage/catalog/sign"
)

// newKeys are all keys that there can be, made for the test.
func newKeys(t *testing.T) catalog.Keys {
	t.Helper()
	identity, recipient, err := seal.Generate(false)
	if err != nil {
		t.Fatal(err)
	}
	var keys catalog.Keys
	if keys.Recipients, err = seal.ParseRecipients([]string{recipient}); err != nil {
		t.Fatal(err)
	}
	if keys.Identities, err = seal.ParseIdentities(strings.NewReader(identity)); err != nil {
		t.Fatal(err)
	}
	secret, public, err := sign.Generate()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "signing.key")
	if err := os.WriteFile(path, secret, 0o600); err != nil {
		t.Fatal(err)
	}
	if keys.Signer, err = sign.ReadSigner(path); err != nil {
		t.Fatal(err)
	}
	trusted, err := sign.ParsePublicKey(string(public))
	if err != nil {
		t.Fatal(err)
	}
	keys.Trusted = []sign.PublicKey{trusted}
	return keys
}

// noIdentityIsUnproven verifies a sealed repository by who cannot open it: sound is not proven, damage is found.
func noIdentityIsUnproven(t *testing.T, m material) {
	s := newSceneWith(t, m, newKeys(t), unchanged)
	for who, identities := range map[string]*seal.Identities{"none": nil, "wrong": newKeys(t).Identities} {
		keys := s.keys
		keys.Identities = identities
		s.repo = s.repo.With(keys)
		for _, o := range []Options{{}, {Backup: label}} {
			report := s.verify(o)
			if report.Result() != Unproven || !report.has(Unproven, "WAL from") || !report.has(Unproven, "index objects") {
				t.Errorf("%s identity, %+v: %+v", who, o, report)
			}
		}
		for _, path := range s.objects() {
			if strings.Contains(path, "/packs/") {
				continue // they are unproven anyway
			}
			content, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			flipped := append([]byte(nil), content...)
			flipped[len(flipped)*3/4] ^= 0x10
			s.write(path, flipped)
			report, err := Repository(t.Context(), s.repo, Options{})
			if err == nil && report.Result() != Fail {
				t.Errorf("%s identity, a flipped byte in %s: %s", who, path, report.Result())
			}
			s.write(path, content)
		}
	}
}

func noPublicKeyIsUnproven(t *testing.T, m material) {
	s := newSceneWith(t, m, newKeys(t), unchanged)
	keys := s.keys
	keys.Trusted = nil
	s.repo = s.repo.With(keys)
	if report := s.verify(Options{}); report.Result() != Unproven || !report.has(Unproven, "signature objects") || !report.has(OK, "it is whole") {
		t.Errorf("report = %+v", report)
	}
}

func unsignedFails(t *testing.T, m material) {
	s := newScene(t, m, unchanged)
	s.repo = s.repo.With(newKeys(t))
	report := s.verify(Options{})
	if report.Result() != Fail || !report.has(Fail, "is not signed") || report.has(OK, "it is whole") {
		t.Errorf("report = %+v", report)
	}
}
