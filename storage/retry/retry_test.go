package retry_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"lifeboat/storage"
	"lifeboat/storage/fault"
	"lifeboat/storage/file"
	"lifeboat/storage/retry"
	"lifeboat/storage/storagetest"
)

var errReset = fmt.Errorf("read from store: %w", syscall.ECONNRESET)

// scene is a patient bucket on one with a script, which all tests share that do not run on a bubble's clock.
type scene struct {
	storage.Bucket
	set    *fault.Set
	below  storage.Bucket
	slept  []time.Duration
	logged bytes.Buffer
}

func newScene(t *testing.T, opts retry.Options, rules ...fault.Rule) *scene {
	t.Helper()
	below, err := file.Create(filepath.Join(t.TempDir(), "root"), file.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { below.Close() })
	s := &scene{set: fault.NewSet(rules...), below: below}
	clock := time.Date(2024, 1, 15, 0, 0, 0, 0, time.UTC)
	opts.Now = func() time.Time { return clock }
	opts.Random = func() float64 { return 1 }
	opts.Log = slog.New(slog.NewTextHandler(&s.logged, nil))
	opts.Sleep = func(ctx context.Context, d time.Duration) error {
		s.slept = append(s.slept, d)
		clock = clock.Add(d)
		return ctx.Err()
	}
	s.Bucket = retry.Wrap(fault.Wrap(below, s.set), opts)
	t.Cleanup(func() {
		if err := s.set.AllFired(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func (s *scene) store(t *testing.T, key, text string) {
	t.Helper()
	if err := s.below.Put(t.Context(), key, strings.NewReader(text), storage.PutOptions{Size: -1}); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, b storage.Bucket, key string, offset, length int64) (string, error) {
	t.Helper()
	body, err := b.Get(t.Context(), key, offset, length)
	if err != nil {
		return "", err
	}
	defer body.Close()
	data, err := io.ReadAll(body)
	return string(data), err
}

func TestConformance(t *testing.T) {
	t.Parallel()
	storagetest.Run(t, func(t *testing.T) storage.Bucket {
		below, err := file.Create(filepath.Join(t.TempDir(), "root"), file.Options{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { below.Close() })
		return retry.Wrap(below, retry.Options{Now: time.Now, AttemptTimeout: time.Minute})
	})
}

func TestOperationsAreRepeatedUntilTheySucceed(t *testing.T) {
	t.Parallel()
	var rules []fault.Rule
	for _, op := range []fault.Op{fault.Put, fault.Get, fault.Stat, fault.List, fault.Delete} {
		rules = append(rules, fault.Rule{Op: op, Times: 3, Action: fault.Fail(errReset)})
	}
	s := newScene(t, retry.Options{MinDelay: time.Second, MaxDelay: 3 * time.Second}, rules...)
	if err := s.Put(t.Context(), "x", strings.NewReader("text"), storage.PutOptions{Size: 4}); err != nil {
		t.Error(err)
	}
	if text, err := read(t, s, "x", 0, -1); text != "text" || err != nil {
		t.Errorf("read %q, %v", text, err)
	}
	if info, err := s.Stat(t.Context(), "x"); info.Size != 4 || err != nil {
		t.Errorf("stat %+v, %v", info, err)
	}
	for info, err := range s.List(t.Context(), "") {
		if info.Key != "x" || err != nil {
			t.Errorf("listed %+v, %v", info, err)
		}
	}
	if err := s.Delete(t.Context(), "x"); err != nil {
		t.Error(err)
	}
	want := strings.Repeat("1s 2s 3s ", 5)
	if got := strings.Trim(fmt.Sprint(s.slept), "[]") + " "; got != want {
		t.Errorf("slept %s, want %s", got, want)
	}
	if lines := strings.Count(s.logged.String(), "retry storage operation"); lines != 15 {
		t.Errorf("%d warnings, want 15:\n%s", lines, &s.logged)
	}
}

func TestAnswersAreNotRepeated(t *testing.T) {
	t.Parallel()
	for _, answer := range []error{
		storage.ErrNotFound, storage.ErrExists, storage.ErrKey, storage.ErrRange, storage.ErrSize, fs.ErrPermission,
		syscall.EACCES, syscall.ENOSPC, syscall.EIO, context.Canceled, errors.New("anything unknown"),
	} {
		s := newScene(t, retry.Options{}, fault.Rule{Op: fault.Stat, Action: fault.Fail(answer)})
		s.store(t, "x", "")
		if _, err := s.Stat(t.Context(), "x"); !errors.Is(err, answer) || len(s.slept) > 0 {
			t.Errorf("%v: got %v after sleeping %v", answer, err, s.slept)
		}
	}
}

func TestPatienceEndsAtTheTotalTimeout(t *testing.T) {
	t.Parallel()
	s := newScene(t, retry.Options{MinDelay: time.Second, MaxDelay: time.Hour, TotalTimeout: 16 * time.Second},
		fault.Rule{Op: fault.Get, Times: -1, Action: fault.Fail(errReset)})
	s.store(t, "x", "")
	_, err := read(t, s, "x", 0, -1)
	if !errors.Is(err, syscall.ECONNRESET) || !strings.Contains(err.Error(), "gave up after 5 attempts") {
		t.Fatalf("got %v", err)
	}
	if fmt.Sprint(s.slept) != "[1s 2s 4s 8s]" {
		t.Fatalf("slept %v", s.slept)
	}
}

func TestContextEndsTheWait(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		set := fault.NewSet(fault.Rule{Op: fault.Stat, Times: -1, Action: fault.Fail(errReset)})
		b := retry.Wrap(fault.Wrap(nowhere{}, set), retry.Options{Now: time.Now, MinDelay: time.Hour, MaxDelay: time.Hour})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := b.Stat(ctx, "x")
		if !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, syscall.ECONNRESET) {
			t.Fatalf("got %v", err)
		}
	})
}

func TestAttemptThatHangsIsRepeated(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var rules []fault.Rule
		for _, op := range []fault.Op{fault.Put, fault.Get, fault.Stat, fault.List, fault.Delete} {
			rules = append(rules, fault.Rule{Op: op, Action: fault.Stall()})
		}
		set := fault.NewSet(append(rules, fault.Rule{Op: fault.Get, After: 1, Action: fault.StallBody(2)})...)
		b := retry.Wrap(fault.Wrap(memory{"x": "text"}, set), retry.Options{Now: time.Now, AttemptTimeout: time.Minute})
		began := time.Now()
		if text, err := read(t, b, "x", 0, -1); text != "text" || err != nil {
			t.Errorf("read %q, %v", text, err)
		}
		if took := time.Since(began); took < 2*time.Minute || took > 3*time.Minute {
			t.Errorf("two stalls of a minute took %s", took)
		}
		if _, err := b.Stat(t.Context(), "x"); err != nil {
			t.Error(err)
		}
		if err := b.Put(t.Context(), "y", strings.NewReader("y"), storage.PutOptions{Size: -1}); err != nil {
			t.Error(err)
		}
		for _, err := range b.List(t.Context(), "") {
			if err != nil {
				t.Error(err)
			}
		}
		if err := b.Delete(t.Context(), "x"); err != nil {
			t.Error(err)
		}
		if err := set.AllFired(); err != nil {
			t.Error(err)
		}
	})
}

