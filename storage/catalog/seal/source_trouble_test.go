package seal_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"lifeboat/storage"
	"lifeboat/storage/catalog/seal"
	"lifeboat/storage/fault"
)

func TestSourceFindsDamage(t *testing.T) {
	t.Parallel()
	b := bucket(t)
	r, i := pair(t, false)
	object, plain, from := sealedChunks(t, r)
	for name, damage := range damages {
		put(t, b, "object", damage(bytes.Clone(object), from))
		if _, err := get(t.Context(), seal.NewSource(b, i), "object", 0, -1); !named(err) {
			t.Errorf("%s, whole: %v", name, err)
		}
		if got := inRanges(t, seal.NewSource(b, i), plain); !got {
			t.Errorf("%s: no range shows it", name)
		}
	}
}

// named reports whether err says that the object is damaged, and which, and is not taken for anything else.
func named(err error) bool {
	return found(err) && strings.Contains(err.Error(), "object") && !storage.Transient(err) &&
		!errors.Is(err, storage.ErrRange) && !errors.Is(err, storage.ErrNotFound)
}

// inRanges reads an object in ranges of half a chunk, and reports whether one of them failed. No other bytes than those
// of plain may come out.
func inRanges(t *testing.T, s *seal.Source, plain []byte) (failed bool) {
	t.Helper()
	for from := 0; from < len(plain); from += 32768 {
		want := plain[from:min(from+32768, len(plain))]
		got, err := get(t.Context(), s, "object", int64(from), int64(len(want)))
		if err == nil && !bytes.Equal(got, want) || !bytes.HasPrefix(want, got) {
			t.Fatalf("other bytes from %d", from)
		}
		if err != nil && !named(err) {
			t.Fatalf("range from %d: %v", from, err)
		}
		failed = failed || err != nil
	}
	return failed
}

func TestObjectReplacedBehindASourceIsFound(t *testing.T) {
	t.Parallel()
	b := bucket(t)
	r, i := pair(t, false)
	object, plain, from := sealedChunks(t, r)
	other, otherPlain, _ := sealedChunks(t, r)
	s := seal.NewSource(b, i)
	put(t, b, "object", object)
	if inRanges(t, s, plain) {
		t.Fatal("the object does not read")
	}
	put(t, b, "object", object[:from+100])
	if _, err := get(t.Context(), s, "object", 70_000, 80_000); !named(err) {
		t.Fatalf("cut: %v", err)
	}
	put(t, b, "object", object)
	if inRanges(t, s, plain) {
		t.Fatal("the object that came back does not read")
	}
	put(t, b, "object", other)
	if _, err := get(t.Context(), s, "object", 70_000, 80_000); !named(err) {
		t.Fatalf("replaced: %v", err)
	}
	if inRanges(t, s, otherPlain) {
		t.Fatal("once found, the new object does not read")
	}
	if err := b.Delete(t.Context(), "object"); err != nil {
		t.Fatal(err)
	}
	if _, err := get(t.Context(), s, "object", 70_000, 80_000); !errors.Is(err, storage.ErrNotFound) {
		t.Fatalf("deleted: %v", err)
	}
	if _, err := get(t.Context(), s, "object", 3*65536, 10); !errors.Is(err, storage.ErrNotFound) {
		t.Fatalf("what was remembered of a deleted object is not forgotten: %v", err)
	}
}

func TestAbsentObject(t *testing.T) {
	t.Parallel()
	_, i := pair(t, false)
	s := seal.NewSource(bucket(t), i)
	for _, length := range []int64{-1, 5} {
		if _, err := s.Get(t.Context(), "absent", 0, length); !errors.Is(err, storage.ErrNotFound) {
			t.Errorf("length %d: %v", length, err)
		}
	}
}

func TestSourceWithoutTheRightIdentity(t *testing.T) {
	t.Parallel()
	b := bucket(t)
	r, _ := pair(t, false)
	_, other := pair(t, false)
	object, plain, _ := sealedChunks(t, r)
	put(t, b, "sealed", object)
	put(t, b, "plain", plain)
	for _, length := range []int64{-1, 5} {
		_, err := seal.NewSource(b, nil).Get(t.Context(), "sealed", 0, length)
		if !errors.Is(err, seal.ErrNoIdentity) {
			t.Errorf("no identity, length %d: %v", length, err)
		}
		_, err = seal.NewSource(b, other).Get(t.Context(), "sealed", 0, length)
		var wrong *seal.WrongIdentityError
		if !errors.As(err, &wrong) || len(wrong.Stanzas) != 1 || wrong.Stanzas[0] != "X25519" {
			t.Errorf("wrong identity, length %d: %v", length, err)
		}
		if _, err := get(t.Context(), seal.NewSource(b, nil), "plain", 0, length); err != nil {
			t.Errorf("plain, length %d: %v", length, err)
		}
	}
}

