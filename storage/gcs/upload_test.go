package gcs_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/iotest"
	"time"

	"lifeboat/storage"
)

const mebibyte = 1 << 20

func random(seed byte, size int) []byte {
	data := make([]byte, size)
	_, _ = rand.NewChaCha8([32]byte{seed}).Read(data)
	return data
}

// stream hides that a body can be read twice and how long it is.
func stream(data []byte) io.Reader { return io.MultiReader(bytes.NewReader(data)) }

// nth makes a fault of the requests that match, counted from one.
func nth(match func(*http.Request) bool, n int64, fault func(http.ResponseWriter, *http.Request, http.Handler) bool) func(http.ResponseWriter, *http.Request, http.Handler) bool {
	var seen atomic.Int64
	return func(w http.ResponseWriter, r *http.Request, next http.Handler) bool {
		return match(r) && seen.Add(1) == n && fault(w, r, next)
	}
}

func isPut(r *http.Request) bool {
	return r.Method == http.MethodPost && r.URL.Query().Get("uploadType") == "multipart"
}

func isBegin(r *http.Request) bool {
	return r.Method == http.MethodPost && !isPut(r) && !isChunk(r)
}

func unavailable(w http.ResponseWriter, _ *http.Request, _ http.Handler) bool {
	refuse(w, http.StatusServiceUnavailable, "backendError", "Backend Error")
	return true
}

// cutMidway takes half of a chunk, which the store then has or not, and cuts the connection.
func cutMidway(w http.ResponseWriter, r *http.Request, _ http.Handler) bool {
	_, _ = io.CopyN(io.Discard, r.Body, r.ContentLength/2)
	return cut(w)
}

func TestInterruptedUploadGoesOn(t *testing.T) {
	t.Parallel()
	data := random(1, 20*mebibyte+17) // three chunks
	for name, fault := range map[string]func(http.ResponseWriter, *http.Request, http.Handler) bool{
		"nothing":                       nil,
		"begin is refused for now":      nth(isBegin, 1, unavailable),
		"begin's answer is lost":        nth(isBegin, 1, loseAnswer),
		"first chunk is cut":            nth(isChunk, 1, cutMidway),
		"second chunk is cut":           nth(isChunk, 2, cutMidway),
		"second chunk's answer is lost": nth(isChunk, 2, loseAnswer),
		"second chunk is refused":       nth(isChunk, 2, unavailable),
		"last chunk is cut":             nth(isChunk, 3, cutMidway),
		"last chunk's answer is lost":   nth(isChunk, 3, loseAnswer), // the session is forgotten then
	} {
		for _, conditional := range []bool{true, false} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				s := &store{fault: fault}
				b := open(t, options(t, s.serve(t)))
				err := b.Put(t.Context(), "large", stream(data), storage.PutOptions{IfAbsent: conditional, Size: -1})
				if err != nil {
					t.Fatal(err)
				}
				if !bytes.Equal(s.bytesAt("large"), data) {
					t.Fatal("the store has other bytes")
				}
			})
			if fault != nil {
				break // counts once
			}
		}
	}
}

// A store may keep a part of a chunk only; the next one must not leave a hole.
func TestPartlyStoredChunkIsSentOn(t *testing.T) {
	t.Parallel()
	data := random(2, 70*mebibyte+1)
	s := &store{keep: func(had, got int64) int64 {
		if got > mebibyte && had%(3*mebibyte) != 0 {
			return got / 2 / (256 << 10) * (256 << 10)
		}
		return got
	}}
	b := open(t, options(t, s.serve(t)))
	if err := b.Put(t.Context(), "large", stream(data), storage.PutOptions{IfAbsent: true, Size: -1}); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(s.bytesAt("large"), data) {
		t.Fatal("the store has other bytes")
	}
}

func TestUploadThatIsNeverStoredGivesUp(t *testing.T) {
	t.Parallel()
	for name, s := range map[string]*store{
		"nothing of a chunk is kept": {keep: func(int64, int64) int64 { return 0 }},
		"chunks are refused": {fault: func(w http.ResponseWriter, r *http.Request, n http.Handler) bool {
			return isChunk(r) && unavailable(w, r, n)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := options(t, s.serve(t))
			o.Retry.TotalTimeout = 300 * time.Millisecond
			err := open(t, o).Put(t.Context(), "large", stream(random(1, 9*mebibyte)), storage.PutOptions{Size: -1})
			if !errors.Is(err, storage.ErrUnavailable) || !strings.Contains(err.Error(), "gave up after") {
				t.Fatalf("put: %v", err)
			}
			if strings.Contains(err.Error(), "SECRET") {
				t.Fatalf("the error tells the session: %v", err)
			}
			if s.bytesAt("large") != nil || len(s.ended) != 1 {
				t.Fatalf("the put left something, %d sessions ended", len(s.ended))
			}
		})
	}
}