func TestStallThatLastsSaysSo(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		set := fault.NewSet(fault.Rule{Op: fault.Stat, Times: -1, Action: fault.Stall()})
		opts := retry.Options{Now: time.Now, AttemptTimeout: time.Second, TotalTimeout: time.Minute}
		_, err := retry.Wrap(fault.Wrap(nowhere{}, set), opts).Stat(t.Context(), "x")
		if !errors.Is(err, storage.ErrUnavailable) || !strings.Contains(err.Error(), "stat x in mem://: no progress for 1s") {
			t.Fatalf("got %v", err)
		}
	})
}

// slowReader takes an hour for each read.
type slowReader struct{ io.Reader }

func (r slowReader) Read(p []byte) (int, error) {
	time.Sleep(time.Hour)
	return r.Reader.Read(p)
}

// A caller that takes its time is no stall of the store.
func TestSlowCallerIsNotCut(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		set := fault.NewSet(fault.Rule{Op: fault.Get, After: 1, Times: -1, Action: fault.Fail(errors.New("opened again"))},
			fault.Rule{Op: fault.List, After: 1, Times: -1, Action: fault.Fail(errors.New("listed again"))})
		b := retry.Wrap(fault.Wrap(memory{"w": "", "x": "text"}, set), retry.Options{Now: time.Now, AttemptTimeout: time.Second})
		slow := slowReader{strings.NewReader("text")}
		if err := b.Put(t.Context(), "y", slow, storage.PutOptions{Size: -1}); err != nil {
			t.Fatal(err)
		}
		body, err := b.Get(t.Context(), "x", 0, -1)
		if err != nil {
			t.Fatal(err)
		}
		defer body.Close()
		for range 4 {
			time.Sleep(time.Hour)
			if _, err := body.Read(make([]byte, 1)); err != nil {
				t.Fatal(err)
			}
		}
		for _, err := range b.List(t.Context(), "") {
			time.Sleep(time.Hour)
			if err != nil {
				t.Fatal(err)
			}
		}
	})
}

