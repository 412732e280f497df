package seal_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"filippo.io/age"
	"filippo.io/age/plugin"
)

// pluginName is that of the plugin which the test binary is when it is called by this name.
const pluginName = "lifeboattest"

// tools is the directory of the programs that the tests run.
var tools string

// TestMain builds the age tool, the judge of the format, and puts a plugin of age's on the PATH.
func TestMain(m *testing.M) {
	if strings.HasPrefix(filepath.Base(os.Args[0]), "age-plugin-") {
		os.Exit(servePlugin())
	}
	os.Exit(withTools(m))
}

func withTools(m *testing.M) int {
	var err error
	if tools, err = os.MkdirTemp("", "age"); err == nil {
		defer os.RemoveAll(tools)
		err = prepareTools()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

func prepareTools() error {
	build := exec.Command("go", "build", "-buildvcs=false", "-o", tools, "filippo.io/age/cmd/age", "filippo.io/age/cmd/age-keygen")
	build.Dir = "../../../.ci/servers"
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("build age: %w\n%s", err, out)
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	if err := os.Symlink(self, filepath.Join(tools, "age-plugin-"+pluginName)); err != nil {
		return err
	}
	return os.Setenv("PATH", tools+string(os.PathListSeparator)+os.Getenv("PATH"))
}

// servePlugin speaks age's plugin protocol. Its keys are worth nothing: the file key stands in the stanza, after the
// payload of the recipient, which must be that of the identity.
func servePlugin() int {
	p, err := plugin.New(pluginName)
	if err != nil {
		return 1
	}
	p.HandleRecipient(func(data []byte) (age.Recipient, error) { return bare(data), nil })
	p.HandleIdentity(func(data []byte) (age.Identity, error) {
		if string(data) == "broken" {
			return nil, fmt.Errorf("the token is not plugged in")
		}
		return bare(data), nil
	})
	return p.Main()
}

type bare []byte

func (b bare) Wrap(fileKey []byte) ([]*age.Stanza, error) {
	return []*age.Stanza{{Type: pluginName, Args: []string{string(b)}, Body: fileKey}}, nil
}

func (b bare) Unwrap(stanzas []*age.Stanza) ([]byte, error) {
	for _, s := range stanzas {
		if s.Type == pluginName && len(s.Args) == 1 && s.Args[0] == string(b) {
			return s.Body, nil
		}
	}
	return nil, age.ErrIncorrectIdentity
}
