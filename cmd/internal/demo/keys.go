package demo

import (
	"context"
	"encoding/json"
	"fmt"

	"lifeboat/cmd/internal/term"
)

// keys are the throwaway keys of the story.
type keys struct {
	identityFile string // in escrow: no command that writes gets it
	recipient    string
	signingFile  string
	publicKey    string
}

// tellKeys makes the keys, and names them in the configuration.
func (s *story) tellKeys(ctx context.Context) error {
	if !s.Plain {
		if err := s.makeKeys(ctx); err != nil {
			return err
		}
		if err := s.configure(); err != nil {
			return err
		}
		s.done("everything will be sealed for %s…; the identity that opens it stays in escrow", s.keys.recipient[:16])
		s.done("records, censuses and evidence will be signed by %s…", s.keys.publicKey[:16])
	}
	if s.scene.store != nil {
		s.done("%s serves the bucket %s at http://%s", s.scene.store.program, bucketName, s.scene.store.address)
	}
	return nil
}

// configure writes the configuration of the story.
func (s *story) configure() error {
	return s.scene.write("lifeboat.yaml", s.scene.settings(s.keys))
}

func (s *story) makeKeys(ctx context.Context) error {
	s.keys = &keys{identityFile: s.scene.path("escrow", "identity.txt"), signingFile: s.scene.path("keys", "signing")}
	var identity struct {
		Recipient string `json:"recipient"`
	}
	var signing struct {
		PublicKey string `json:"public_key"`
	}
	for _, made := range []struct {
		result any
		args   []string
	}{
		{&identity, []string{"key", "generate", "--identity-file", s.keys.identityFile}},
		{&signing, []string{"key", "generate", "--signing", s.keys.signingFile}},
	} {
		s.command(made.args)
		out, err := s.scene.lifeboat(ctx, append(made.args, "--output", "json")...)
		if err != nil {
			return err
		}
		if err := json.Unmarshal(out, made.result); err != nil {
			return fmt.Errorf("read the new key: %w", err)
		}
	}
	s.keys.recipient, s.keys.publicKey = identity.Recipient, signing.PublicKey
	return nil
}

// settings are the lines of the configuration that name the keys; none for a story in plain.
func (k *keys) settings() string {
	if k == nil {
		return ""
	}
	return fmt.Sprintf("  encryption: {recipients: [%s]}\n  signing: {key_file: %q, public_keys: [%s]}\n", k.recipient, k.signingFile, k.publicKey)
}

// identity are the flags that a command which reads backups takes.
func (k *keys) identity() []string {
	if k == nil {
		return nil
	}
	return []string{"--identity-file", k.identityFile}
}

// tellSealed shows that a machine that makes backups does not read them.
func (s *story) tellSealed(ctx context.Context) error {
	if s.keys == nil {
		return nil
	}
	if _, err := s.scene.lifeboat(ctx, "restore", "--target-dir", s.scene.path("refused"), "--to-latest"); err == nil {
		return fmt.Errorf("a restore without the identity was not refused")
	}
	s.Out.Printf("     %s\n", s.Out.Paint(term.Dim, "(without --identity-file, this machine's own backups stay closed to it)"))
	return nil
}
