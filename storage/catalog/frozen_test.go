package catalog

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"testing"

	"lifeboat/storage/catalog/seal"
	"lifeboat/storage/catalog/sign"
	"lifeboat/storage/file"
)

// update has the frozen sample written anew. Only a new version of the format may ask for that.
var update = flag.Bool("update", false, "write the samples in testdata anew")

// TestFrozenSampleReads reads a repository that was written when version 1 of the format was. Every later program must
// read it.
func TestFrozenSampleReads(t *testing.T) {
	t.Parallel()
	const frozen = "testdata/v1"
	if *update {
		freeze(t, fullScene(t), frozen)
	}
	checkFrozen(t, frozen, Keys{}, 15)
}

// TestFrozenSealedSampleReads is the same for a sealed and signed one, whose keys lie beside it.
func TestFrozenSealedSampleReads(t *testing.T) {
	t.Parallel()
	const frozen = "testdata/v1-sealed"
	if *update {
		writeTestKeys(t, frozen)
		freeze(t, newSealedScene(t, readTestKeys(t, frozen)).fill(t), frozen)
	}
	checkFrozen(t, frozen, readTestKeys(t, frozen), 20)
}

func freeze(t *testing.T, s *scene, frozen string) {
	t.Helper()
	if err := os.RemoveAll(frozen); err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(frozen, os.DirFS(s.dir)); err != nil {
		t.Fatal(err)
	}
}

func checkFrozen(t *testing.T, frozen string, keys Keys, objects int64) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "repository")
	if err := os.CopyFS(dir, os.DirFS(frozen)); err != nil {
		t.Fatal(err)
	}
	bucket := must(file.Open(dir, file.Options{}))(t)
	t.Cleanup(func() { bucket.Close() })
	repo := must(Open(t.Context(), bucket))(t).With(keys)
	report := must(repo.Scrub(t.Context(), ScrubOptions{}))(t)
	if !report.clean() || report.Objects < objects {
		t.Errorf("scrubbed as %+v", report)
	}
	cluster := must(repo.Cluster(t.Context(), "main"))(t)
	rec := must(cluster.Record(t.Context(), sceneLabel))(t)
	checkFiles(t, must(cluster.OpenIndex(t.Context(), rec))(t), sampleTree())
	segment := soundSegment(t, "000000010000000000000001")
	if string(cluster.mustGet(t, segment.Name)) != string(contentOf(t, segment)) {
		t.Error("segment differs")
	}
	if inv := must(cluster.Inventory(t.Context()))(t); len(inv.Backups) != 1 || len(inv.Problems) > 0 {
		t.Errorf("inventory = %+v", inv)
	}
	if stored, err := repo.With(Keys{Recipients: keys.Recipients}).again(t, segment); stored || err != nil {
		t.Errorf("the segment again, without an identity: %v, %v", stored, err)
	}
}

// again archives a file once more.
func (r *Repository) again(t *testing.T, f WALFile) (bool, error) {
	t.Helper()
	return must(r.Cluster(t.Context(), "main"))(t).PutWAL(t.Context(), f, sceneTime)
}

// The names of the keys of a frozen sample, which protect nothing else, behind the name of the sample.
const (
	testIdentity  = ".test-identity.txt"
	testSigning   = ".test-signing.key"
	testPublicKey = ".test-signing.pub"
)

func writeTestKeys(t *testing.T, frozen string) {
	t.Helper()
	identity, recipient, err := seal.Generate(false)
	if err != nil {
		t.Fatal(err)
	}
	secret, public, err := sign.Generate()
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string]string{
		testIdentity: "# test key, protects nothing\n# public key: " + recipient + "\n" + identity + "\n",
		testSigning:  string(secret), testPublicKey: string(public),
	} {
		if err := os.WriteFile(frozen+name, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func readTestKeys(t *testing.T, frozen string) Keys {
	t.Helper()
	identity := must(os.ReadFile(frozen + testIdentity))(t)
	keys := Keys{Identities: must(seal.ParseIdentities(bytes.NewReader(identity)))(t)}
	keys.Recipients = must(seal.ParseRecipients(keys.Identities.Recipients()))(t)
	keys.Trusted = []sign.PublicKey{must(sign.ParsePublicKey(string(must(os.ReadFile(frozen + testPublicKey))(t))))(t)}
	private := filepath.Join(t.TempDir(), "signing.key") // as a checkout's modes are not private
	if err := os.WriteFile(private, must(os.ReadFile(frozen+testSigning))(t), 0o600); err != nil {
		t.Fatal(err)
	}
	keys.Signer = must(sign.ReadSigner(private))(t)
	return keys
}