func TestStalledChunkIsSentAgain(t *testing.T) {
	t.Parallel()
	data := random(3, 9*mebibyte)
	s := &store{fault: nth(isChunk, 1, func(_ http.ResponseWriter, r *http.Request, _ http.Handler) bool {
		_, _ = io.Copy(io.Discard, r.Body)
		<-r.Context().Done() // the client has enough
		return true
	})}
	o := options(t, s.serve(t))
	o.Retry.AttemptTimeout, o.Retry.TotalTimeout = 2*time.Second, time.Minute // a busy machine takes its time
	if err := open(t, o).Put(t.Context(), "large", stream(data), storage.PutOptions{Size: -1}); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(s.bytesAt("large"), data) {
		t.Fatal("the store has other bytes")
	}
}

// Who waits for a put hears of the bytes of a chunk as they go, so that a slow chunk is no stall to anybody.
func TestProgressWithinChunksIsTold(t *testing.T) {
	t.Parallel()
	for _, size := range []int{7 * mebibyte, 20 * mebibyte} {
		var told atomic.Int64
		ctx := storage.WithProgress(t.Context(), func() { told.Add(1) })
		b := open(t, options(t, (&store{}).serve(t)))
		if err := b.Put(ctx, "a", stream(random(4, size)), storage.PutOptions{Size: -1}); err != nil {
			t.Fatal(err)
		}
		if want := int64(size / mebibyte); told.Load() < want {
			t.Errorf("of %d bytes told %d times, not %d", size, told.Load(), want)
		}
	}
}

func TestEndedContextLeavesNothing(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	s := &store{fault: nth(isChunk, 2, func(_ http.ResponseWriter, r *http.Request, _ http.Handler) bool {
		cancel()
		_, _ = io.Copy(io.Discard, r.Body) // until it breaks off
		<-r.Context().Done()               // also where all of it was on its way already
		return true
	})}
	b := open(t, options(t, s.serve(t)))
	err := b.Put(ctx, "large", stream(random(1, 30*mebibyte)), storage.PutOptions{IfAbsent: true, Size: -1})
	if !errors.Is(err, context.Canceled) {
		t.Fatalf("put: %v", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.objects) != 0 || len(s.sessions) != 0 || len(s.ended) != 1 {
		t.Fatalf("%d objects and %d sessions are left", len(s.objects), len(s.sessions))
	}
}

func TestFailedBodyLeavesNothing(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken disk")
	for _, size := range []int{10, 8 * mebibyte, 8*mebibyte + 1, 16 * mebibyte, 21 * mebibyte} {
		for _, bad := range []error{broken, io.ErrUnexpectedEOF, context.DeadlineExceeded} {
			s := &store{}
			b := open(t, options(t, s.serve(t)))
			body := io.MultiReader(bytes.NewReader(random(1, size)), iotest.ErrReader(bad))
			if err := b.Put(t.Context(), "x", body, storage.PutOptions{IfAbsent: true, Size: -1}); !errors.Is(err, bad) {
				t.Fatalf("put: %v", err)
			}
			for _, announced := range []int64{int64(size) - 1, int64(size) + 1} {
				err := b.Put(t.Context(), "x", bytes.NewReader(random(1, size)), storage.PutOptions{Size: announced})
				if !errors.Is(err, storage.ErrSize) {
					t.Fatalf("put of %d bytes as %d: %v", size, announced, err)
				}
			}
			if len(s.objects) != 0 || len(s.sessions) != 0 {
				t.Fatalf("%d objects and %d sessions are left", len(s.objects), len(s.sessions))
			}
		}
	}
}

func TestSizesAtTheEdgesOfChunks(t *testing.T) {
	t.Parallel()
	s := &store{}
	b := open(t, options(t, s.serve(t)))
	for _, size := range []int{0, 1, 8*mebibyte - 1, 8 * mebibyte, 8*mebibyte + 1, 16 * mebibyte, 16*mebibyte + 1} {
		data := random(5, size)
		for _, announced := range []int64{-1, int64(size)} {
			if err := b.Put(t.Context(), "x", stream(data), storage.PutOptions{Size: announced}); err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(s.bytesAt("x"), data) {
				t.Fatalf("of %d bytes the store has others", size)
			}
		}
	}
}
