package catalog

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"lifeboat/internal/wal"
	"lifeboat/storage"
	"lifeboat/storage/fault"
	"lifeboat/storage/file"
)

// sceneTime is now, for the tests of this package.
var sceneTime = time.Date(2026, 11, 22, 10, 21, 3, 0, time.UTC)

var errOutage = errors.New("the store is on fire")

// scene is a repository in a directory with one cluster of 1 MiB segments.
type scene struct {
	dir     string
	bucket  storage.Bucket
	repo    *Repository
	cluster *Cluster
}

func sceneIdentity() Identity {
	return Identity{SystemIdentifier: 7123456789012345678, WALSegmentSize: wal.MinSegmentSize}
}

func newScene(t *testing.T) *scene {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "repository")
	bucket := must(file.Create(dir, file.Options{Now: func() time.Time { return sceneTime }}))(t)
	t.Cleanup(func() { bucket.Close() })
	repo := must(Create(t.Context(), bucket, sceneTime))(t)
	cluster := must(repo.Register(t.Context(), "main", sceneIdentity(), sceneTime))(t)
	return &scene{dir: dir, bucket: bucket, repo: repo, cluster: cluster}
}

// faulty is the scene's cluster seen through a store that fails by the script, all of which must happen.
func (s *scene) faulty(t *testing.T, rules ...fault.Rule) *Cluster {
	t.Helper()
	set := fault.NewSet(rules...)
	t.Cleanup(func() {
		if err := set.AllFired(); err != nil {
			t.Error(err)
		}
	})
	return s.through(fault.Wrap(s.bucket, set))
}

// through is the scene's cluster seen through another bucket.
func (s *scene) through(b storage.Bucket) *Cluster {
	c := *s.cluster
	c.store, c.codecs = newStore(b, s.repo.keys, s.repo.sealed), newCodecs()
	return &c
}

func (s *scene) path(key string) string { return filepath.Join(s.dir, filepath.FromSlash(key)) }

// object is the stored bytes at the key.
func (s *scene) object(t *testing.T, key string) []byte {
	t.Helper()
	return must(os.ReadFile(s.path(key)))(t)
}

// overwrite puts other bytes at the key, as a bad disk or an intruder would.
func (s *scene) overwrite(t *testing.T, key string, content []byte) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(s.path(key)), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(s.path(key), content, 0o600); err != nil {
		t.Fatal(err)
	}
}

// put archives a file that must be new.
func (s *scene) put(t *testing.T, f WALFile) {
	t.Helper()
	if stored, err := s.cluster.PutWAL(t.Context(), f, sceneTime); err != nil || !stored {
		t.Fatalf("PutWAL(%s) = %v, %v", f.Name, stored, err)
	}
}

// segment is a made-up segment whose content depends on its name and the seed only.
func segment(t *testing.T, name, seed string) WALFile {
	t.Helper()
	f := fileOf(t, name, segmentBytes(name+seed))
	start := f.Name.Start(wal.MinSegmentSize)
	f.Summary = &wal.Summary{
		Version: 15, SystemIdentifier: sceneIdentity().SystemIdentifier, SegmentSize: wal.MinSegmentSize,
		Timeline: f.Name.Timeline, FirstRecord: start + 40, LastRecord: start + 4000, LastRecordEnd: start + 4100,
		FirstTime: sceneTime, LastTime: sceneTime.Add(time.Minute),
		FirstXactTime: sceneTime, LastXactTime: sceneTime.Add(time.Second), MinXID: 700, MaxXID: 900,
		RestorePoints: []wal.RestorePoint{{Name: "before the move", LSN: start + 4000, Time: sceneTime}},
		Tablespaces:   []string{"/mnt/fast"},
	}
	return f
}

// segmentBytes is one MiB that hardly compresses at its start and well behind.
func segmentBytes(seed string) []byte {
	content := make([]byte, wal.MinSegmentSize)
	sum := sha256.Sum256([]byte(seed))
	for at := 0; at < 4096; at += len(sum) {
		copy(content[at:], sum[:])
		sum = sha256.Sum256(sum[:])
	}
	return content
}

func fileOf(t *testing.T, name string, content []byte) WALFile {
	t.Helper()
	return WALFile{
		Name:   must(wal.ParseFileName(name))(t),
		Size:   int64(len(content)),
		Open:   func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(content)), nil },
		Secret: sceneSecret,
	}
}

func contentOf(t *testing.T, f WALFile) []byte {
	t.Helper()
	r := must(f.Open())(t)
	return must(io.ReadAll(r))(t)
}

// get reads a file that must be there and whole.
func (c *Cluster) mustGet(t *testing.T, name wal.FileName) []byte {
	t.Helper()
	var got bytes.Buffer
	if _, err := c.GetWAL(t.Context(), name, &got); err != nil {
		t.Fatalf("GetWAL(%s): %v", name, err)
	}
	return got.Bytes()
}

// must ends the test where a call that cannot fail does.
func must[T any](v T, err error) func(*testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func isDamaged(err error) bool {
	var damage *DamagedError
	return errors.As(err, &damage)
}

// readAll reads every file of the cluster by each way there is, for tests of what an outage looks like.
func readEach(ctx context.Context, c *Cluster, name wal.FileName) map[string]error {
	_, getErr := c.GetWAL(ctx, name, io.Discard)
	_, headerErr := c.WALHeader(ctx, name)
	return map[string]error{"GetWAL": getErr, "WALHeader": headerErr}
}
