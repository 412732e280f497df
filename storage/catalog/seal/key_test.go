package seal_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"lifeboat/storage/catalog/seal"
)

// generated is a new key pair.
func generated(t testing.TB, postQuantum bool) (identity, recipient string) {
	t.Helper()
	identity, recipient, err := seal.Generate(postQuantum)
	if err != nil {
		t.Fatal(err)
	}
	return identity, recipient
}

func TestEveryRecipientOpens(t *testing.T) {
	t.Parallel()
	for _, postQuantum := range []bool{false, true} {
		firstIdentity, first := generated(t, postQuantum)
		secondIdentity, second := generated(t, postQuantum)
		otherIdentity, other := generated(t, postQuantum)
		r := recipients(t, " "+first+" ", "# a comment", "", second)
		if got := r.Strings(); !slices.Equal(got, []string{first, second}) {
			t.Fatalf("recipients are %q", got)
		}
		sealed, err := r.Seal([]byte("plain"))
		if err != nil {
			t.Fatal(err)
		}
		for _, object := range [][]byte{sealed, noted(t, r, []byte("plain"), []byte("note"))} {
			for _, lines := range [][]string{{firstIdentity}, {secondIdentity}, {"# rotated", "", otherIdentity, firstIdentity}} {
				wantOpens(t, identities(t, lines...), object, []byte("plain"))
			}
			_, err = identities(t, otherIdentity).Open(object)
			var wrong *seal.WrongIdentityError
			if !errors.As(err, &wrong) || len(wrong.Stanzas) != 2 || !slices.Equal(wrong.Recipients, []string{other}) {
				t.Fatalf("another identity: %v", err)
			}
			if _, err := (*seal.Identities)(nil).Open(object); !errors.Is(err, seal.ErrNoIdentity) {
				t.Fatalf("no identity: %v", err)
			}
		}
	}
}

func TestSealingTwiceGivesDifferentObjects(t *testing.T) {
	t.Parallel()
	r, _ := pair(t, false)
	first, err := r.Seal([]byte("the same"))
	if err != nil {
		t.Fatal(err)
	}
	second, err := r.Seal([]byte("the same"))
	if err != nil {
		t.Fatal(err)
	}
	if string(first) == string(second) {
		t.Fatal("equal bytes can be told from the sealed objects")
	}
}

func TestUnfitRecipientsAreRefused(t *testing.T) {
	t.Parallel()
	identity, recipient := generated(t, false)
	_, quantum := generated(t, true)
	typo := recipient[:20] + strings.Map(func(r rune) rune {
		if r == 'q' {
			return 'p'
		}
		return 'q'
	}, recipient[20:21]) + recipient[21:]
	var many []string
	for range 65 {
		_, one := generated(t, false)
		many = append(many, one)
	}
	for name, test := range map[string]struct {
		lines []string
		want  string
	}{
		"none":               {nil, "no recipient"},
		"only a comment":     {[]string{"# nobody"}, "no recipient"},
		"a typo":             {[]string{recipient, typo}, "recipient 2: not a valid recipient"},
		"cut":                {[]string{recipient[:50]}, "recipient 1: not a valid recipient"},
		"a quantum typo":     {[]string{quantum[:len(quantum)-1]}, "recipient 1: not a valid recipient"},
		"two on a line":      {[]string{recipient + " " + recipient}, "recipient 1"},
		"an identity":        {[]string{recipient, identity}, "recipient 2: this is an identity"},
		"a small identity":   {[]string{strings.ToLower(identity)}, "recipient 1: this is an identity"},
		"a plugin's":         {[]string{pluginIdentity}, "recipient 1: this is an identity"},
		"an SSH key":         {[]string{"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5"}, "SSH keys are not taken"},
		"something else":     {[]string{"postgres:hunter2secret"}, "recipient 1: not a recipient"},
		"the same twice":     {[]string{recipient, recipient}, "recipient 2"},
		"quantum and not":    {[]string{quantum, recipient}, "recipient 2: post-quantum"},
		"not and quantum":    {[]string{recipient, quantum}, "recipient 2: post-quantum"},
		"too many":           {many, "65 recipients"},
		"point of low order": {[]string{lowOrder}, "recipient 1: not a valid recipient"},
	} {
		_, err := seal.ParseRecipients(test.lines)
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v", name, err)
			continue
		}
		wantNoSecret(t, name, err.Error(), identity, pluginIdentity, "hunter2secret")
	}
}

// lowOrder is well spelled, but what is sealed for it is open to everybody: its point is zero.
const lowOrder = "age1qqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqq5cu47z"

// wantNoSecret checks that no long piece of the secrets is shown, in either case.
func wantNoSecret(t *testing.T, name, shown string, secrets ...string) {
	t.Helper()
	for _, secret := range secrets {
		if _, data, ok := strings.Cut(secret, "-1"); ok {
			secret = data // what comes before names the kind
		}
		for at := 0; at+8 <= len(secret); at++ {
			if strings.Contains(strings.ToLower(shown), strings.ToLower(secret[at:at+8])) {
				t.Errorf("%s: a secret is shown: %s", name, shown)
				return
			}
		}
	}
}