func TestBodyResumesWhereItBroke(t *testing.T) {
	t.Parallel()
	const text = "0123456789"
	for _, breaks := range []error{errReset, io.ErrUnexpectedEOF} {
		for _, r := range []struct {
			offset, length int64
			want           string
		}{{0, -1, text}, {0, 10, text}, {2, 7, text[2:9]}, {3, -1, text[3:]}} {
			s := newScene(t, retry.Options{},
				fault.Rule{Op: fault.Get, Action: fault.Truncate(4, breaks)},
				fault.Rule{Op: fault.Get, After: 1, Action: fault.Truncate(0, breaks)},
				fault.Rule{Op: fault.Get, After: 2, Action: fault.Truncate(1, breaks)})
			s.store(t, "x", text)
			if got, err := read(t, s, "x", r.offset, r.length); got != r.want || err != nil {
				t.Errorf("range %+v: read %q, %v", r, got, err)
			}
		}
	}
}

func TestPatienceStartsAnewWithEachByte(t *testing.T) {
	t.Parallel()
	opts := retry.Options{MinDelay: time.Second, MaxDelay: time.Hour, TotalTimeout: 3 * time.Second}
	s := newScene(t, opts,
		fault.Rule{Op: fault.Get, Times: 9, Action: fault.Truncate(1, errReset)},
		fault.Rule{Op: fault.List, Times: 1, Action: fault.Truncate(1, errReset)},
		fault.Rule{Op: fault.List, After: 1, Times: 1, Action: fault.Truncate(2, errReset)},
		fault.Rule{Op: fault.List, After: 2, Times: 1, Action: fault.Truncate(3, errReset)})
	s.store(t, "x", "0123456789")
	s.store(t, "y", "")
	s.store(t, "z", "")
	if got, err := read(t, s, "x", 0, -1); got != "0123456789" || err != nil {
		t.Errorf("read %q, %v", got, err)
	}
	var listed int
	for _, err := range s.List(t.Context(), "") {
		if listed++; err != nil {
			t.Error(err)
		}
	}
	if want := 9 + 3; len(s.slept) != want || listed != 3 {
		t.Errorf("listed %d, slept %v", listed, s.slept)
	}
}

func TestBodyThatEndsEarlyIsNotTakenForWhole(t *testing.T) {
	t.Parallel()
	s := newScene(t, retry.Options{}, fault.Rule{Op: fault.Get, Action: fault.Truncate(4, nil)})
	s.store(t, "x", "0123456789")
	if got, err := read(t, s, "x", 0, 10); got != "0123456789" || err != nil {
		t.Errorf("read %q, %v", got, err)
	}
}

func TestBodyOfAnObjectThatGoesAwayFails(t *testing.T) {
	t.Parallel()
	s := newScene(t, retry.Options{}, fault.Rule{Op: fault.Get, Action: fault.Truncate(4, errReset)})
	s.store(t, "x", "0123456789")
	body, err := s.Get(t.Context(), "x", 0, -1)
	if err != nil {
		t.Fatal(err)
	}
	defer body.Close()
	if err := s.below.Delete(t.Context(), "x"); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if _, err := io.ReadAll(body); !errors.Is(err, storage.ErrNotFound) {
			t.Fatalf("got %v", err)
		}
	}
}

func TestListingGoesOnBehindTheLastKey(t *testing.T) {
	t.Parallel()
	s := newScene(t, retry.Options{},
		fault.Rule{Op: fault.List, Action: fault.Truncate(2, errReset)},
		fault.Rule{Op: fault.List, After: 1, Action: fault.Truncate(0, errReset)},
		fault.Rule{Op: fault.List, After: 2, Action: fault.Truncate(3, errReset)})
	for _, key := range []string{"a", "b", "c", "d"} {
		s.store(t, key, "")
	}
	var got string
	for info, err := range s.List(t.Context(), "") {
		if err != nil {
			t.Fatal(err)
		}
		got += info.Key
	}
	if got != "abcd" {
		t.Fatalf("listed %q", got)
	}
}

