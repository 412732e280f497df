package objectstore

import (
	"context"
	"crypto/rand"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"lifeboat/internal/pgtest"
)

// The servers that all tests of a process share, each test with a bucket of its own. They start when the first test asks,
// and die with the process.
var (
	sharedS3 = sync.OnceValues(func() (Server, error) {
		return shared("s3", launchS3)
	})
	sharedGCS = sync.OnceValues(func() (GCSServer, error) {
		return shared("gcs", launchGCS)
	})
)

// shared starts a server that keeps everything in a directory that the next test run removes where this one cannot.
func shared[S any](name string, launch func(dir string) (S, *process, error)) (server S, err error) {
	base, err := pgtest.ProcessDirectory()
	if err != nil {
		return server, err
	}
	for try := range tries {
		dir := filepath.Join(base, fmt.Sprintf("%s-%d", name, try))
		if err = os.Mkdir(dir, 0o700); err != nil {
			return server, err
		}
		if server, _, err = launch(dir); err == nil {
			return server, nil
		}
	}
	return server, err
}

// bucketName is one that no other test has.
func bucketName() string {
	return "bucket-" + strings.ToLower(rand.Text())
}

// newBucket makes a bucket that is removed at the end of the test.
func (s Server) newBucket(t testing.TB) (string, error) {
	name := bucketName()
	dir := filepath.Join(filepath.Dir(s.Directory), name)
	t.Cleanup(func() {
		if err := removeAll(dir); err != nil {
			t.Errorf("remove the bucket: %v", err)
		}
	})
	return name, os.Mkdir(dir, 0o755)
}

// removeAll removes a directory in which the server may still be about to store something for a client that is gone.
func removeAll(dir string) error {
	end := time.Now().Add(time.Minute)
	for {
		err := os.RemoveAll(dir)
		if err == nil || time.Now().After(end) {
			return err
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// emptyGCS gives back the memory in which the server keeps a place's objects.
func emptyGCS(t testing.TB, p *Place) {
	keys, err := keysOf(context.Background(), p.Bucket, "")
	if err == nil {
		err = each(context.Background(), keys, func(ctx context.Context, key string) error { return p.Bucket.Delete(ctx, key) })
	}
	if err != nil && !strings.Contains(err.Error(), "connection refused") {
		t.Errorf("empty the bucket: %v", err)
	}
}
