package limit_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"lifeboat/storage"
	"lifeboat/storage/fault"
	"lifeboat/storage/file"
	"lifeboat/storage/limit"
	"lifeboat/storage/retry"
	"lifeboat/storage/storagetest"
)

const kilobyte = 1000

func disk(t *testing.T) storage.Bucket {
	t.Helper()
	b, err := file.Create(filepath.Join(t.TempDir(), "root"), file.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	return b
}

func retryOptions() retry.Options {
	return retry.Options{Now: time.Now, MinDelay: time.Millisecond, AttemptTimeout: time.Minute, TotalTimeout: 2 * time.Minute}
}

func TestConformance(t *testing.T) {
	t.Parallel()
	fast := limit.Options{Upload: 1 << 32, Download: 1 << 32, Requests: 1e6}
	for name, wrap := range map[string]func(storage.Bucket) storage.Bucket{
		"unlimited":   func(b storage.Bucket) storage.Bucket { return limit.Wrap(b, limit.Options{}) },
		"limited":     func(b storage.Bucket) storage.Bucket { return limit.Wrap(b, fast) },
		"above retry": func(b storage.Bucket) storage.Bucket { return limit.Wrap(retry.Wrap(b, retryOptions()), fast) },
		"below retry": func(b storage.Bucket) storage.Bucket { return retry.Wrap(limit.Wrap(b, fast), retryOptions()) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			storagetest.Run(t, func(t *testing.T) storage.Bucket { return wrap(disk(t)) })
		})
	}
}

// took is how long f lasts by the clock of the bubble, in which time passes only while everybody waits.
func took(f func()) time.Duration {
	start := time.Now()
	f()
	return time.Since(start)
}

// about fails the test unless got is want, less the burst that a limit grants to who was idle.
func about(t *testing.T, what string, got, want time.Duration) {
	t.Helper()
	if got > want+time.Millisecond || got < want-want/10-time.Second/10 {
		t.Errorf("%s took %s, want %s", what, got, want)
	}
}

func put(t *testing.T, b storage.Bucket, key string, size int) {
	t.Helper()
	err := b.Put(t.Context(), key, bytes.NewReader(make([]byte, size)), storage.PutOptions{Size: int64(size)})
	if err != nil {
		t.Error(err)
	}
}

func read(t *testing.T, b storage.Bucket, key string, offset, length int64) {
	t.Helper()
	body, err := b.Get(t.Context(), key, offset, length)
	if err != nil {
		t.Error(err)
		return
	}
	defer body.Close()
	if _, err := io.Copy(io.Discard, body); err != nil {
		t.Error(err)
	}
}

func TestBodiesPassAtTheirRate(t *testing.T) {
	t.Parallel()
	for _, rate := range []int64{1, 7, 100, 10 * kilobyte, 1 << 30} {
		t.Run(fmt.Sprint(rate), func(t *testing.T) {
			t.Parallel()
			below := disk(t)
			synctest.Test(t, func(t *testing.T) {
				size := int(min(rate*10, 4<<20))
				want := time.Duration(float64(size) / float64(rate) * float64(time.Second))
				up, down := limit.Wrap(below, limit.Options{Upload: rate}), limit.Wrap(below, limit.Options{Download: rate})
				about(t, "put", took(func() { put(t, up, "x", size) }), want)
				about(t, "get", took(func() { read(t, down, "x", 0, -1) }), want)
				about(t, "half of it", took(func() { read(t, down, "x", 0, int64(size/2)) }), want/2)
				about(t, "put without a limit", took(func() { put(t, down, "x", size) }), 0)
				about(t, "get without a limit", took(func() { read(t, up, "x", 0, -1) }), 0)
			})
		})
	}
}

func TestALimitIsShared(t *testing.T) {
	t.Parallel()
	below := disk(t)
	synctest.Test(t, func(t *testing.T) {
		b := limit.Wrap(below, limit.Options{Upload: 10 * kilobyte})
		var ends [5]time.Duration
		start := time.Now()
		var all sync.WaitGroup
		for i := range ends {
			all.Go(func() {
				put(t, b, fmt.Sprint(i), 20*kilobyte)
				ends[i] = time.Since(start)
			})
		}
		all.Wait()
		for i, end := range ends {
			if end < 9*time.Second || end > 10*time.Second+time.Millisecond {
				t.Errorf("put %d of 5 took %s, want all to take turns for 10s", i, end)
			}
		}
	})
}

func TestEveryOperationIsARequest(t *testing.T) {
	t.Parallel()
	below := disk(t)
	put(t, below, "x", 10)
	for name, operation := range map[string]func(t *testing.T, b storage.Bucket){
		"put":    func(t *testing.T, b storage.Bucket) { put(t, b, t.Name()[:1], 1) },
		"get":    func(t *testing.T, b storage.Bucket) { read(t, b, "x", 0, -1) },
		"range":  func(t *testing.T, b storage.Bucket) { read(t, b, "x", 3, 4) },
		"stat":   func(t *testing.T, b storage.Bucket) { _, _ = b.Stat(t.Context(), "x") },
		"delete": func(t *testing.T, b storage.Bucket) { _ = b.Delete(t.Context(), "none") },
		"list": func(t *testing.T, b storage.Bucket) {
			for _, err := range b.List(t.Context(), "none") {
				t.Error(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := limit.Wrap(below, limit.Options{Requests: 0.5})
				about(t, "five", took(func() {
					for range 5 {
						operation(t, b)
					}
				}), 8*time.Second) // the first one need not wait
			})
		})
	}
}

