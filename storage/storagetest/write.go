package storagetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"lifeboat/storage"
)

var errBody = errors.New("the disk that is read from broke")

func invalidKeys(t *testing.T, b storage.Bucket) {
	for _, key := range []string{
		"", "/", "/a", "a/", "a//b", ".", "..", "../a", "a/../b", "a/./b", ".hidden", "a/.hidden", ".tmp/x", "a b", "ä",
		"a\x00b", "a\nb", "a\\b", "a:b", "a%2fb", "a~", strings.Repeat("k", 256), strings.Repeat("k/", 450) + "k",
	} {
		err := b.Put(t.Context(), key, strings.NewReader("x"), storage.PutOptions{Size: 1})
		for op, err := range map[string]error{
			"put": err, "get": second(b.Get(t.Context(), key, 0, -1)),
			"stat": second(b.Stat(t.Context(), key)), "delete": b.Delete(t.Context(), key),
		} {
			if !errors.Is(err, storage.ErrKey) {
				t.Errorf("%s %q: %v, want %v", op, key, err, storage.ErrKey)
			}
		}
	}
	wantKeys(t, b, "")
}

func longestKeys(t *testing.T, b storage.Bucket) {
	wide := strings.Repeat("w", storage.MaxSegmentLength)
	long := strings.Repeat(wide+"/", 3) + strings.Repeat("l", storage.MaxKeyLength-3*(storage.MaxSegmentLength+1))
	for _, key := range []string{wide + "x", wide, long} {
		err := b.Put(t.Context(), key, strings.NewReader(key), storage.PutOptions{Size: -1})
		if valid := storage.ValidKey(key); valid != (err == nil) {
			t.Fatalf("put at a key of %d bytes: %v", len(key), err)
		}
		if err == nil {
			wantContent(t, b, key, []byte(key))
			if err := b.Delete(t.Context(), key); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func replacing(t *testing.T, b storage.Bucket) {
	for _, text := range []string{"first", "the second, longer", "3"} {
		err := b.Put(t.Context(), "dir/x", strings.NewReader(text), storage.PutOptions{Size: int64(len(text))})
		if err != nil {
			t.Fatal(err)
		}
		wantContent(t, b, "dir/x", []byte(text))
	}
	wantKeys(t, b, "", "dir/x")
}

func conditionalPut(t *testing.T, b storage.Bucket) {
	put(t, b, "dir/x", []byte("first"))
	err := b.Put(t.Context(), "dir/x", strings.NewReader("other"), storage.PutOptions{IfAbsent: true, Size: 5})
	wantError(t, err, storage.ErrExists)
	wantContent(t, b, "dir/x", []byte("first"))
	if err := b.Delete(t.Context(), "dir/x"); err != nil {
		t.Fatal(err)
	}
	put(t, b, "dir/x", []byte("again"))
	wantContent(t, b, "dir/x", []byte("again"))
}

func conditionalRace(t *testing.T, b storage.Bucket) {
	const racers = 32
	for round := range 5 {
		key := fmt.Sprintf("race-%d/new/dir/x", round)
		errs := make([]error, racers)
		start := make(chan struct{})
		var all sync.WaitGroup
		for i := range racers {
			all.Go(func() {
				<-start
				options := storage.PutOptions{IfAbsent: true, Size: -1}
				errs[i] = b.Put(t.Context(), key, content(uint64(i), 64<<10), options)
			})
		}
		close(start)
		all.Wait()
		wantContent(t, b, key, bytesOf(t, uint64(winner(t, errs)), 64<<10))
	}
}

func winner(t *testing.T, errs []error) int {
	t.Helper()
	won := -1
	for i, err := range errs {
		switch {
		case err != nil:
			wantError(t, err, storage.ErrExists)
		case won >= 0:
			t.Fatalf("puts %d and %d both won", won, i)
		default:
			won = i
		}
	}
	if won < 0 {
		t.Fatal("nobody won")
	}
	return won
}

// wholeOrNothing reads without pause while an object appears and is replaced: what is seen is always one of the
// versions, from end to end.
func wholeOrNothing(t *testing.T, b storage.Bucket) {
	const versions, size = 8, mebibyte + 5
	var done atomic.Bool
	var readers sync.WaitGroup
	for range 4 {
		readers.Go(func() {
			for last := false; !last; {
				last = done.Load()
				checkVersion(t, b, size)
			}
		})
	}
	for v := range versions {
		body := bytes.NewReader(bytes.Repeat([]byte{byte(v)}, size))
		if err := b.Put(t.Context(), "dir/x", body, storage.PutOptions{IfAbsent: v == 0, Size: size}); err != nil {
			t.Errorf("put version %d: %v", v, err)
		}
	}
	done.Store(true)
	readers.Wait()
}

func checkVersion(t *testing.T, b storage.Bucket, size int) {
	data, err := get(t, b, "dir/x", 0, -1)
	switch {
	case errors.Is(err, storage.ErrNotFound):
	case err != nil:
		t.Errorf("get: %v", err)
	case len(data) != size || bytes.Count(data, data[:1]) != size:
		t.Errorf("a reader saw a part or a mixture, %d bytes", len(data))
	}
}

func failingBody(t *testing.T, b storage.Bucket) {
	for _, bad := range []error{errBody, io.ErrUnexpectedEOF} {
		for _, size := range []int64{0, 1, mebibyte, 9*mebibyte + 3} {
			for _, announced := range []int64{-1, size, size + 1} {
				body := &brokenReader{content(1, size), bad}
				err := b.Put(t.Context(), "dir/x", body, storage.PutOptions{IfAbsent: true, Size: announced})
				wantError(t, err, bad)
			}
		}
	}
	wantAbsent(t, b, "dir/x")
	put(t, b, "dir/x", []byte("old"))
	err := b.Put(t.Context(), "dir/x", &brokenReader{content(1, 5), errBody}, storage.PutOptions{Size: -1})
	wantError(t, err, errBody)
	wantContent(t, b, "dir/x", []byte("old"))
}

func anotherSize(t *testing.T, b storage.Bucket) {
	for _, size := range []struct{ actual, announced int64 }{
		{0, 1}, {1, 0}, {mebibyte, mebibyte - 1}, {mebibyte, mebibyte + 1}, {9 * mebibyte, 1}, {1, 9 * mebibyte},
	} {
		for _, conditional := range []bool{true, false} {
			options := storage.PutOptions{IfAbsent: conditional, Size: size.announced}
			err := b.Put(t.Context(), "dir/x", content(1, size.actual), options)
			wantError(t, err, storage.ErrSize)
		}
	}
	wantAbsent(t, b, "dir/x")
}

func cancelledPut(t *testing.T, b storage.Bucket) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, conditional := range []bool{true, false} {
		err := b.Put(ctx, "dir/x", content(1, 10), storage.PutOptions{IfAbsent: conditional, Size: 10})
		wantError(t, err, context.Canceled)
	}
	wantAbsent(t, b, "dir/x")
}

// cancellingReader cancels a context once its bytes have been read, and then ends as usual.
type cancellingReader struct {
	io.Reader
	cancel func()
}

func (r *cancellingReader) Read(p []byte) (int, error) {
	n, err := r.Reader.Read(p)
	if err == io.EOF {
		r.cancel()
	}
	return n, err
}

func cancelledDuringPut(t *testing.T, b storage.Bucket) {
	for _, size := range []int64{0, 10, mebibyte, 3*mebibyte + 1} {
		ctx, cancel := context.WithCancel(t.Context())
		body := &cancellingReader{content(1, size), cancel}
		err := b.Put(ctx, "dir/x", body, storage.PutOptions{IfAbsent: true, Size: -1})
		wantError(t, err, context.Canceled)
	}
	wantAbsent(t, b, "dir/x")
}

func deleting(t *testing.T, b storage.Bucket) {
	for _, key := range []string{"x", "dir/x", "dir/y", "deep/er/and/deeper/x"} {
		put(t, b, key, []byte(key))
	}
	for _, key := range []string{"absent", "dir/absent", "no/dir/absent", "dir", "dir/x/below", "x", "dir/x", "deep/er/and/deeper/x"} {
		for range 2 {
			if err := b.Delete(t.Context(), key); err != nil {
				t.Fatalf("delete %s: %v", key, err)
			}
		}
		wantAbsent(t, b, key)
	}
	wantKeys(t, b, "", "dir/y")
	put(t, b, "deep/er/and/deeper/x", []byte("again"))
	wantContent(t, b, "deep/er/and/deeper/x", []byte("again"))
}

// deleteRace puts and deletes objects that share directories: whatever cleaning up a driver does, no put may fail or
// lose its object.
func deleteRace(t *testing.T, b storage.Bucket) {
	var all sync.WaitGroup
	for worker := range 4 {
		all.Go(func() {
			key := fmt.Sprintf("a/b/c/%d", worker)
			for range 60 {
				data := []byte(key)
				err := b.Put(t.Context(), key, bytes.NewReader(data), storage.PutOptions{IfAbsent: true, Size: int64(len(data))})
				if err != nil {
					t.Errorf("put: %v", err)
				}
				if got, err := get(t, b, key, 0, -1); err != nil || !bytes.Equal(got, data) {
					t.Errorf("get: %q, %v", got, err)
				}
				if err := b.Delete(t.Context(), key); err != nil {
					t.Errorf("delete: %v", err)
				}
			}
		})
	}
	all.Wait()
	wantKeys(t, b, "")
}
