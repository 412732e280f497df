package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"lifeboat/archive"
	"lifeboat/storage/catalog/seal"
	"lifeboat/storage/catalog/sign"
)

// keyFlags are the flags of key generate.
type keyFlags struct {
	identity, signing string
	postQuantum       bool
}

func (a *app) keyCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "key",
		Short: "Make the keys that a repository is encrypted and signed with",
		Args:  cobra.NoArgs,
		RunE:  func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(a.keyGenerateCommand())
	for _, sub := range c.Commands() {
		sub.Args = usageArgs(sub.Args)
	}
	return c
}

func (a *app) keyGenerateCommand() *cobra.Command {
	var f keyFlags
	c := &cobra.Command{
		Use:   "generate --identity-file FILE | --signing FILE",
		Short: "Make an age identity that opens backups, or a minisign key that signs records",
		Long: "With --identity-file: makes an age identity, writes it to FILE (0600), and prints its public recipient. With\n" +
			"--signing: makes a minisign key, FILE (0600) and FILE.pub. Both print the lines of the configuration, and\n" +
			"never overwrite a file.",
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error { return a.generateKey(f) },
	}
	c.Flags().StringVar(&f.identity, "identity-file", "", "write a new age identity to `FILE`")
	c.Flags().BoolVar(&f.postQuantum, "post-quantum", false, "make the identity one that quantum computers do not break, either")
	c.Flags().StringVar(&f.signing, "signing", "", "write a new minisign key to `FILE` and FILE.pub")
	return c
}

func (a *app) generateKey(f keyFlags) error {
	switch {
	case (f.identity == "") == (f.signing == ""):
		return usagef("name the file to write with either --identity-file or --signing")
	case f.signing != "" && f.postQuantum:
		return usagef("--post-quantum is for --identity-file only: minisign has no such keys")
	case f.signing != "":
		return a.generateSigningKey(f.signing)
	}
	return a.generateIdentity(f.identity, f.postQuantum)
}

// generatedIdentity is what 'key generate --identity-file' writes in JSON. It never holds the secret.
type generatedIdentity struct {
	IdentityFile string `json:"identity_file"`
	Recipient    string `json:"recipient"`
}

func (a *app) generateIdentity(path string, postQuantum bool) error {
	path, err := filepath.Abs(path)
	if err != nil {
		return fmt.Errorf("identity file: %w", err)
	}
	identity, recipient, err := seal.Generate(postQuantum)
	if err != nil {
		return fmt.Errorf("make an identity: %w", err)
	}
	text := fmt.Sprintf("# Opens what Lifeboat has sealed. Keep a copy where the servers are not.\n# created: %s\n# public key: %s\n%s\n",
		a.now().UTC().Format("2006-01-02T15:04:05Z"), recipient, identity)
	if err := writeNew(path, text, 0o600); err != nil {
		return err
	}
	if a.json() {
		return a.writeJSON(generatedIdentity{IdentityFile: path, Recipient: recipient})
	}
	a.out.Printf("identity written to %s\nrecipient: %s\n", path, recipient)
	a.out.Printf("\n# in the configuration of every machine that writes: the recipient only\nrepository:\n  encryption:\n    recipients:\n      - %s\n", recipient)
	a.out.Printf("\n# where backups are restored, drilled or verified, add\n    identity_file: %s\n", path)
	a.out.Printf("\nWithout this file nothing that is sealed for it can be opened, by nobody and never. Copy it now to where none of\n" +
		"the servers is (a password manager, paper in a safe), prove the copy with 'lifeboat drill run --identity-file COPY',\n" +
		"and leave no identity on a server that only writes backups.\n")
	return nil
}

// generatedSigningKey is what 'key generate --signing' writes in JSON.
type generatedSigningKey struct {
	KeyFile       string `json:"key_file"`
	PublicKeyFile string `json:"public_key_file"`
	PublicKey     string `json:"public_key"`
}

func (a *app) generateSigningKey(path string) error {
	path, err := filepath.Abs(path)
	if err != nil {
		return fmt.Errorf("signing key: %w", err)
	}
	public := path + ".pub"
	if _, err := os.Lstat(public); err == nil {
		return occupied(public)
	}
	secretFile, publicFile, err := sign.Generate()
	if err != nil {
		return fmt.Errorf("make a signing key: %w", err)
	}
	if err := writeNew(path, string(secretFile), 0o600); err != nil {
		return err
	}
	if err := writeNew(public, string(publicFile), 0o644); err != nil {
		return errors.Join(err, os.Remove(path))
	}
	line := publicLine(string(publicFile))
	if a.json() {
		return a.writeJSON(generatedSigningKey{KeyFile: path, PublicKeyFile: public, PublicKey: line})
	}
	a.out.Printf("signing key written to %s, its public key to %s\npublic key: %s\n", path, public, line)
	a.out.Printf("\n# where backups, censuses and drills are made\nrepository:\n  signing:\n    key_file: %s\n    public_keys: [%s]\n", path, line)
	a.out.Printf("\n# where they are only read\nrepository:\n  signing:\n    public_keys: [%s]\n", line)
	a.out.Printf("\nWhoever has this file can sign records as yours: leave it on the machines that make backups, and nowhere else. Where\n" +
		"public_keys are named, records without a valid signature are refused, those included that were made before.\n")
	return nil
}

func publicLine(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return lines[len(lines)-1]
}

// writeNew makes a file that was not there, durably, and leaves nothing of it behind where that fails.
func writeNew(path, text string, mode fs.FileMode) error {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if errors.Is(err, fs.ErrExist) {
		return occupied(path)
	}
	if err != nil {
		return fmt.Errorf("write the key: %w", err)
	}
	_, err = file.WriteString(text)
	if err := errors.Join(err, file.Chmod(mode), file.Sync(), file.Close(), syncDirectory(filepath.Dir(path))); err != nil {
		return errors.Join(fmt.Errorf("write the key: %w", err), os.Remove(path))
	}
	return nil
}

// occupied refuses to overwrite what may be the only key to somebody's backups.
func occupied(path string) error {
	return &archive.OperatorError{
		Message: fmt.Sprintf("%s is there already, and a key is never overwritten", path),
		Hint:    "name another file; for rotation, keep the old identity until the last backup that is sealed for it has expired",
	}
}

func syncDirectory(path string) error {
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
