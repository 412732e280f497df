package seal_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"lifeboat/storage/catalog/seal"
)

// tool runs a program on input and returns its standard output.
func tool(t *testing.T, input []byte, name string, arguments ...string) ([]byte, error) {
	t.Helper()
	command := exec.CommandContext(t.Context(), filepath.Join(tools, name), arguments...)
	command.Stdin = bytes.NewReader(input)
	var out, messages bytes.Buffer
	command.Stdout, command.Stderr = &out, &messages
	err := command.Run()
	if err != nil {
		t.Logf("%s %s: %v: %s", name, strings.Join(arguments, " "), err, messages.Bytes())
	}
	return out.Bytes(), err
}

// keygen lets the tool make an identity file, and gives its path and the recipient.
func keygen(t *testing.T, arguments ...string) (path, recipient string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "identity.txt")
	if _, err := tool(t, nil, "age-keygen", append(arguments, "-o", path)...); err != nil {
		t.Fatal(err)
	}
	public, err := tool(t, nil, "age-keygen", "-y", path)
	if err != nil {
		t.Fatal(err)
	}
	return path, strings.TrimSpace(string(public))
}

// identityFile writes identities the way an operator keeps them.
func identityFile(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "identity.txt")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestToolOpensWhatWasSealedHere(t *testing.T) {
	t.Parallel()
	classic, classicKey := keygen(t)
	second, secondKey := keygen(t)
	quantum, quantumKey := keygen(t, "-pq")
	for name, test := range map[string]struct{ recipients, files []string }{
		"one":          {[]string{classicKey}, []string{classic}},
		"several":      {[]string{classicKey, secondKey}, []string{classic, second}},
		"post-quantum": {[]string{quantumKey}, []string{quantum}},
		"plugin":       {[]string{classicKey, pluginRecipient}, []string{classic, identityFile(t, pluginIdentity)}},
	} {
		r := recipients(t, test.recipients...)
		for _, size := range []int{0, 100, 65536, 200_000} {
			plain := content(size)
			sealed, err := r.Seal(plain)
			if err != nil {
				t.Fatal(err)
			}
			for _, file := range test.files {
				for form, object := range map[string][]byte{
					"sealed": sealed, "noted": noted(t, r, plain, []byte("note")), "noted at length": noted(t, r, plain, content(50_000)),
				} {
					got, err := tool(t, object, "age", "-d", "-i", file)
					if err != nil || !bytes.Equal(got, plain) {
						t.Fatalf("%s, %s, %d bytes: %v, %d bytes", name, form, size, err, len(got))
					}
				}
			}
		}
	}
}

func TestToolRefusesAChangedNote(t *testing.T) {
	t.Parallel()
	file, key := keygen(t)
	object := noted(t, recipients(t, key), []byte("plain"), []byte("a note of some length"))
	at := bytes.Index(object, []byte("lifeboat-note\n")) + len("lifeboat-note\n")
	object[at] ^= 1
	if got, err := tool(t, object, "age", "-d", "-i", file); err == nil {
		t.Fatalf("opened as %q", got)
	}
}

func TestOpensWhatTheToolSealed(t *testing.T) {
	t.Parallel()
	for _, arguments := range [][]string{nil, {"-pq"}} {
		file, key := keygen(t, arguments...)
		i, err := seal.ReadIdentityFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if got := i.Recipients(); len(got) != 1 || got[0] != key {
			t.Fatalf("the identity's recipient is %q, by the tool %q", got, key)
		}
		for _, size := range []int{0, 1, 65536, 200_000} {
			plain := content(size)
			sealed, err := tool(t, plain, "age", "-r", key)
			if err != nil {
				t.Fatal(err)
			}
			wantOpens(t, i, sealed, plain)
		}
	}
}

func TestToolTakesGeneratedIdentities(t *testing.T) {
	t.Parallel()
	for _, postQuantum := range []bool{false, true} {
		identity, recipient, err := seal.Generate(postQuantum)
		if err != nil {
			t.Fatal(err)
		}
		public, err := tool(t, []byte(identity+"\n"), "age-keygen", "-y")
		if err != nil || strings.TrimSpace(string(public)) != recipient {
			t.Fatalf("the tool derives %q, %v; want %q", public, err, recipient)
		}
	}
}
