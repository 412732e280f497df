package gcs_test

import (
	"log/slog"
	"testing"
	"time"

	"lifeboat/internal/objectstore"
	"lifeboat/storage"
	"lifeboat/storage/gcs"
	"lifeboat/storage/retry"
	"lifeboat/storage/storagetest"
)

func TestConformance(t *testing.T) {
	t.Parallel()
	storagetest.Run(t, func(t *testing.T) storage.Bucket { return open(t, options(t, objectstore.GCS(t))) })
}

func TestConformanceWithPrefix(t *testing.T) {
	t.Parallel()
	storagetest.Run(t, func(t *testing.T) storage.Bucket {
		o := options(t, objectstore.GCS(t))
		put(t, open(t, o), "backup-of-others/x", "x")
		put(t, open(t, o), "backups", "x")
		o.Prefix = "backup"
		return open(t, o)
	})
}

func TestConformanceThroughRetry(t *testing.T) {
	t.Parallel()
	storagetest.Run(t, func(t *testing.T) storage.Bucket {
		o := options(t, objectstore.GCS(t))
		return retry.Wrap(open(t, o), o.Retry)
	})
}

// options are those for a server of the tests: with the patience of a busy machine.
func options(t *testing.T, s objectstore.GCSServer) gcs.Options {
	log := slog.New(slog.NewTextHandler(t.Output(), nil))
	return gcs.Options{
		Bucket: s.Bucket, Endpoint: s.Endpoint, Now: time.Now, Log: log,
		Retry: retry.Options{
			MinDelay: time.Millisecond, MaxDelay: 10 * time.Millisecond, AttemptTimeout: time.Minute, TotalTimeout: time.Minute,
			Now: time.Now, Log: log,
		},
	}
}

func open(t *testing.T, o gcs.Options) *gcs.Bucket {
	t.Helper()
	b, err := gcs.Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	return b
}
