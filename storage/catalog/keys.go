package catalog

import (
	"errors"

	"lifeboat/storage/catalog/seal"
	"lifeboat/storage/catalog/sign"
)

// Keys are what a repository is written and read with. Who only writes needs no identity.
type Keys struct {
	Recipients *seal.Recipients // nil: new objects are stored in plain
	Identities *seal.Identities // nil: sealed objects cannot be opened
	Signer     *sign.Signer     // nil: new documents are not signed
	Trusted    []sign.PublicKey // empty: signatures are not asked for
}

// ErrNoRecipients says that the repository was created to hold sealed objects only, and that there is nobody to seal a
// new one for.
var ErrNoRecipients = errors.New("the repository is sealed and no recipient is configured: nothing is stored in plain")

// With is the same repository, written and read with these keys. The one at hand, and clusters that it gave, stay as
// they are.
func (r *Repository) With(keys Keys) *Repository {
	return &Repository{newStore(r.bucket, keys, r.sealed)}
}

// Sealed reports whether the repository was created to hold sealed objects only.
func (r *Repository) Sealed() bool { return r.sealed }

// Seals reports whether new objects of the cluster are sealed, so that PutWAL wants the secret of the file's cluster.
func (c *Cluster) Seals() bool { return c.seals() }

func (s *store) seals() bool { return s.keys.Recipients != nil }

// seal is content as it is stored: sealed where there are recipients.
func (s *store) seal(content []byte) ([]byte, error) {
	if !s.seals() {
		return content, nil
	}
	return s.keys.Recipients.Seal(content)
}

// unseal opens the sealed bytes of the object at key, or of a part of it. The errors are those of isLocked, and a
// *DamagedError.
func (s *store) unseal(key string, sealed []byte) ([]byte, error) {
	plain, err := s.keys.Identities.Open(sealed)
	if err != nil {
		return nil, unsealError(key, err)
	}
	return plain, nil
}

// unsealError makes damage of a sealed object a *DamagedError, and leaves all other errors as they are.
func unsealError(key string, err error) error {
	var known *DamagedError
	if errors.Is(err, seal.ErrDamaged) && !errors.As(err, &known) {
		return &DamagedError{Key: key, Detail: "sealed bytes", Err: err}
	}
	return err
}

// isLocked says whether err means that a sealed object is not damaged as far as can be seen, and cannot be opened with
// the identities at hand: seal.ErrNoIdentity or a *seal.WrongIdentityError.
func isLocked(err error) bool {
	var wrong *seal.WrongIdentityError
	return errors.Is(err, seal.ErrNoIdentity) || errors.As(err, &wrong)
}

// checkForm refuses an object in plain where none can have been stored.
func (s *store) checkForm(key string, sealed bool) error {
	if s.sealed && !sealed {
		return damaged(key, "is not sealed, though all objects of this repository are")
	}
	return nil
}
