package archive_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"lifeboat/archive"
	"lifeboat/internal/objectstore"
	"lifeboat/internal/pgtest"
	"lifeboat/storage"
	"lifeboat/storage/catalog"
	"lifeboat/storage/file"
)

// watched is a bucket that counts, and lets who puts WAL wait.
type watched struct {
	storage.Bucket
	requests, putting atomic.Int64
	hold              chan struct{} // closed: nobody waits
}

func (w *watched) Put(ctx context.Context, key string, body io.Reader, opts storage.PutOptions) error {
	w.requests.Add(1)
	w.putting.Add(1)
	defer w.putting.Add(-1)
	<-w.hold
	return w.Bucket.Put(ctx, key, body, opts)
}

func (w *watched) Get(ctx context.Context, key string, offset, length int64) (io.ReadCloser, error) {
	w.requests.Add(1)
	return w.Bucket.Get(ctx, key, offset, length)
}

// backlog is a stopped server's segments, and a cluster in a bucket that is watched.
type backlog struct {
	segments []string // paths
	bucket   *watched
	cluster  *catalog.Cluster
	options  archive.PushOptions
}

// newBacklog has an intake with one place, which is all that segments of that size would get.
func newBacklog(t *testing.T) *backlog {
	t.Helper()
	server := pgtest.Start(t, pgtest.Debian(t), pgtest.Options{Settings: map[string]string{"wal_keep_size": "1GB"}})
	for range 4 {
		server.Exec(t.Context(), "CREATE TABLE IF NOT EXISTS filler (n int)")
		server.Exec(t.Context(), "INSERT INTO filler SELECT generate_series(1, 20000)")
		server.Exec(t.Context(), "SELECT pg_switch_wal()")
	}
	identity := objectstore.Identity(t, server)
	server.Stop()
	bucket, err := file.Create(filepath.Join(t.TempDir(), "repository"), file.Options{Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { bucket.Close() })
	b := &backlog{bucket: &watched{Bucket: bucket, hold: make(chan struct{})}}
	repository, err := catalog.Create(t.Context(), bucket, time.Now())
	if err == nil {
		_, err = repository.Register(t.Context(), clusterName, identity, time.Now())
	}
	if err == nil {
		repository, err = catalog.Open(t.Context(), b.bucket)
	}
	if err == nil {
		b.cluster, err = repository.Cluster(t.Context(), clusterName)
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"000000010000000000000001", "000000010000000000000002", "000000010000000000000003", "000000010000000000000004"} {
		b.segments = append(b.segments, filepath.Join(server.DataDir, "pg_wal", name))
	}
	b.bucket.requests.Store(0)
	b.options = archive.PushOptions{Clock: time.Now, Intake: archive.NewIntake(1 << 30)}
	return b
}

func TestUploadsGoOnWhileTheNextFilesAreTakenIn(t *testing.T) {
	t.Parallel()
	b := newBacklog(t)
	var group errgroup.Group
	for _, path := range b.segments {
		group.Go(func() error {
			_, err := archive.Push(t.Context(), b.cluster, path, b.options)
			return err
		})
	}
	for deadline := time.Now().Add(patience); b.bucket.putting.Load() < int64(len(b.segments)); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Errorf("%d of %d are on their way at once", b.bucket.putting.Load(), len(b.segments))
			break
		}
	}
	close(b.bucket.hold)
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
	for _, path := range b.segments {
		var got bytes.Buffer
		_, err := b.cluster.GetWAL(t.Context(), parseName(t, filepath.Base(path)), &got)
		want, readErr := os.ReadFile(path)
		if err := errors.Join(err, readErr); err != nil || !bytes.Equal(got.Bytes(), want) {
			t.Errorf("%s is stored as another file: %v", filepath.Base(path), err)
		}
	}
}

func TestAFileThatTheIntakeHasSeenStoredCostsNoRequest(t *testing.T) {
	t.Parallel()
	b := newBacklog(t)
	close(b.bucket.hold)
	path := b.segments[0]
	for _, stored := range []bool{true, false} {
		result, err := archive.Push(t.Context(), b.cluster, path, b.options)
		if err != nil || result.Stored != stored || b.bucket.requests.Load() != 1 {
			t.Errorf("%+v, %v after %d requests", result, err, b.bucket.requests.Load())
		}
	}
	other := copyAs(t, path, filepath.Base(path), func(content []byte) []byte {
		content[len(content)-1] ^= 1 // behind the switch, where nothing is checked
		return content
	})
	var conflict *catalog.ConflictError
	if _, err := archive.Push(t.Context(), b.cluster, other, b.options); !errors.As(err, &conflict) {
		t.Errorf("other content under the name: %v", err)
	}
}

func TestWhatIsRefusedLeavesItsPlaceToTheNext(t *testing.T) {
	t.Parallel()
	b := newBacklog(t)
	close(b.bucket.hold)
	damaged := copyAs(t, b.segments[0], filepath.Base(b.segments[0]), func(content []byte) []byte {
		return spoilt(content, 9000)
	})
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for _, path := range []string{damaged, filepath.Join(t.TempDir(), "000000010000000000000009"), filepath.Join(t.TempDir(), "bad")} {
		if _, err := archive.Push(ctx, b.cluster, path, b.options); err == nil {
			t.Errorf("%s was taken", path)
		}
	}
	if _, err := archive.Push(ctx, b.cluster, b.segments[0], b.options); err != nil {
		t.Error(err)
	}
}
