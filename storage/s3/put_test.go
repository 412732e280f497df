package s3_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"lifeboat/internal/objectstore"
	"lifeboat/storage"
	"lifeboat/storage/s3"
)

// leavings are the files that the server keeps of uploads that were not completed.
func leavings(t *testing.T, server objectstore.Server) (files []string) {
	t.Helper()
	err := filepath.WalkDir(filepath.Join(server.Directory, ".sgwtmp"), func(path string, entry fs.DirEntry, err error) error {
		if err == nil && entry.Type().IsRegular() && !strings.HasSuffix(path, ".lock") && !strings.Contains(path, "lock") {
			files = append(files, path)
		}
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// wantNoLeavings gives the server a moment for the end of requests that were cut, which nobody is told of.
func wantNoLeavings(t *testing.T, server objectstore.Server) {
	t.Helper()
	end := time.Now().Add(time.Minute)
	files := leavings(t, server)
	for len(files) > 0 && time.Now().Before(end) {
		time.Sleep(10 * time.Millisecond)
		files = leavings(t, server)
	}
	if len(files) > 0 {
		t.Errorf("left: %q", files)
	}
}

func wantNothing(t *testing.T, b storage.Bucket, server objectstore.Server) {
	t.Helper()
	for info, err := range b.List(t.Context(), "") {
		t.Errorf("listed %+v, %v", info, err)
	}
	wantNoLeavings(t, server)
}

func TestLargeObjectOfUnknownSize(t *testing.T) {
	t.Parallel()
	const size = 80*mebibyte + 4711
	server := objectstore.S3(t)
	b := open(t, options(server))
	sent, received := sha256.New(), sha256.New()
	body := io.TeeReader(noise(3, size), sent)
	if err := b.Put(t.Context(), "dir/large", body, storage.PutOptions{IfAbsent: true, Size: -1}); err != nil {
		t.Fatal(err)
	}
	r, err := b.Get(t.Context(), "dir/large", 0, -1)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if n, err := io.Copy(received, r); err != nil || n != size || !bytes.Equal(sent.Sum(nil), received.Sum(nil)) {
		t.Errorf("%d bytes come back, %v", n, err)
	}
	err = b.Put(t.Context(), "dir/large", noise(4, size), storage.PutOptions{IfAbsent: true, Size: -1})
	if !errors.Is(err, storage.ErrExists) {
		t.Errorf("got %v", err)
	}
	wantNoLeavings(t, server)
}

// Sizes around the borders of whole objects and of parts.
func TestSizesAtTheBorders(t *testing.T) {
	t.Parallel()
	b := open(t, options(objectstore.S3(t)))
	for i, size := range []int64{8*mebibyte - 1, 8 * mebibyte, 8*mebibyte + 1, 16 * mebibyte, 16*mebibyte + 1} {
		want, err := io.ReadAll(noise(byte(i), size))
		if err != nil {
			t.Fatal(err)
		}
		for _, announced := range []int64{-1, size} {
			key := fmt.Sprintf("%d/%d", size, announced)
			if err := b.Put(t.Context(), key, bytes.NewReader(want), storage.PutOptions{IfAbsent: true, Size: announced}); err != nil {
				t.Fatalf("%s: %v", key, err)
			}
			if got, err := read(t, b, key, 0, -1); err != nil || got != string(want) {
				t.Errorf("%s: %d bytes come back, %v", key, len(got), err)
			}
		}
		for _, wrong := range []int64{size - 1, size + 1} {
			err := b.Put(t.Context(), "wrong", bytes.NewReader(want), storage.PutOptions{Size: wrong})
			if !errors.Is(err, storage.ErrSize) {
				t.Errorf("%d bytes announced as %d: %v", size, wrong, err)
			}
		}
	}
}

func TestUploadThatDiesHalfwayLeavesNothing(t *testing.T) {
	t.Parallel()
	broken := errors.New("the disk that is read from broke")
	for name, c := range map[string]struct {
		body   func(cancel func()) io.Reader
		refuse string // a number of a part that the store does not take
		want   error
	}{
		"body": {body: func(func()) io.Reader { return io.MultiReader(noise(1, 40*mebibyte), &failing{err: broken}) }, want: broken},
		"context": {body: func(cancel func()) io.Reader {
			return io.MultiReader(noise(1, 40*mebibyte), &failing{cancel: cancel}, noise(2, 20*mebibyte))
		}, want: context.Canceled},
		"part": {body: func(func()) io.Reader { return noise(1, 60*mebibyte) }, refuse: "partNumber=4&", want: fs.ErrPermission},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, o, server := meddling(t, func(w http.ResponseWriter, r *http.Request, _ http.Handler) bool {
				if c.refuse == "" || !strings.Contains(r.URL.RawQuery, c.refuse) {
					return false
				}
				_, _ = io.Copy(io.Discard, r.Body)
				refuse(403, "AccessDenied", "Access Denied")(w, r)
				return true
			})
			b := open(t, o)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			err := b.Put(ctx, "dir/x", c.body(cancel), storage.PutOptions{IfAbsent: true, Size: -1})
			if !errors.Is(err, c.want) {
				t.Errorf("got %v", err)
			}
			wantNothing(t, b, server)
		})
	}
}

// failing is a reader that calls cancel and gives err, or ends.
type failing struct {
	cancel func()
	err    error
}

func (f *failing) Read([]byte) (int, error) {
	if f.cancel != nil {
		f.cancel()
	}
	if f.err != nil {
		return 0, f.err
	}
	return 0, io.EOF
}

func TestOneOfManyConditionalPutsOfAllSizesWins(t *testing.T) {
	t.Parallel()
	const racers = 20
	server := objectstore.S3(t)
	b := open(t, options(server))
	var all sync.WaitGroup
	errs := make([]error, racers)
	start := make(chan struct{})
	for i := range racers {
		all.Go(func() {
			<-start
			size := int64(1000)
			if i%4 == 0 {
				size = 9 * mebibyte
			}
			errs[i] = b.Put(t.Context(), "dir/x", noise(byte(i), size), storage.PutOptions{IfAbsent: true, Size: -1})
		})
	}
	close(start)
	all.Wait()
	won := -1
	for i, err := range errs {
		switch {
		case err == nil && won >= 0:
			t.Errorf("%d and %d have won", won, i)
		case err == nil:
			won = i
		case !errors.Is(err, storage.ErrExists):
			t.Errorf("%d: %v", i, err)
		}
	}
	if won < 0 {
		t.Fatal("nobody has won")
	}
	got, err := read(t, b, "dir/x", 0, -1)
	want, _ := io.ReadAll(noise(byte(won), int64(len(got))))
	if err != nil || got != string(want) {
		t.Errorf("what is there is not of the winner, %v", err)
	}
	wantNoLeavings(t, server)
}

// publishes reports whether a request is one that makes an object appear.
func publishes(r *http.Request) bool {
	return r.Method == http.MethodPut && r.URL.RawQuery == "x-id=PutObject" || r.Method == http.MethodPost && strings.HasPrefix(r.URL.RawQuery, "uploadId=")
}

func TestLostAnswerOfAConditionalPut(t *testing.T) {
	t.Parallel()
	for _, size := range []int64{10, 20 * mebibyte} {
		for _, emulate := range []bool{false, true} {
			var lost atomic.Int32
			_, o, _ := meddling(t, func(_ http.ResponseWriter, r *http.Request, forward http.Handler) bool {
				if publishes(r) && lost.Add(1) == 1 {
					loseAnswer(r, forward)
				}
				return false
			})
			o.EmulateConditional = emulate
			b := open(t, o)
			if err := b.Put(t.Context(), "dir/x", noise(1, size), storage.PutOptions{IfAbsent: true, Size: -1}); err != nil {
				t.Errorf("%d bytes: its own object is taken for another's: %v", size, err)
			}
			if info, err := b.Stat(t.Context(), "dir/x"); err != nil || info.Size != size || lost.Load() == 0 {
				t.Errorf("stat %+v, %v after %d requests", info, err, lost.Load())
			}
		}
	}
}

func TestLostRequestAndAnotherWriter(t *testing.T) {
	t.Parallel()
	for _, size := range []int64{10, 20 * mebibyte} {
		var lost atomic.Int32
		var other *s3.Bucket
		_, o, server := meddling(t, func(_ http.ResponseWriter, r *http.Request, _ http.Handler) bool {
			if publishes(r) && lost.Add(1) == 1 {
				if err := other.Put(r.Context(), "dir/x", strings.NewReader("of another"), storage.PutOptions{IfAbsent: true, Size: 10}); err != nil {
					t.Error(err)
				}
				loseRequest(r)
			}
			return false
		})
		other = open(t, options(server))
		b := open(t, o)
		err := b.Put(t.Context(), "dir/x", noise(1, size), storage.PutOptions{IfAbsent: true, Size: -1})
		if !errors.Is(err, storage.ErrExists) {
			t.Errorf("%d bytes: got %v", size, err)
		}
		if text, err := read(t, b, "dir/x", 0, -1); text != "of another" || err != nil {
			t.Errorf("read %q, %v", text, err)
		}
		wantNoLeavings(t, server)
	}
}

// Every third request of any kind finds an overloaded store, and every fifth is cut.
func TestStreamSurvivesTrouble(t *testing.T) {
	t.Parallel()
	const size = 40 * mebibyte
	var count atomic.Int32
	_, o, server := meddling(t, func(w http.ResponseWriter, r *http.Request, _ http.Handler) bool {
		switch n := count.Add(1); {
		case n%5 == 0:
			loseRequest(r)
		case n%3 == 0:
			_, _ = io.Copy(io.Discard, r.Body)
			refuse(503, "SlowDown", "Please reduce your request rate.")(w, r)
			return true
		}
		return false
	})
	err := open(t, o).Put(t.Context(), "x", io.MultiReader(noise(5, size)), storage.PutOptions{IfAbsent: true, Size: -1})
	if err != nil {
		t.Fatal(err)
	}
	got, err := read(t, open(t, options(server)), "x", 0, -1)
	want, _ := io.ReadAll(noise(5, size))
	if err != nil || got != string(want) {
		t.Errorf("%d bytes come back, %v", len(got), err)
	}
}

func TestEmulatedConditionAsksFirst(t *testing.T) {
	t.Parallel()
	_, o, _ := meddling(t, func(w http.ResponseWriter, r *http.Request, _ http.Handler) bool {
		if r.Header.Get("If-None-Match") != "" {
			refuse(501, "NotImplemented", "A header you provided implies functionality that is not implemented")(w, r)
			return true
		}
		return false
	})
	o.EmulateConditional = true
	b := open(t, o)
	put(t, b, "x", "first")
	for _, size := range []int64{5, 20 * mebibyte} {
		err := b.Put(t.Context(), "x", noise(1, size), storage.PutOptions{IfAbsent: true, Size: size})
		if !errors.Is(err, storage.ErrExists) {
			t.Errorf("got %v", err)
		}
	}
	if err := b.Put(t.Context(), "y", noise(1, 20*mebibyte), storage.PutOptions{IfAbsent: true, Size: -1}); err != nil {
		t.Error(err)
	}
	if err := storage.ProveConditional(t.Context(), b, "x"); err != nil {
		t.Error(err)
	}
}

func TestStaleUploadsAreAborted(t *testing.T) {
	t.Parallel()
	_, o, server := meddling(t, func(w http.ResponseWriter, r *http.Request, _ http.Handler) bool {
		if r.Method == http.MethodDelete || publishes(r) {
			refuse(403, "AccessDenied", "Access Denied")(w, r)
			return true
		}
		return false
	})
	forgetful := open(t, o)
	for _, key := range []string{"old/x", "old/y", "beside"} {
		if err := forgetful.Put(t.Context(), key, noise(1, 20*mebibyte), storage.PutOptions{Size: -1}); err == nil {
			t.Fatal("no upload was left")
		}
	}
	if files := leavings(t, server); len(files) < 9 {
		t.Fatalf("of three uploads there are only %q", files)
	}
	later := options(server)
	later.Now = func() time.Time { return time.Now().Add(time.Hour) }
	for _, c := range []struct {
		prefix string
		age    time.Duration
		want   int
	}{{"", 2 * time.Hour, 0}, {"old/", time.Minute, 2}, {"old/", time.Minute, 0}, {"", time.Minute, 1}} {
		if n, err := open(t, later).AbortStale(t.Context(), c.prefix, c.age); n != c.want || err != nil {
			t.Errorf("%+v: aborted %d, %v", c, n, err)
		}
	}
	wantNothing(t, open(t, later), server)
}

func TestSettingsGoWithEveryObject(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var heads []http.Header
	_, o, _ := meddling(t, func(w http.ResponseWriter, r *http.Request, _ http.Handler) bool {
		if r.Method == http.MethodPut && r.URL.RawQuery == "x-id=PutObject" || r.URL.RawQuery == "uploads=" {
			mu.Lock()
			heads = append(heads, r.Header)
			mu.Unlock()
			refuse(403, "AccessDenied", "Access Denied")(w, r)
			return true
		}
		return false
	})
	o.StorageClass, o.ServerSideEncryption, o.KMSKeyID = "STANDARD_IA", "aws:kms", "the-key"
	for _, size := range []int64{1, 20 * mebibyte} {
		err := open(t, o).Put(t.Context(), "x", noise(1, size), storage.PutOptions{Size: -1})
		if !errors.Is(err, fs.ErrPermission) {
			t.Fatal(err)
		}
	}
	if len(heads) != 2 {
		t.Fatalf("%d requests", len(heads))
	}
	for _, head := range heads {
		for name, want := range map[string]string{
			"X-Amz-Storage-Class": "STANDARD_IA", "X-Amz-Server-Side-Encryption": "aws:kms",
			"X-Amz-Server-Side-Encryption-Aws-Kms-Key-Id": "the-key",
		} {
			if head.Get(name) != want {
				t.Errorf("%s is %q", name, head.Get(name))
			}
		}
	}
}
