package seal_test

import (
	"errors"
	"strings"
	"testing"

	"filippo.io/age/plugin"

	"lifeboat/storage/catalog/seal"
)

var (
	pluginRecipient = plugin.EncodeRecipient(pluginName, []byte("payload"))
	pluginIdentity  = plugin.EncodeIdentity(pluginName, []byte("payload"))
)

func TestPluginsSealAndOpen(t *testing.T) {
	t.Parallel()
	r := recipients(t, pluginRecipient)
	sealed, err := r.Seal([]byte("plain"))
	if err != nil {
		t.Fatal(err)
	}
	i := identities(t, pluginIdentity)
	wantOpens(t, i, sealed, []byte("plain"))
	wantOpens(t, i, noted(t, r, []byte("plain"), []byte("note")), []byte("plain"))
	if known := i.Recipients(); len(known) != 0 {
		t.Fatalf("recipients of a plugin are %q", known)
	}
	var wrong *seal.WrongIdentityError
	if _, err := identities(t, plugin.EncodeIdentity(pluginName, []byte("other"))).Open(sealed); !errors.As(err, &wrong) {
		t.Fatalf("opened with another identity: %v", err)
	}
}

func TestPluginTroubleIsNoDamage(t *testing.T) {
	t.Parallel()
	sealed, err := recipients(t, pluginRecipient).Seal([]byte("plain"))
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct{ identity, want string }{
		"broken": {plugin.EncodeIdentity(pluginName, []byte("broken")), "not plugged in"},
		"absent": {plugin.EncodeIdentity("lifeboatabsent", []byte("payload")), "lifeboatabsent"},
	} {
		_, err := identities(t, test.identity).Open(sealed)
		var wrong *seal.WrongIdentityError
		if err == nil || errors.Is(err, seal.ErrDamaged) || errors.As(err, &wrong) || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v", name, err)
		}
		if strings.Contains(err.Error(), test.identity) {
			t.Errorf("%s: the identity is shown", name)
		}
	}
	absent := recipients(t, plugin.EncodeRecipient("lifeboatabsent", []byte("payload")))
	if _, err := absent.Seal(nil); err == nil || !strings.Contains(err.Error(), "lifeboatabsent") {
		t.Errorf("sealed by an absent plugin: %v", err)
	}
}
