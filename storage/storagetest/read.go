package storagetest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"strings"
	"testing"
	"time"

	"lifeboat/storage"
)

const mebibyte = 1 << 20

func readsBack(t *testing.T, b storage.Bucket) {
	for i, size := range []int64{1, 2, 4095, 4096, mebibyte - 1, mebibyte, mebibyte + 1, 5 * mebibyte} {
		key := fmt.Sprintf("objects/%d", size)
		data := bytesOf(t, uint64(i), size)
		put(t, b, key, data)
		wantContent(t, b, key, data)
		info, err := b.Stat(t.Context(), key)
		if err != nil {
			t.Fatal(err)
		}
		if info.Key != key || info.Size != size || time.Since(info.ModTime).Abs() > time.Hour {
			t.Fatalf("stat says %+v", info)
		}
	}
}

func streams(t *testing.T, b storage.Bucket) {
	const size = 64 * mebibyte
	sent, received := sha256.New(), sha256.New()
	body := io.TeeReader(content(7, size), sent)
	if err := b.Put(t.Context(), "large", body, storage.PutOptions{Size: -1}); err != nil {
		t.Fatal(err)
	}
	r, err := b.Get(t.Context(), "large", 0, size)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if n, err := io.Copy(received, r); err != nil || n != size {
		t.Fatalf("read %d bytes: %v", n, err)
	}
	if !sameSum(sent, received) {
		t.Fatal("the object reads back as other bytes")
	}
}

func sameSum(a, b hash.Hash) bool { return bytes.Equal(a.Sum(nil), b.Sum(nil)) }

func ranges(t *testing.T, b storage.Bucket) {
	data := bytesOf(t, 1, 3*mebibyte+17)
	size := int64(len(data))
	put(t, b, "r", data)
	for _, r := range []struct{ offset, length int64 }{
		{0, 0}, {0, 1}, {0, size}, {0, -1}, {1, -1}, {1, size - 1}, {mebibyte, mebibyte}, {mebibyte - 1, 2},
		{size - 1, 1}, {size - 1, -1}, {size, 0}, {size, -1}, {17, 0},
	} {
		got, err := get(t, b, "r", r.offset, r.length)
		if err != nil {
			t.Fatalf("get %+v: %v", r, err)
		}
		end := size
		if r.length >= 0 {
			end = r.offset + r.length
		}
		if !bytes.Equal(got, data[r.offset:end]) {
			t.Fatalf("get %+v gives other bytes", r)
		}
	}
}

func rangesOutside(t *testing.T, b storage.Bucket) {
	put(t, b, "r", []byte("ten bytes."))
	for _, r := range []struct{ offset, length int64 }{
		{0, 11}, {10, 1}, {11, 0}, {11, -1}, {9, 2}, {-1, 1}, {-1, -1}, {1 << 40, 1}, {1, 1<<63 - 1},
	} {
		if _, err := get(t, b, "r", r.offset, r.length); !errors.Is(err, storage.ErrRange) {
			t.Errorf("get %+v of 10 bytes: %v, want %v", r, err, storage.ErrRange)
		}
	}
}

func emptyObject(t *testing.T, b storage.Bucket) {
	put(t, b, "empty", nil)
	wantContent(t, b, "empty", nil)
	info, err := b.Stat(t.Context(), "empty")
	if err != nil || info.Size != 0 {
		t.Fatalf("stat says %+v, %v", info, err)
	}
	err = b.Put(t.Context(), "empty", strings.NewReader(""), storage.PutOptions{IfAbsent: true, Size: 0})
	wantError(t, err, storage.ErrExists)
}

func absentObject(t *testing.T, b storage.Bucket) {
	put(t, b, "dir/there", []byte("x"))
	for _, key := range []string{"absent", "dir/absent", "no/such/dir/absent", "dir", "dir/there/below", "dir/ther"} {
		wantAbsent(t, b, key)
		wantError(t, second(b.Get(t.Context(), key, 5, 5)), storage.ErrNotFound)
	}
}

func location(t *testing.T, b storage.Bucket) {
	if !strings.Contains(b.Location(), "://") {
		t.Fatalf("location %q is no URL", b.Location())
	}
	_, err := b.Stat(t.Context(), "absent")
	var detail *storage.Error
	if !errors.As(err, &detail) || detail.Op != "stat" || detail.Key != "absent" || detail.Location != b.Location() {
		t.Fatalf("the error does not tell operation, key and place: %v", err)
	}
}

func cancelledReads(t *testing.T, b storage.Bucket) {
	put(t, b, "x", bytesOf(t, 1, 4*mebibyte))
	ctx, cancel := context.WithCancel(t.Context())
	body, err := b.Get(ctx, "x", 0, -1)
	if err != nil {
		t.Fatal(err)
	}
	defer body.Close()
	cancel()
	wantError(t, second(io.ReadAll(body)), context.Canceled)
	wantError(t, second(b.Get(ctx, "x", 0, -1)), context.Canceled)
	wantError(t, second(b.Stat(ctx, "x")), context.Canceled)
	wantError(t, b.Delete(ctx, "x"), context.Canceled)
	wantError(t, second(keys(b.List(ctx, ""))), context.Canceled)
	if _, err := b.Stat(t.Context(), "x"); err != nil {
		t.Fatalf("the object went with the cancelled delete: %v", err)
	}
}