func TestTroubleOfTheStoreIsNoDamage(t *testing.T) {
	t.Parallel()
	b := bucket(t)
	r, i := pair(t, false)
	object, plain, _ := sealedChunks(t, r)
	put(t, b, "object", object)
	cut := func(at int64) fault.Action { return fault.Truncate(at, io.ErrUnexpectedEOF) }
	for name, rule := range map[string]fault.Rule{
		"stat fails":          {Op: fault.Stat, Action: fault.Fail(storage.ErrUnavailable)},
		"head fails":          {Op: fault.Get, Action: fault.Fail(storage.ErrUnavailable)},
		"head is cut":         {Op: fault.Get, Action: cut(100)},
		"tail fails":          {Op: fault.Get, After: 1, Action: fault.Fail(storage.ErrUnavailable)},
		"tail is cut":         {Op: fault.Get, After: 1, Action: cut(100)},
		"chunks fail":         {Op: fault.Get, After: 2, Action: fault.Fail(storage.ErrUnavailable)},
		"chunks are cut":      {Op: fault.Get, After: 2, Action: cut(100)},
		"chunks end too soon": {Op: fault.Get, After: 2, Action: cut(0)},
	} {
		set := fault.NewSet(rule)
		s := seal.NewSource(fault.Wrap(b, set), i)
		_, err := get(t.Context(), s, "object", 70_000, 80_000)
		if err == nil || found(err) || !storage.Transient(err) {
			t.Errorf("%s: %v", name, err)
		}
		if err := set.AllFired(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		got, err := get(t.Context(), s, "object", 70_000, 80_000)
		if err != nil || !bytes.Equal(got, plain[70_000:150_000]) {
			t.Errorf("%s, once it is over: %v", name, err)
		}
	}
	whole := fault.NewSet(fault.Rule{Op: fault.Get, Action: cut(70_000)})
	if _, err := get(t.Context(), seal.NewSource(fault.Wrap(b, whole), i), "object", 0, -1); found(err) || !storage.Transient(err) {
		t.Errorf("whole body is cut: %v", err)
	}
}

func TestBodyEndsWithItsContext(t *testing.T) {
	t.Parallel()
	b := bucket(t)
	r, i := pair(t, false)
	object, _, _ := sealedChunks(t, r)
	put(t, b, "object", object)
	ctx, cancel := context.WithCancel(t.Context())
	body, err := seal.NewSource(b, i).Get(ctx, "object", 10, 150_000)
	if err != nil {
		t.Fatal(err)
	}
	defer body.Close()
	if _, err := io.ReadFull(body, make([]byte, 10)); err != nil {
		t.Fatal(err)
	}
	cancel()
	if _, err := io.ReadAll(body); !errors.Is(err, context.Canceled) {
		t.Fatalf("read on: %v", err)
	}
}

func TestWhoWaitsForAnotherGivesUpWithItsContext(t *testing.T) {
	t.Parallel()
	b := bucket(t)
	r, i := pair(t, false)
	object, plain, _ := sealedChunks(t, r)
	put(t, b, "object", object)
	entered := make(chan struct{})
	s := seal.NewSource(fault.Wrap(b, fault.NewSet(
		fault.Rule{Op: fault.Stat, Action: fault.Crash(func() { close(entered) })},
		fault.Rule{Op: fault.Stat, Action: fault.Stall()},
	)), i)
	first, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		_, err := s.Get(first, "object", 1, 2)
		ended <- err
	}()
	<-entered
	second, cancelSecond := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancelSecond()
	if _, err := s.Get(second, "object", 1, 2); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("waited for the other: %v", err)
	}
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Fatalf("stalled: %v", err)
	}
	got, err := get(t.Context(), s, "object", 1, 2)
	if err != nil || !bytes.Equal(got, plain[1:3]) {
		t.Fatalf("the next one: %v", err)
	}
}

func TestClosedBodyReadsNoMore(t *testing.T) {
	t.Parallel()
	b := bucket(t)
	r, i := pair(t, false)
	object, _, _ := sealedChunks(t, r)
	put(t, b, "object", object)
	for _, offset := range []int64{10, 3*65536 + 10} { // from a body of the bucket, and from memory
		body, err := seal.NewSource(b, i).Get(t.Context(), "object", offset, 100)
		if err != nil {
			t.Fatal(err)
		}
		if err := body.Close(); err != nil {
			t.Fatal(err)
		}
		if n, err := body.Read(make([]byte, 10)); err == nil || errors.Is(err, io.EOF) {
			t.Errorf("%d bytes from %d, %v", n, offset, err)
		}
	}
}
