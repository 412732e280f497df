package storagetest

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"testing"

	"lifeboat/storage"
)

// content gives size bytes that differ from seed to seed and from place to place.
func content(seed uint64, size int64) io.Reader {
	source := rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8), byte(seed >> 16)})
	return io.LimitReader(source, size)
}

func bytesOf(t *testing.T, seed uint64, size int64) []byte {
	t.Helper()
	data, err := io.ReadAll(content(seed, size))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func put(t *testing.T, b storage.Bucket, key string, data []byte) {
	t.Helper()
	err := b.Put(t.Context(), key, bytes.NewReader(data), storage.PutOptions{IfAbsent: true, Size: int64(len(data))})
	if err != nil {
		t.Fatalf("put: %v", err)
	}
}

// get reads a range and checks that the body ends properly.
func get(t *testing.T, b storage.Bucket, key string, offset, length int64) ([]byte, error) {
	body, err := b.Get(t.Context(), key, offset, length)
	if err != nil {
		return nil, err
	}
	data, err := io.ReadAll(body)
	return data, errors.Join(err, body.Close())
}

func wantContent(t *testing.T, b storage.Bucket, key string, want []byte) {
	t.Helper()
	got, err := get(t, b, key, 0, -1)
	if err != nil {
		t.Fatalf("get: %v", err)
	}
	if !bytes.Equal(got, want) {
		t.Fatalf("%s reads back as other bytes: %d bytes, put %d", key, len(got), len(want))
	}
}

// wantAbsent checks that no trace of key can be seen, whichever way one looks.
func wantAbsent(t *testing.T, b storage.Bucket, key string) {
	t.Helper()
	wantError(t, second(b.Stat(t.Context(), key)), storage.ErrNotFound)
	wantError(t, second(b.Get(t.Context(), key, 0, -1)), storage.ErrNotFound)
	for info, err := range b.List(t.Context(), "") {
		if err != nil {
			t.Fatalf("list: %v", err)
		}
		if info.Key == key {
			t.Fatalf("%s is listed", key)
		}
	}
}

func wantError(t *testing.T, got, want error) {
	t.Helper()
	if !errors.Is(got, want) {
		t.Fatalf("got error %v, want %v", got, want)
	}
}

func second[T any](_ T, err error) error { return err }

// brokenReader gives bytes and then an error.
type brokenReader struct {
	good io.Reader
	err  error
}

func (r *brokenReader) Read(p []byte) (int, error) {
	n, err := r.good.Read(p)
	if err == io.EOF {
		err = r.err
	}
	return n, err
}
