package manifest_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"lifeboat/internal/manifest"
	"lifeboat/internal/pgtest"
)

// TestVerifybackupAcceptsWhatWeWrite reads the manifest of a real base backup, writes it anew, and asks
// pg_verifybackup.
func TestVerifybackupAcceptsWhatWeWrite(t *testing.T) {
	t.Parallel()
	install := pgtest.Debian(t)
	c := pgtest.Start(t, install, pgtest.Options{})
	dir := filepath.Join(pgtest.TempDir(t), "backup")
	run(t, install, "pg_basebackup", "-h", c.SocketDir, "-U", "postgres", "-D", dir, "-c", "fast", "-N")

	path := filepath.Join(dir, manifest.Name)
	original, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	rewrite(t, path, func(f manifest.File) manifest.File { return f })
	rewritten, err := os.ReadFile(path)
	if err != nil || !bytes.Equal(original, rewritten) {
		t.Errorf("manifest written again differs (%v)", err)
	}
	run(t, install, "pg_verifybackup", dir)

	rewrite(t, path, func(f manifest.File) manifest.File {
		if f.Path == "PG_VERSION" {
			f.Checksum[0] ^= 1
		}
		return f
	})
	out, err := pgtest.Command(t.Context(), install, "pg_verifybackup", dir).CombinedOutput()
	if err == nil || !strings.Contains(string(out), `checksum mismatch for file "PG_VERSION"`) {
		t.Errorf("with another checksum of a file: %v, %s", err, out)
	}
}

func run(t *testing.T, install pgtest.Install, tool string, args ...string) {
	t.Helper()
	if out, err := pgtest.Command(t.Context(), install, tool, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v: %s", tool, err, out)
	}
}

// rewrite writes a manifest anew, with its files changed.
func rewrite(t *testing.T, path string, change func(manifest.File) manifest.File) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var files []manifest.File
	m, err := manifest.Read(bytes.NewReader(text), func(f manifest.File) error { files = append(files, change(f)); return nil })
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	w := manifest.NewWriter(&out, m.Format, m.SystemIdentifier)
	for _, f := range files {
		if err := w.AddFile(f); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Finish(m.WALRanges); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, out.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
}
