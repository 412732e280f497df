package seal_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"sync"
	"testing"

	"lifeboat/storage"
	"lifeboat/storage/catalog/seal"
	"lifeboat/storage/file"
)

// asked counts the requests to a bucket.
type asked struct {
	storage.Bucket
	mu          sync.Mutex
	gets, stats int
}

func (a *asked) Get(ctx context.Context, key string, offset, length int64) (io.ReadCloser, error) {
	a.mu.Lock()
	a.gets++
	a.mu.Unlock()
	return a.Bucket.Get(ctx, key, offset, length)
}

func (a *asked) Stat(ctx context.Context, key string) (storage.Info, error) {
	a.mu.Lock()
	a.stats++
	a.mu.Unlock()
	return a.Bucket.Stat(ctx, key)
}

// since returns how many Gets and Stats there were since the last call.
func (a *asked) since() (gets, stats int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	gets, stats = a.gets, a.stats
	a.gets, a.stats = 0, 0
	return gets, stats
}

func bucket(t testing.TB) *asked {
	t.Helper()
	b, err := file.Create(t.TempDir(), file.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return &asked{Bucket: b}
}

func put(t testing.TB, b storage.Bucket, key string, data []byte) {
	t.Helper()
	if err := b.Put(t.Context(), key, bytes.NewReader(data), storage.PutOptions{Size: int64(len(data))}); err != nil {
		t.Fatal(err)
	}
}

func get(ctx context.Context, s *seal.Source, key string, offset, length int64) ([]byte, error) {
	body, err := s.Get(ctx, key, offset, length)
	if err != nil {
		return nil, err
	}
	data, err := io.ReadAll(body)
	return data, errors.Join(err, body.Close())
}

func TestRangesAreSlicesOfThePlainBytes(t *testing.T) {
	t.Parallel()
	b := bucket(t)
	r, i := pair(t, false)
	for _, size := range append(edges, 10*65536, 10*65536+1) {
		plain := content(size)
		sealed, err := r.Seal(plain)
		if err != nil {
			t.Fatal(err)
		}
		for key, data := range map[string][]byte{"plain": plain, "sealed": sealed, "noted": noted(t, r, plain, content(100_000))} {
			put(t, b, key, data)
			wantSlices(t, seal.NewSource(b, i), key, plain)
		}
	}
}

func wantSlices(t *testing.T, s *seal.Source, key string, plain []byte) {
	t.Helper()
	size := int64(len(plain))
	for range 12 {
		from := rand.Int64N(size + 1)
		to := from + rand.Int64N(size-from+1)
		if rand.IntN(3) == 0 {
			to = min(size, (from+65535)/65536*65536)
			from = min(from, to)
		}
		length := to - from
		if to == size && rand.IntN(2) == 0 {
			length = -1
		}
		got, err := get(t.Context(), s, key, from, length)
		if err != nil {
			t.Fatalf("%s of %d bytes, %d from %d: %v", key, size, length, from, err)
		}
		if !bytes.Equal(got, plain[from:to]) {
			t.Fatalf("%s of %d bytes: %d from %d are other bytes", key, size, length, from)
		}
	}
}
