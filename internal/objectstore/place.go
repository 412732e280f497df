package objectstore

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"lifeboat/internal/pgtest"
	"lifeboat/storage"
	"lifeboat/storage/catalog"
)

// The environment of a test run says where the tests keep their repositories, and in which form.
const (
	storeVariable  = "LIFEBOAT_TEST_STORE"  // file, s3 or gcs; empty means file
	sealedVariable = "LIFEBOAT_TEST_SEALED" // 1 means sealed and signed, empty means plain
)

// The stores that a Place can be in.
const (
	InFiles = "file"
	InS3    = "s3"
	InGCS   = "gcs"
)

// Place is where one test keeps its repository: a directory, or a bucket of a server that all tests of the process share.
// It ends with the test.
type Place struct {
	// Bucket repeats what fails for a passing reason.
	Bucket storage.Bucket
	// Keys are all that there are for the repository, none where it is plain.
	Keys catalog.Keys
	// File describes the place to other processes, see Reopen. It lies in a directory of PostgreSQL's user.
	File string

	about about
}

// about is the content of a place's file.
type about struct {
	Store string `json:"store"`
	URL   string `json:"url"`
	// Root is the directory of the store "file".
	Root string `json:"root,omitempty"`
	// The server's.
	Endpoint  string `json:"endpoint,omitempty"`
	Region    string `json:"region,omitempty"`
	AccessKey string `json:"access_key,omitempty"`
	SecretKey string `json:"secret_key,omitempty"`
	Bucket    string `json:"bucket,omitempty"`

	Keys *keyFiles `json:"keys,omitempty"`
}

// NewPlace makes the kind of place that the environment asks for.
func NewPlace(t testing.TB) *Place {
	t.Helper()
	store, sealed := asked(t)
	return placeIn(t, store, sealed)
}

// NewSealedPlace is NewPlace for a test of sealing.
func NewSealedPlace(t testing.TB) *Place {
	t.Helper()
	store, _ := asked(t)
	return placeIn(t, store, true)
}

// NewPlainPlace is NewPlace for a test that compares sealed repositories with plain ones.
func NewPlainPlace(t testing.TB) *Place {
	t.Helper()
	store, _ := asked(t)
	return placeIn(t, store, false)
}

// NewKeys are all keys that there can be, which fit nothing.
func NewKeys(t testing.TB) catalog.Keys {
	t.Helper()
	files, err := newKeys(pgtest.TempDir(t))
	if err != nil {
		t.Fatalf("make keys: %v", err)
	}
	keys, err := files.read()
	if err != nil {
		t.Fatalf("make keys: %v", err)
	}
	return keys
}

// Each runs a test with every version of PostgreSQL in the kind of place that the environment asks for, and with the
// newest version Elsewhere.
func Each(t *testing.T, test func(t *testing.T, install pgtest.Install, p *Place)) {
	t.Helper()
	pgtest.Each(t, func(t *testing.T, install pgtest.Install) { test(t, install, NewPlace(t)) })
	Elsewhere(t, func(t *testing.T, p *Place) { test(t, pgtest.Newest(t), p) })
}

// Elsewhere runs a test sealed on S3 and on GCS where the environment asks for no kind of place in particular, so that
// a usual run has seen every store.
func Elsewhere(t *testing.T, test func(t *testing.T, p *Place)) {
	t.Helper()
	if store, sealed := asked(t); store != InFiles || sealed {
		return
	}
	for _, store := range []string{InS3, InGCS} {
		t.Run("sealed on "+store, func(t *testing.T) {
			t.Parallel()
			test(t, placeIn(t, store, true))
		})
	}
}

// asked is what the environment says.
func asked(t testing.TB) (store string, sealed bool) {
	t.Helper()
	store, sealed, err := parseKind(os.Getenv(storeVariable), os.Getenv(sealedVariable))
	if err != nil {
		t.Fatal(err)
	}
	return store, sealed
}