func TestPutRewindsItsBodyToWhereItStood(t *testing.T) {
	t.Parallel()
	s := newScene(t, retry.Options{},
		fault.Rule{Op: fault.Put, Action: fault.Truncate(3, errReset)},
		fault.Rule{Op: fault.Put, After: 1, Action: fault.LoseResponse(errReset)})
	body := strings.NewReader("header and text")
	if _, err := body.Seek(7, io.SeekStart); err != nil {
		t.Fatal(err)
	}
	if err := s.Put(t.Context(), "x", body, storage.PutOptions{Size: 8}); err != nil {
		t.Fatal(err)
	}
	if got, err := read(t, s.below, "x", 0, -1); got != "and text" || err != nil {
		t.Fatalf("read %q, %v", got, err)
	}
}

func TestPutOfAStreamIsTriedOnce(t *testing.T) {
	t.Parallel()
	s := newScene(t, retry.Options{}, fault.Rule{Op: fault.Put, Action: fault.Fail(errReset)})
	err := s.Put(t.Context(), "x", io.LimitReader(strings.NewReader("text"), 4), storage.PutOptions{Size: -1})
	if !errors.Is(err, syscall.ECONNRESET) || len(s.slept) > 0 {
		t.Fatalf("got %v after sleeping %v", err, s.slept)
	}
}

type brokenSeeker struct{ io.ReadSeeker }

func (brokenSeeker) Read([]byte) (int, error) { return 0, errReset }

func TestErrorOfTheBodyItselfIsNotRepeated(t *testing.T) {
	t.Parallel()
	s := newScene(t, retry.Options{})
	err := s.Put(t.Context(), "x", brokenSeeker{strings.NewReader("text")}, storage.PutOptions{Size: -1})
	if !errors.Is(err, syscall.ECONNRESET) || len(s.slept) > 0 {
		t.Fatalf("got %v after sleeping %v", err, s.slept)
	}
}

func TestExistsAfterALostResponseIsAmbiguous(t *testing.T) {
	t.Parallel()
	s := newScene(t, retry.Options{}, fault.Rule{Op: fault.Put, Action: fault.LoseResponse(errReset)})
	err := s.Put(t.Context(), "x", strings.NewReader("text"), storage.PutOptions{IfAbsent: true, Size: 4})
	var ambiguous *retry.AmbiguousError
	if !errors.As(err, &ambiguous) || !errors.Is(err, storage.ErrExists) || !errors.Is(ambiguous.Previous, syscall.ECONNRESET) {
		t.Fatalf("got %v", err)
	}
}

func TestExistsAtTheFirstAttemptIsPlain(t *testing.T) {
	t.Parallel()
	s := newScene(t, retry.Options{})
	s.store(t, "x", "text")
	err := s.Put(t.Context(), "x", strings.NewReader("text"), storage.PutOptions{IfAbsent: true, Size: 4})
	var ambiguous *retry.AmbiguousError
	if errors.As(err, &ambiguous) || !errors.Is(err, storage.ErrExists) {
		t.Fatalf("got %v", err)
	}
}

// TestPatienceEndsWhereThereIsAnotherPlace gives up early, and stops waiting for a store that hangs.
func TestPatienceEndsWhereThereIsAnotherPlace(t *testing.T) {
	t.Parallel()
	s := newScene(t, retry.Options{MinDelay: time.Second, MaxDelay: time.Hour, TotalTimeout: 16 * time.Second},
		fault.Rule{Op: fault.Stat, Times: -1, Action: fault.Fail(errReset)})
	if _, err := s.Stat(storage.WithPatience(t.Context(), 4*time.Second), "x"); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("got %v", err)
	}
	if fmt.Sprint(s.slept) != "[1s 2s]" {
		t.Errorf("slept %v", s.slept)
	}
	synctest.Test(t, func(t *testing.T) {
		set := fault.NewSet(fault.Rule{Op: fault.Stat, Times: -1, Action: fault.Stall()})
		b := retry.Wrap(fault.Wrap(nowhere{}, set), retry.Options{Now: time.Now, AttemptTimeout: time.Hour})
		start := time.Now()
		_, err := b.Stat(storage.WithPatience(t.Context(), 4*time.Second), "x")
		if !errors.Is(err, storage.ErrUnavailable) || time.Since(start) > 10*time.Second {
			t.Errorf("after %s: %v", time.Since(start), err)
		}
	})
}
