package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"lifeboat/cmd/internal/config"
	"lifeboat/internal/wal"
	"lifeboat/storage/catalog"
	"lifeboat/storage/catalog/seal"
	"lifeboat/storage/catalog/sign"
)

// checkKeys loads what the settings name, and says what cannot be used.
func (k *checker) checkKeys() catalog.Keys {
	r := &k.scene.settings.Repository
	keys := catalog.Keys{Recipients: r.Recipients(), Trusted: r.Trusted()}
	var err error
	if keys.Signer, err = signer(k.scene.settings); err != nil {
		k.add("signing", "fail", "name a key file that this user can read: lifeboat key generate --signing FILE makes one", "%s", messageOf(err))
	}
	if keys.Identities, err = k.app.identities(k.scene.settings, identityIfPresent); err != nil {
		k.add("identity", "fail", "correct repository.encryption.identity_file, or remove it where backups are only made", "%s", messageOf(err))
	}
	k.checkRecipients(keys)
	k.checkSigning(keys)
	return keys
}

// checkRecipients holds the recipients against the identity at hand: what is sealed now must be opened one day.
func (k *checker) checkRecipients(keys catalog.Keys) {
	if keys.Recipients == nil {
		return
	}
	names := keys.Recipients.Strings()
	k.add("encryption", "pass", "", "sealed for %s", strings.Join(names, ", "))
	if keys.Identities == nil {
		k.add("identity", "pass", "", "none on this machine: it can make backups and cannot read them")
		return
	}
	own := keys.Identities.Recipients()
	if len(own) > 0 && !slices.ContainsFunc(own, func(name string) bool { return slices.Contains(names, name) }) {
		k.add("identity", "fail", "add "+own[0]+" to the recipients, or name the identity file of one of them",
			"it fits none of the recipients, so it will not open what is stored from now on")
	}
}

// checkSigning tells of a key whose signatures this very configuration refuses.
func (k *checker) checkSigning(keys catalog.Keys) {
	if keys.Signer == nil {
		return
	}
	public := keys.Signer.Public().String()
	trusted := slices.ContainsFunc(keys.Trusted, func(key sign.PublicKey) bool { return key.String() == public })
	switch {
	case len(keys.Trusted) == 0:
		k.add("signing", "warn", "add public_keys: ["+public+"] to repository.signing", "what is signed is not asked for its signature")
	case !trusted:
		k.add("signing", "fail", "add "+public+" to repository.signing.public_keys", "the key file's own public key is not among those that are trusted")
	default:
		k.add("signing", "pass", "", "by %s", public)
	}
}

// checkSealing tells of a repository and a configuration that do not agree on encryption.
func (k *checker) checkSealing(keys catalog.Keys) {
	switch sealed := k.scene.repository.Sealed(); {
	case sealed && keys.Recipients == nil:
		k.add("encryption", "fail", "add the recipients to repository.encryption", "the repository holds sealed objects only, and no recipient is configured: nothing can be stored")
	case !sealed && keys.Recipients != nil:
		k.add("encryption", "warn", "nothing, if that is meant; a repository that lifeboat init makes with recipients in the configuration refuses plain objects",
			"the repository was made for plain objects too, so older ones may be readable by anybody")
	}
}

// checkIdentityFits opens the newest sealed object.
func (k *checker) checkIdentityFits(ctx context.Context, inventory *catalog.Inventory) {
	identities, err := k.app.identities(k.scene.settings, identityIfPresent)
	if identities == nil || err != nil {
		return // told already
	}
	what, err := k.openNewest(ctx, inventory)
	var wrong *seal.WrongIdentityError
	switch {
	case what == "":
	case errors.As(err, &wrong):
		k.add("identity", "fail", hintOf(err), "it does not open %s: %v", what, wrong)
	case err != nil:
		k.add("identity", "unproven", hintOf(err), "%s cannot be opened: %v", what, err)
	default:
		k.add("identity", "pass", "", "it opens %s", what)
	}
}

// openNewest opens the index of the newest backup, else the newest WAL segment, and says which; empty where there is
// neither.
func (k *checker) openNewest(ctx context.Context, inventory *catalog.Inventory) (string, error) {
	if n := len(inventory.Backups); n > 0 {
		newest := inventory.Backups[n-1]
		_, err := k.scene.cluster.OpenIndex(ctx, newest)
		return "backup " + newest.Label, err
	}
	if len(inventory.Runs) == 0 {
		return "", nil
	}
	run := inventory.Runs[len(inventory.Runs)-1]
	size := k.scene.cluster.Identity().WALSegmentSize
	name, err := wal.ParseFileName(wal.SegmentName(run.Timeline, wal.SegmentOf(run.To-1, size), size))
	if err != nil {
		return "", fmt.Errorf("name the newest segment: %w", err)
	}
	_, err = k.scene.cluster.GetSegment(ctx, name, io.Discard)
	return "segment " + name.String(), err
}

// messageOf is an error without the place in the configuration, which a check has named already.
func messageOf(err error) string {
	var located *config.Error
	if errors.As(err, &located) {
		return located.Message
	}
	return err.Error()
}
