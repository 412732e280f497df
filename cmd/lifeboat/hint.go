package main

import (
	"errors"

	"lifeboat/archive"
	"lifeboat/storage"
	"lifeboat/storage/catalog"
)

// hintOf says what the operator can do about an error, or nothing where that is not known.
func hintOf(err error) string {
	var (
		operator *archive.OperatorError
		foreign  *catalog.ForeignError
		damaged  *catalog.DamagedError
		knowing  interface{ Hint() string }
	)
	switch {
	case errors.As(err, &knowing) && knowing.Hint() != "":
		return knowing.Hint()
	case errors.As(err, &operator):
		return operator.Hint
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
