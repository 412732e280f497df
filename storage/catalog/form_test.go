package catalog

import (
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"lifeboat/storage/catalog/seal"
	"lifeboat/storage/catalog/sign"
	"lifeboat/storage/file"
)

// form is one of the two that a repository can have.
type form struct{ sealed bool }

// inEachForm runs the test with a plain repository, and with one that is sealed and signed.
func inEachForm(t *testing.T, test func(t *testing.T, f form)) {
	t.Helper()
	for name, f := range map[string]form{"plain": {}, "sealed": {sealed: true}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, f)
		})
	}
}

// reads is how many of something a test may need.
func (f form) reads(plain, sealed int64) int64 {
	if f.sealed {
		return sealed
	}
	return plain
}

// scene is an empty repository of the form.
func (f form) scene(t *testing.T) *scene {
	t.Helper()
	if !f.sealed {
		return newScene(t)
	}
	return newSealedScene(t, newKeys(t))
}

// full is a repository of the form with at least one object of every kind.
func (f form) full(t *testing.T) *scene {
	t.Helper()
	return f.scene(t).fill(t)
}

// newSealedScene is newScene for a sealed repository.
func newSealedScene(t *testing.T, keys Keys) *scene {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "repository")
	bucket := must(file.Create(dir, file.Options{Now: func() time.Time { return sceneTime }}))(t)
	t.Cleanup(func() { bucket.Close() })
	repo := must(CreateSealed(t.Context(), bucket, sceneTime))(t).With(keys)
	cluster := must(repo.Register(t.Context(), "main", sceneIdentity(), sceneTime))(t)
	return &scene{dir: dir, bucket: bucket, repo: repo, cluster: cluster}
}

// newKeys are all keys that there can be, made for the test.
func newKeys(t *testing.T) Keys {
	t.Helper()
	secret, public, err := sign.Generate()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "signing.key")
	if err := os.WriteFile(path, secret, 0o600); err != nil {
		t.Fatal(err)
	}
	keys := newSealKeys(t)
	keys.Signer = must(sign.ReadSigner(path))(t)
	keys.Trusted = []sign.PublicKey{must(sign.ParsePublicKey(string(public)))(t)}
	return keys
}

// newSealKeys are a new identity and its recipient.
func newSealKeys(t *testing.T) Keys {
	t.Helper()
	_, keys := newSealPair(t)
	return keys
}

// newSealPair is newSealKeys, and the identity as a file has it.
func newSealPair(t *testing.T) (string, Keys) {
	t.Helper()
	identity, recipient, err := seal.Generate(false)
	if err != nil {
		t.Fatal(err)
	}
	return identity, Keys{
		Recipients: must(seal.ParseRecipients([]string{recipient}))(t),
		Identities: must(seal.ParseIdentities(strings.NewReader(identity)))(t),
	}
}

// with is the scene as somebody with other keys sees it.
func (s *scene) with(t *testing.T, keys Keys) *scene {
	t.Helper()
	other := *s
	other.repo = s.repo.With(keys)
	other.cluster = must(other.repo.Cluster(t.Context(), "main"))(t)
	return &other
}

// agent is the scene as the server's own agent sees it, which can open nothing.
func (s *scene) agent(t *testing.T) *scene {
	t.Helper()
	keys := s.repo.keys
	keys.Identities = nil
	return s.with(t, keys)
}

// sceneSecret is the mock authentication nonce of the scene's cluster.
var sceneSecret = must32("8f1d4f3e0c7a2b5968d4c3b2a19f8e7d6c5b4a39281706f5e4d3c2b1a0918273")

func must32(text string) []byte {
	secret, err := hex.DecodeString(text)
	if err != nil {
		panic(err)
	}
	return secret
}
