package archive_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"lifeboat/internal/objectstore"
	"lifeboat/internal/pgtest"
	"lifeboat/storage/catalog"
	"lifeboat/storage/catalog/seal"
)

// newSealedScene is newScene with a sealed repository, of which the scene's cluster has the recipient only.
func newSealedScene(t *testing.T, install pgtest.Install, options pgtest.Options) *scene {
	t.Helper()
	place := objectstore.NewSealedPlace(t)
	s := &scene{t: t, place: place, hooks: pgtest.Program(t)}
	s.repository = place.Create(t, time.Now()).With(place.WriterKeys())
	s.start(install, options)
	return s
}

// withIdentity lets the scene read what it has written.
func (s *scene) withIdentity(ctx context.Context) {
	s.t.Helper()
	s.repository = s.repository.With(s.place.Keys)
	var err error
	if s.cluster, err = s.repository.Cluster(ctx, clusterName); err != nil {
		s.t.Fatal(err)
	}
}

func TestAServerWithoutAnIdentityIsBackedUpAndRestored(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	s := newSealedScene(t, pgtest.Newest(t), pgtest.Options{DataChecksums: true, WALSegmentMB: 1, OwnIdentity: true})
	s.Exec(ctx, "CREATE TABLE kept AS SELECT generate_series(1, 1000) AS n")
	label := s.backup(ctx).Label
	s.archived(ctx)
	record, err := s.cluster.Record(ctx, label)
	if err != nil || !errors.Is(record.Locked, seal.ErrNoIdentity) {
		t.Fatalf("record is %+v, %v", record, err)
	}
	if _, err := s.cluster.OpenIndex(ctx, record); !errors.Is(err, seal.ErrNoIdentity) {
		t.Errorf("the index opens: %v", err)
	}
	s.withIdentity(ctx)
	if record, err = s.cluster.Record(ctx, label); err != nil {
		t.Fatal(err)
	}
	dir := s.restore(ctx, record)
	s.verify(ctx, dir)
	s.verifyManifest(dir)
	if n := s.recover(ctx, dir).Value(ctx, "SELECT count(*) FROM kept"); n != "1000" {
		t.Errorf("%s rows came back", n)
	}
}

func TestASealedSegmentIsKnownAgainByTheSecretOfItsCluster(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	s := newSealedScene(t, pgtest.Debian(t), pgtest.Options{Settings: map[string]string{"wal_keep_size": "1GB"}})
	s.Exec(ctx, "CREATE TABLE filler AS SELECT generate_series(1, 1000) AS n")
	s.archived(ctx)
	path := filepath.Join(s.DataDir, "pg_wal", firstSegment)
	if result, err := push(ctx, s.cluster, path); err != nil || result.Stored {
		t.Errorf("the same segment again: %+v, %v", result, err)
	}
	var incomparable *catalog.IncomparableError
	elsewhere := copyAs(t, path, firstSegment, same)
	if result, err := push(ctx, s.cluster, elsewhere); !errors.As(err, &incomparable) || result.Stored {
		t.Errorf("from a place without pg_control: %+v, %v", result, err)
	}
	var conflict *catalog.ConflictError
	other := besideControl(t, s.DataDir, copyAs(t, path, firstSegment, func(b []byte) []byte { b[len(b)-1] ^= 1; return b }))
	if result, err := push(ctx, s.cluster, other); !errors.As(err, &conflict) || result.Stored {
		t.Errorf("other content: %+v, %v", result, err)
	}
	s.withIdentity(ctx)
	if result, err := push(ctx, s.cluster, elsewhere); err != nil || result.Stored {
		t.Errorf("compared by an identity: %+v, %v", result, err)
	}
}

// besideControl moves a WAL file into a directory that looks like a data directory: with the pg_control of another one.
func besideControl(t *testing.T, dataDir, path string) string {
	t.Helper()
	control, err := os.ReadFile(filepath.Join(dataDir, "global/pg_control"))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	moved := filepath.Join(dir, "pg_wal", filepath.Base(path))
	for _, err := range []error{
		os.Mkdir(filepath.Join(dir, "global"), 0o700), os.Mkdir(filepath.Join(dir, "pg_wal"), 0o700),
		os.WriteFile(filepath.Join(dir, "global/pg_control"), control, 0o600), os.Rename(path, moved),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	return moved
}
