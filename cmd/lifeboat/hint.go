package main

import (
	"errors"

	"lifeboat/archive"
	"lifeboat/storage"
	"lifeboat/storage/catalog"
	"lifeboat/storage/catalog/seal"
)

// hintOf says what the operator can do about an error, or nothing where that is not known.
func hintOf(err error) string {
	var (
		operator *archive.OperatorError
		conflict *catalog.ConflictError
		foreign  *catalog.ForeignError
		damaged  *catalog.DamagedError
		unsigned *catalog.UnsignedError
		wrong    *seal.WrongIdentityError
		knowing  interface{ Hint() string }
	)
	switch {
	case errors.Is(err, seal.ErrNoIdentity):
		return "name the identity file with --identity-file, or as identity_file in the configuration's encryption; the one from escrow will do"
	case errors.As(err, &wrong):
		return "find the identity whose public key was among the recipients when this was stored; after a rotation a file with the old and the new identity opens all"
	case errors.Is(err, catalog.ErrNoRecipients):
		return "add the recipients to repository.encryption in the configuration of this machine"
	case errors.As(err, &conflict):
		return "this server's WAL is kept in its pg_wal; find out which server is the primary. If it is the other one, stop this one and make it a standby (pg_rewind). " +
			"If it is this one, stop the other one, give this server a new cluster name in the configuration, run 'lifeboat init', and take a backup"
	case errors.As(err, &unsigned):
		return "if it is from before you signed, it cannot be told from a forgery: make a new backup; else name the public key that signed it in repository.signing.public_keys"
	case errors.As(err, &knowing) && knowing.Hint() != "":
		return knowing.Hint()
	case errors.As(err, &operator):
		return operator.Hint
	case errors.Is(err, catalog.ErrExpiryStopped):
		return "take a backup where there is none; else run 'lifeboat verify' to see what is damaged: nothing is deleted while something cannot be understood"
	case errors.Is(err, catalog.ErrLeaseHeld):
		return "somebody else is at it; what a process has left that died on another machine ends by itself in a few minutes"
	case errors.Is(err, catalog.ErrNoRepository):
		return "create the repository with 'lifeboat init', or correct repository.url"
	case errors.Is(err, catalog.ErrNoCluster):
		return "make the cluster known with 'lifeboat init' while its server runs"
	case errors.As(err, &foreign):
		return "give this cluster a name of its own in the configuration, as after an upgrade to a new major version"
	case errors.As(err, &damaged):
		return "run 'lifeboat verify' to see all that is damaged, and take a new base backup"
	}
	return storage.Hint(err)
}
