package sign_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"lifeboat/storage/catalog/sign"
)

var minisignTool string

// TestMain builds the minisign tool, the judge of the format.
func TestMain(m *testing.M) {
	os.Exit(withMinisign(m))
}

func withMinisign(m *testing.M) int {
	directory, err := os.MkdirTemp("", "minisign")
	if err == nil {
		defer os.RemoveAll(directory)
		minisignTool, err = buildMinisign(directory)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

func buildMinisign(directory string) (string, error) {
	build := exec.Command("go", "build", "-buildvcs=false", "-o", directory, "aead.dev/minisign/cmd/minisign")
	build.Dir = "../../../.ci/servers"
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build minisign: %w\n%s", err, out)
	}
	return filepath.Join(directory, "minisign"), nil
}

// minisignRuns runs the tool and returns what it says.
func minisignRuns(t *testing.T, directory string, arguments ...string) (string, error) {
	t.Helper()
	command := exec.CommandContext(t.Context(), minisignTool, arguments...)
	command.Dir = directory
	out, err := command.CombinedOutput()
	return string(out), err
}

func write(t *testing.T, directory, name string, data []byte) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(directory, name), data, 0o600); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, directory, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(directory, name))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestToolChecksOurSignatures(t *testing.T) {
	t.Parallel()
	directory := t.TempDir()
	s, _, public := signer(t)
	message := []byte("a document\n")
	write(t, directory, "key.pub", []byte(public))
	write(t, directory, "document", message)
	write(t, directory, "document.minisig", s.Sign(message, "evidence/1"))
	out, err := minisignRuns(t, directory, "-V", "-p", "key.pub", "-m", "document")
	if err != nil || !strings.Contains(out, "evidence/1") {
		t.Fatalf("minisign -V: %v\n%s", err, out)
	}
	write(t, directory, "document", []byte("another document\n"))
	if out, err := minisignRuns(t, directory, "-V", "-p", "key.pub", "-m", "document"); err == nil {
		t.Fatalf("minisign takes a signature for another document:\n%s", out)
	}
}

func TestOurKeySignsWithTheTool(t *testing.T) {
	t.Parallel()
	directory := t.TempDir()
	s, secret, _ := signer(t)
	message := []byte("a document\n")
	write(t, directory, "key.secret", []byte(secret))
	write(t, directory, "document", message)
	if out, err := minisignRuns(t, directory, "-S", "-s", "key.secret", "-m", "document", "-t", "by hand"); err != nil {
		t.Fatalf("minisign -S: %v\n%s", err, out)
	}
	comment, err := sign.Verify([]sign.PublicKey{s.Public()}, message, read(t, directory, "document.minisig"))
	if err != nil || comment != "by hand" {
		t.Fatalf("verified as %q, %v", comment, err)
	}
}

func TestKeyOfTheToolSignsHere(t *testing.T) {
	t.Parallel()
	directory := t.TempDir()
	if out, err := minisignRuns(t, directory, "-G", "-W", "-p", "key.pub", "-s", "key.secret"); err != nil {
		t.Fatalf("minisign -G: %v\n%s", err, out)
	}
	s, err := sign.ReadSigner(filepath.Join(directory, "key.secret"))
	if err != nil {
		t.Fatal(err)
	}
	public, err := sign.ParsePublicKey(string(read(t, directory, "key.pub")))
	if err != nil || public.String() != s.Public().String() {
		t.Fatalf("the public key is %v, %v", public, err)
	}
	if _, err := sign.Verify([]sign.PublicKey{public}, []byte("x"), s.Sign([]byte("x"), "c")); err != nil {
		t.Fatal(err)
	}
}