func TestUnfitIdentitiesAreRefused(t *testing.T) {
	t.Parallel()
	identity, recipient := generated(t, false)
	quantum, _ := generated(t, true)
	for name, test := range map[string]struct{ text, want string }{
		"empty":                   {"", "no identity"},
		"only comments":           {"# created: today\n\n", "no identity"},
		"a typo":                  {"# one\n" + identity[:30] + "X" + identity[31:] + "Q\n", "line 2: not a valid identity"},
		"cut":                     {identity[:60], "line 1: not a valid identity"},
		"a quantum typo":          {identity + "\n" + quantum[:len(quantum)-1], "line 2: not a valid identity"},
		"a plugin's typo":         {pluginIdentity + "Q", "line 1: not a valid identity"},
		"in small letters":        {strings.ToLower(identity), "line 1: not an identity"},
		"a recipient":             {"# key\r\n" + recipient + "\r\n", "line 2: this is a recipient"},
		"protected":               {"age-encryption.org/v1\n-> scrypt x 18\n", "protected by a passphrase"},
		"protected, in letters":   {"-----BEGIN AGE ENCRYPTED FILE-----\nYWdl\n", "protected by a passphrase"},
		"an SSH key":              {"-----BEGIN OPENSSH PRIVATE KEY-----\nb3Bl\n", "SSH and PEM keys"},
		"something else":          {"password=" + identity, "line 1: not an identity"},
		"a line of great length":  {identity + strings.Repeat("Q", 100_000), "too long"},
		"a good and a bad one":    {identity + "\nAGE-SECRET-KEY-1" + identity, "line 2: not a valid identity"},
		"two identities, no line": {identity + identity, "line 1: not a valid identity"},
	} {
		_, err := seal.ParseIdentities(strings.NewReader(test.text))
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v", name, err)
			continue
		}
		wantNoSecret(t, name, err.Error(), identity, quantum, pluginIdentity)
	}
}

func TestIdentityFileOfAnEditor(t *testing.T) {
	t.Parallel()
	identity, recipient := generated(t, false)
	i, err := seal.ReadIdentityFile(identityFile(t, "\ufeff# kept in the safe\r\n  "+identity+"  \r\n"))
	if err != nil || !slices.Equal(i.Recipients(), []string{recipient}) {
		t.Fatalf("read as %v, %v", i, err)
	}
}

func TestUnfitIdentityFilesAreRefused(t *testing.T) {
	t.Parallel()
	identity, recipient := generated(t, false)
	for _, mode := range []fs.FileMode{0o640, 0o604, 0o620, 0o602, 0o610, 0o601, 0o644, 0o777} {
		path := identityFile(t, identity)
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		_, err := seal.ReadIdentityFile(path)
		if err == nil || !strings.Contains(err.Error(), "chmod 600 "+path) {
			t.Errorf("mode %v: %v", mode, err)
		}
	}
	for _, mode := range []fs.FileMode{0o600, 0o400} {
		path := identityFile(t, identity)
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		if _, err := seal.ReadIdentityFile(path); err != nil {
			t.Errorf("mode %v: %v", mode, err)
		}
	}
	if _, err := seal.ReadIdentityFile(filepath.Join(t.TempDir(), "absent")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("absent: %v", err)
	}
	if _, err := seal.ReadIdentityFile(t.TempDir()); err == nil || !strings.Contains(err.Error(), "directory") {
		t.Errorf("directory: %v", err)
	}
	path := identityFile(t, recipient)
	if _, err := seal.ReadIdentityFile(path); err == nil || !strings.Contains(err.Error(), path+": line 1: this is a recipient") {
		t.Errorf("recipient: %v", err)
	}
}

func TestIdentitiesShowNoSecret(t *testing.T) {
	t.Parallel()
	classic, _ := generated(t, false)
	quantum, _ := generated(t, true)
	i := identities(t, classic, quantum, pluginIdentity)
	shown := fmt.Sprintf("%v %+v %#v %s %v %#v", i, i, i, i, *i, struct{ I *seal.Identities }{i})
	wantNoSecret(t, "printed", shown, classic, quantum, pluginIdentity)
}

func FuzzParseIdentities(f *testing.F) {
	classic, _ := generated(f, false)
	quantum, _ := generated(f, true)
	f.Add("# comment\n" + classic + "\n")
	f.Add(quantum + "\r\n" + classic)
	f.Add(pluginIdentity)
	f.Add("age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p")
	f.Fuzz(func(t *testing.T, text string) {
		i, err := seal.ParseIdentities(strings.NewReader(text))
		if err == nil {
			for _, recipient := range i.Recipients() {
				if _, err := seal.ParseRecipients([]string{recipient}); err != nil {
					t.Fatalf("its own recipient is refused: %v", err)
				}
			}
			return
		}
		for line := range strings.Lines(text) {
			if line = strings.TrimSpace(line); len(line) > 20 && strings.Contains(err.Error(), line) {
				t.Fatalf("a line is repeated: %v", err)
			}
		}
	})
}

func FuzzParseRecipients(f *testing.F) {
	_, classic := generated(f, false)
	_, quantum := generated(f, true)
	f.Add(classic)
	f.Add(quantum)
	f.Add(pluginRecipient)
	f.Add(lowOrder)
	f.Fuzz(func(t *testing.T, line string) {
		r, err := seal.ParseRecipients([]string{line})
		if err != nil {
			return
		}
		if got := r.Strings(); len(got) != 1 || got[0] != strings.TrimSpace(line) {
			t.Fatalf("%q is kept as %q", line, got)
		}
	})
}