// long lists so many entries out of thin air.
type long struct {
	storage.Bucket
	entries int
}

func (b long) List(context.Context, string) iter.Seq2[storage.Info, error] {
	return func(yield func(storage.Info, error) bool) {
		for i := range b.entries {
			if !yield(storage.Info{Key: fmt.Sprint(i)}, nil) {
				return
			}
		}
	}
}

func TestALongListIsManyRequests(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := limit.Wrap(long{entries: 4500}, limit.Options{Requests: 1})
		listed := 0
		about(t, "five requests", took(func() {
			for _, err := range b.List(t.Context(), "") {
				if err != nil {
					t.Error(err)
				}
				listed++
			}
		}), 4*time.Second)
		if listed != 4500 {
			t.Errorf("listed %d entries", listed)
		}
	})
}

func TestWaitingEndsWithTheContext(t *testing.T) {
	t.Parallel()
	below := disk(t)
	put(t, below, "x", 1000)
	synctest.Test(t, func(t *testing.T) {
		b := limit.Wrap(below, limit.Options{Upload: 1, Download: 1, Requests: 1e6})
		busy := limit.Wrap(below, limit.Options{Requests: 1e-6})
		_, _ = busy.Stat(t.Context(), "x") // the next request comes in eleven days
		for name, operation := range map[string]func(ctx context.Context) error{
			"put": func(ctx context.Context) error {
				return b.Put(ctx, "y", strings.NewReader("a body that takes its time"), storage.PutOptions{Size: -1})
			},
			"get": func(ctx context.Context) error {
				body, err := b.Get(ctx, "x", 0, -1)
				if err != nil {
					return err
				}
				defer body.Close()
				_, err = io.ReadAll(body)
				return err
			},
			"request": func(ctx context.Context) error {
				_, err := busy.Stat(ctx, "x")
				return err
			},
		} {
			ctx, cancel := context.WithCancel(t.Context())
			time.AfterFunc(10*time.Second, cancel)
			var err error
			about(t, name, took(func() { err = operation(ctx) }), 10*time.Second)
			if !errors.Is(err, context.Canceled) {
				t.Errorf("%s: %v", name, err)
			}
			ctx, cancel = context.WithTimeout(t.Context(), 10*time.Second)
			err = operation(ctx)
			cancel()
			if !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("%s with a deadline: %v", name, err)
			}
		}
		if _, err := below.Stat(t.Context(), "y"); !errors.Is(err, storage.ErrNotFound) {
			t.Errorf("the put left something: %v", err)
		}
	})
}

// A retry rewinds the body, so it must still be possible to.
func TestARepeatedPutRewindsTheBody(t *testing.T) {
	t.Parallel()
	content := bytes.Repeat([]byte("0123456789"), 1000)
	for name, wrap := range map[string]func(storage.Bucket) storage.Bucket{
		"above retry": func(b storage.Bucket) storage.Bucket {
			return limit.Wrap(retry.Wrap(b, retryOptions()), limit.Options{Upload: 1 << 20})
		},
		"below retry": func(b storage.Bucket) storage.Bucket {
			return retry.Wrap(limit.Wrap(b, limit.Options{Upload: 1 << 20}), retryOptions())
		},
	} {
		below := disk(t)
		set := fault.NewSet(
			fault.Rule{Op: fault.Put, Action: fault.Truncate(5000, io.ErrUnexpectedEOF)},
			fault.Rule{Op: fault.Put, After: 1, Action: fault.Fail(storage.ErrUnavailable)})
		b := wrap(fault.Wrap(below, set))
		if err := b.Put(t.Context(), "x", bytes.NewReader(content), storage.PutOptions{Size: int64(len(content))}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		body, err := below.Get(t.Context(), "x", 0, -1)
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(body)
		body.Close()
		if err != nil || !bytes.Equal(got, content) {
			t.Errorf("%s: stored %d bytes, %v", name, len(got), err)
		}
		if err := set.AllFired(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Whoever waits for its turn longer than an attempt may stand still is not taken for hanging.
func TestWaitingIsProgress(t *testing.T) {
	t.Parallel()
	below := disk(t)
	put(t, below, "x", 100)
	synctest.Test(t, func(t *testing.T) {
		opts := retry.Options{Now: time.Now, AttemptTimeout: 3 * time.Second, TotalTimeout: 3 * time.Second}
		b := retry.Wrap(limit.Wrap(below, limit.Options{Requests: 0.01, Upload: 10, Download: 10}), opts)
		about(t, "three operations", took(func() {
			put(t, b, "y", 100)
			read(t, b, "x", 0, -1)
			if _, err := b.Stat(t.Context(), "x"); err != nil {
				t.Error(err)
			}
		}), 200*time.Second)
	})
}
