package s3_test

import (
	"testing"
	"time"

	"lifeboat/internal/objectstore"
	"lifeboat/storage"
	"lifeboat/storage/retry"
	"lifeboat/storage/storagetest"
)

func TestConformance(t *testing.T) {
	t.Parallel()
	storagetest.Run(t, func(t *testing.T) storage.Bucket { return open(t, options(objectstore.S3(t))) })
}

func TestConformanceBelowAPrefix(t *testing.T) {
	t.Parallel()
	storagetest.Run(t, func(t *testing.T) storage.Bucket {
		o := options(objectstore.S3(t))
		beside := open(t, o)
		for _, key := range []string{"some/prefi", "some/prefix-beside", "some/prefixbeside/x", "some/z", "a"} {
			put(t, beside, key, "not below the prefix")
		}
		o.Prefix = "some/prefix"
		return open(t, o)
	})
}

func TestConformanceWithRetries(t *testing.T) {
	t.Parallel()
	storagetest.Run(t, func(t *testing.T) storage.Bucket {
		return retry.Wrap(open(t, options(objectstore.S3(t))), retry.Options{Now: time.Now, AttemptTimeout: time.Minute})
	})
}
