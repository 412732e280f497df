package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/pflag"

	"lifeboat/cmd/internal/config"
	"lifeboat/storage/catalog"
	"lifeboat/storage/catalog/seal"
	"lifeboat/storage/catalog/sign"
)

// identityFlag lets a command take an identity that the settings do not name, such as one from escrow.
func (a *app) identityFlag(flags *pflag.FlagSet) {
	flags.StringVar(&a.identityFile, "identity-file", "", "age identity `FILE` that opens the repository, such as the escrowed one (default: identity_file of the configuration)")
}

// keys loads what the command uses. What only writes never touches an identity file.
func (a *app) keys(settings *config.Config, u use) (catalog.Keys, error) {
	keys := catalog.Keys{Trusted: settings.Repository.Trusted()}
	var err error
	if u.writes {
		keys.Recipients = settings.Repository.Recipients()
		if keys.Signer, err = signer(settings); err != nil {
			return keys, err
		}
	}
	if u.reads != withoutIdentity {
		keys.Identities, err = a.identities(settings, u.reads)
	}
	return keys, err
}

func signer(settings *config.Config) (*sign.Signer, error) {
	path := settings.Repository.SigningKeyFile()
	if path == "" {
		return nil, nil
	}
	key, err := sign.ReadSigner(path)
	if err != nil {
		return nil, &config.Error{Path: settings.Path, At: settings.Repository.Signing.KeyFile.At, Message: fmt.Sprintf("repository.signing.key_file: %v", err)}
	}
	return key, nil
}

// identities reads the identity file of the flag, else that of the settings; nil where there is none.
func (a *app) identities(settings *config.Config, need identityNeed) (*seal.Identities, error) {
	path, err := a.identityPath(settings)
	if err != nil || path == "" {
		return nil, err
	}
	found, err := seal.ReadIdentityFile(path)
	switch {
	case err == nil:
		return found, nil
	case a.identityFile != "":
		return nil, usagef("--identity-file: %v", err)
	case need == identityIfPresent && absent(path):
		a.log.Info("the identity file is not on this machine, so what is sealed stays closed", "file", path)
		return nil, nil
	}
	return nil, &config.Error{Path: settings.Path, At: settings.Repository.Encryption.IdentityFile.At, Message: fmt.Sprintf("repository.encryption.identity_file: %v", err)}
}

// identityPath is the absolute path of the identity file in use, or empty.
func (a *app) identityPath(settings *config.Config) (string, error) {
	if a.identityFile == "" {
		return settings.Repository.IdentityFile(), nil
	}
	path, err := filepath.Abs(a.identityFile)
	if err != nil {
		return "", fmt.Errorf("--identity-file: %w", err)
	}
	return path, nil
}

func absent(path string) bool {
	_, err := os.Stat(path)
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission)
}
