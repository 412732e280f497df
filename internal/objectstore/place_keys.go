package objectstore

import (
	"fmt"
	"path/filepath"

	"lifeboat/storage/catalog"
	"lifeboat/storage/catalog/seal"
	"lifeboat/storage/catalog/sign"
)

// keyFiles are a throwaway identity and a throwaway signing key, with their public halves.
type keyFiles struct {
	Recipient string `json:"recipient"`
	Public    string `json:"public"`
	Identity  string `json:"identity"` // a file
	Signing   string `json:"signing"`  // a file
}

// newKeys writes new keys into a directory.
func newKeys(dir string) (*keyFiles, error) {
	identity, recipient, err := seal.Generate(false)
	if err != nil {
		return nil, err
	}
	secret, public, err := sign.Generate()
	if err != nil {
		return nil, err
	}
	trusted, err := sign.ParsePublicKey(string(public))
	if err != nil {
		return nil, err
	}
	k := &keyFiles{
		Recipient: recipient, Public: trusted.String(),
		Identity: filepath.Join(dir, "identity.txt"), Signing: filepath.Join(dir, "signing.key"),
	}
	if err := writePrivate(k.Identity, []byte(identity+"\n")); err != nil {
		return nil, err
	}
	return k, writePrivate(k.Signing, secret)
}

func (k *keyFiles) read() (catalog.Keys, error) {
	var keys catalog.Keys
	var err error
	if keys.Recipients, err = seal.ParseRecipients([]string{k.Recipient}); err != nil {
		return keys, err
	}
	if keys.Identities, err = seal.ReadIdentityFile(k.Identity); err != nil {
		return keys, err
	}
	if keys.Signer, err = sign.ReadSigner(k.Signing); err != nil {
		return keys, err
	}
	trusted, err := sign.ParsePublicKey(k.Public)
	keys.Trusted = []sign.PublicKey{trusted}
	return keys, err
}

// yaml are the lines below "repository:" that name the keys, with one more setting of the encryption.
func (k *keyFiles) yaml(more string) string {
	if k == nil {
		return ""
	}
	return fmt.Sprintf("  encryption: {recipients: [%s]%s}\n  signing: {key_file: %q, public_keys: [%s]}\n", k.Recipient, more, k.Signing, k.Public)
}