// parseKind refuses a typo, which must not pass for the usual kind of place.
func parseKind(store, sealed string) (string, bool, error) {
	if store == "" {
		store = InFiles
	}
	if !slices.Contains([]string{InFiles, InS3, InGCS}, store) {
		return "", false, fmt.Errorf("%s=%s: it must be %s, %s or %s", storeVariable, store, InFiles, InS3, InGCS)
	}
	if !slices.Contains([]string{"", "0", "1"}, sealed) {
		return "", false, fmt.Errorf("%s=%s: it must be 0 or 1", sealedVariable, sealed)
	}
	return store, sealed == "1", nil
}

func placeIn(t testing.TB, store string, sealed bool) *Place {
	t.Helper()
	var keys *keyFiles
	if sealed {
		var err error
		if keys, err = newKeys(pgtest.TempDir(t)); err != nil {
			t.Fatalf("make keys: %v", err)
		}
	}
	return newPlace(t, store, keys)
}

// Copy is another place of the same kind and with the same keys, that holds the same objects.
func (p *Place) Copy(t testing.TB) *Place {
	t.Helper()
	c := newPlace(t, p.about.Store, p.about.Keys)
	if err := copyObjects(t.Context(), c.Bucket, p.Bucket); err != nil {
		t.Fatalf("copy the repository: %v", err)
	}
	return c
}

func newPlace(t testing.TB, store string, keys *keyFiles) *Place {
	t.Helper()
	a, err := prepare(t, store)
	if err != nil {
		t.Fatalf("make a place in %s: %v", store, err)
	}
	a.Keys = keys
	p, err := a.open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if store == InGCS {
		t.Cleanup(func() { emptyGCS(t, p) })
	}
	text, err := json.Marshal(a)
	if err != nil {
		t.Fatal(err)
	}
	p.File = filepath.Join(pgtest.TempDir(t), "place.json")
	if err := writePrivate(p.File, text); err != nil {
		t.Fatal(err)
	}
	return p
}

// Reopen opens a place that another process has made and that this File describes.
func Reopen(ctx context.Context, file string) (*Place, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var a about
	if err := json.Unmarshal(text, &a); err != nil {
		return nil, fmt.Errorf("place %s: %w", file, err)
	}
	p, err := a.open(ctx)
	if err != nil {
		return nil, err
	}
	p.File = file
	return p, nil
}

// Create makes the repository, to be read and written with all keys of the place.
func (p *Place) Create(t testing.TB, now time.Time) *catalog.Repository {
	t.Helper()
	create := catalog.Create
	if p.Sealed() {
		create = catalog.CreateSealed
	}
	repository, err := create(t.Context(), p.Bucket, now)
	if err != nil {
		t.Fatal(err)
	}
	return repository.With(p.Keys)
}

// Open opens the repository, to be read and written with all keys of the place.
func (p *Place) Open(ctx context.Context) (*catalog.Repository, error) {
	return p.OpenWith(ctx, p.Keys)
}

// OpenWith opens the repository with other keys.
func (p *Place) OpenWith(ctx context.Context, keys catalog.Keys) (*catalog.Repository, error) {
	repository, err := catalog.Open(ctx, p.Bucket)
	if err != nil {
		return nil, err
	}
	return repository.With(keys), nil
}

// Sealed reports whether there are keys.
func (p *Place) Sealed() bool { return p.Keys.Recipients != nil }

// WriterKeys are those of a machine that makes backups: it seals and signs, and cannot open what is sealed.
func (p *Place) WriterKeys() catalog.Keys {
	keys := p.Keys
	keys.Identities = nil
	return keys
}

// Store is InFiles, InS3 or InGCS.
func (p *Place) Store() string { return p.about.Store }

// Root is the directory of a place in files, and empty elsewhere.
func (p *Place) Root() string { return p.about.Root }

// IdentityFile is the file with the identity of a sealed place, which WriterYAML does not name.
func (p *Place) IdentityFile() string { return p.about.Keys.Identity }
