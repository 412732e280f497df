package gcs_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"lifeboat/storage"
	"lifeboat/storage/retry"
)

func isRead(r *http.Request) bool { return r.URL.Query().Get("alt") == "media" }

// passOn lets the store answer and changes the answer on its way.
func passOn(change func(header http.Header, body []byte) (status int, changed []byte)) func(http.ResponseWriter, *http.Request, http.Handler) bool {
	return func(w http.ResponseWriter, r *http.Request, next http.Handler) bool {
		if !isRead(r) {
			return false
		}
		recorder := httptest.NewRecorder()
		next.ServeHTTP(recorder, r)
		for name, values := range recorder.Header() {
			w.Header()[name] = values
		}
		status, body := change(w.Header(), recorder.Body.Bytes())
		if status == 0 {
			status = recorder.Code
		}
		w.WriteHeader(status)
		_, _ = w.Write(body)
		return true
	}
}

func read(t *testing.T, b storage.Bucket, key string, offset, length int64) ([]byte, error) {
	t.Helper()
	body, err := b.Get(t.Context(), key, offset, length)
	if err != nil {
		return nil, err
	}
	defer body.Close()
	return io.ReadAll(body)
}

// A body that ends early is an error, at once: to open it again is for who has the patience.
func TestTruncatedBody(t *testing.T) {
	t.Parallel()
	var reads atomic.Int64
	s := &store{}
	b := open(t, options(t, s.serve(t)))
	data := random(1, 100_000)
	put(t, b, "a", string(data))
	s.fault = passOn(func(_ http.Header, body []byte) (int, []byte) {
		reads.Add(1)
		return 0, body[:len(body)/2] // Content-Length says more
	})
	for _, length := range []int64{-1, 100_000} {
		reads.Store(0)
		got, err := read(t, b, "a", 0, length)
		if !errors.Is(err, io.ErrUnexpectedEOF) || !bytes.Equal(got, data[:50_000]) || reads.Load() != 1 {
			t.Fatalf("read %d bytes in %d requests: %v", len(got), reads.Load(), err)
		}
	}
}

func TestTruncatedBodiesAreMendedByRetry(t *testing.T) {
	t.Parallel()
	s := &store{}
	o := options(t, s.serve(t))
	b := retry.Wrap(open(t, o), o.Retry)
	data := random(1, 100_000)
	put(t, b, "a", string(data))
	s.fault = passOn(func(_ http.Header, body []byte) (int, []byte) { return 0, body[:min(len(body), 30_000)] })
	for _, length := range []int64{-1, 100_000} {
		if got, err := read(t, b, "a", 0, length); err != nil || !bytes.Equal(got, data) {
			t.Fatalf("read %d bytes: %v", len(got), err)
		}
	}
}

// A flipped bit is found before the last bytes are handed out, also where the retries around would take the length for
// the end, and is not mended by reading on behind it.
func TestFlippedBit(t *testing.T) {
	t.Parallel()
	s := &store{}
	o := options(t, s.serve(t))
	plain := open(t, o)
	data := random(1, 100_000)
	put(t, plain, "a", string(data))
	s.fault = passOn(func(_ http.Header, body []byte) (int, []byte) {
		body[40_000] ^= 1
		return 0, body
	})
	for _, b := range []storage.Bucket{plain, retry.Wrap(plain, o.Retry)} {
		for _, length := range []int64{-1, 100_000} {
			got, err := read(t, b, "a", 0, length)
			if !errors.Is(err, storage.ErrDamaged) || !strings.Contains(err.Error(), "damaged on their way") || len(got) == len(data) {
				t.Fatalf("read %d bytes: %v", len(got), err)
			}
		}
	}
}

func TestAnswersToRanges(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(http.Header, []byte) (int, []byte){
		"the range is ignored": func(h http.Header, _ []byte) (int, []byte) {
			h.Del("Content-Range")
			h.Set("Content-Length", "10")
			return http.StatusOK, []byte("0123456789")
		},
		"another range": func(h http.Header, _ []byte) (int, []byte) {
			h.Set("Content-Range", "bytes 3-6/10")
			return 0, []byte("3456")
		},
		"a longer range": func(h http.Header, _ []byte) (int, []byte) {
			h.Set("Content-Range", "bytes 0-5/10")
			h.Set("Content-Length", "6")
			return 0, []byte("012345")
		},
		"no length": func(h http.Header, _ []byte) (int, []byte) {
			h.Del("Content-Length")
			h.Set("Transfer-Encoding", "chunked")
			return 0, []byte("0123")
		},
		"malformed range": func(h http.Header, body []byte) (int, []byte) {
			h.Set("Content-Range", "pages 1-2/3")
			return 0, body
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := &store{}
			b := open(t, options(t, s.serve(t)))
			put(t, b, "a", "0123456789")
			s.fault = passOn(change)
			for _, offset := range []int64{0, 1} {
				got, err := read(t, b, "a", offset, 4)
				if err == nil || storage.Transient(err) {
					t.Errorf("read %q from %d: %v", got, offset, err)
				}
			}
		})
	}
}

func TestListing(t *testing.T) {
	t.Parallel()
	s := &store{}
	o := options(t, s.serve(t))
	o.Prefix = "p"
	b := open(t, o)
	var want []string
	for i := range 10 {
		want = append(want, fmt.Sprintf("dir/%d", i))
		put(t, b, want[i], "x")
	}
	s.objects["p/dir/"] = &stored{Name: "p/dir/"} // made by a console
	s.objects["p/"] = &stored{Name: "p/"}
	s.objects["other"] = &stored{Name: "other"}
	var got []string
	for info, err := range b.List(t.Context(), "") {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, info.Key)
	}
	if strings.Join(got, " ") != strings.Join(want, " ") {
		t.Fatalf("listed %q", got)
	}
}

// A listing whose later page fails is not complete, and says so.
func TestListingBreaksOff(t *testing.T) {
	t.Parallel()
	isLater := func(r *http.Request) bool { return r.URL.Query().Get("pageToken") != "" }
	for name, fault := range map[string]func(http.ResponseWriter, *http.Request, http.Handler) bool{
		"refused": unavailable,
		"page": func(w http.ResponseWriter, r *http.Request, _ http.Handler) bool {
			page(200)(w, r)
			return true
		},
		"from the start again": func(_ http.ResponseWriter, r *http.Request, _ http.Handler) bool {
			r.URL.RawQuery = ""
			return false
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := &store{}
			b := open(t, options(t, s.serve(t)))
			for i := range 5 {
				put(t, b, fmt.Sprint(i), "x")
			}
			s.fault = func(w http.ResponseWriter, r *http.Request, next http.Handler) bool {
				return isLater(r) && fault(w, r, next)
			}
			if err := operations(b)["list"](t.Context()); err == nil {
				t.Fatal("the listing seems complete")
			}
		})
	}
}
