package gcs_test

import (
	"bytes"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"lifeboat/storage"
)

// The answer to a put is lost, and the next one says that the object exists: it is our own.
func TestLostAnswerOfConditionalPut(t *testing.T) {
	t.Parallel()
	s := &store{fault: nth(isPut, 1, loseAnswer)}
	b := open(t, options(t, s.serve(t)))
	put(t, b, "a", "mine")
	if got := s.bytesAt("a"); string(got) != "mine" {
		t.Fatalf("the store has %q", got)
	}
}

// The answer is lost, and somebody else's object is found: whatever its bytes, it is not ours.
func TestLostAnswerAndAnotherObject(t *testing.T) {
	t.Parallel()
	s := &store{}
	server := s.serve(t)
	other := open(t, options(t, server))
	s.fault = nth(isPut, 1, func(w http.ResponseWriter, _ *http.Request, _ http.Handler) bool {
		put(t, other, "a", "same")
		return cut(w)
	})
	err := open(t, options(t, server)).Put(t.Context(), "a", strings.NewReader("same"), storage.PutOptions{IfAbsent: true, Size: 4})
	if !errors.Is(err, storage.ErrExists) {
		t.Fatalf("put: %v", err)
	}
}

func TestLargeConditionalPutFindsAnObject(t *testing.T) {
	t.Parallel()
	s := &store{}
	b := open(t, options(t, s.serve(t)))
	put(t, b, "a", "first")
	err := b.Put(t.Context(), "a", stream(random(1, 9*mebibyte)), storage.PutOptions{IfAbsent: true, Size: -1})
	if !errors.Is(err, storage.ErrExists) || string(s.bytesAt("a")) != "first" {
		t.Fatalf("put: %v", err)
	}
}

// A session that is forgotten on its way leaves nothing: the whole put may be tried again, but is not done.
func TestForgottenSession(t *testing.T) {
	t.Parallel()
	for _, status := range []int{http.StatusNotFound, http.StatusGone} {
		s := &store{fault: nth(isChunk, 2, func(w http.ResponseWriter, _ *http.Request, _ http.Handler) bool {
			refuse(w, status, "notFound", "Not Found")
			return true
		})}
		b := open(t, options(t, s.serve(t)))
		err := b.Put(t.Context(), "a", bytes.NewReader(random(1, 20*mebibyte)), storage.PutOptions{IfAbsent: true, Size: -1})
		if !storage.Transient(err) || s.bytesAt("a") != nil {
			t.Fatalf("put: %v", err)
		}
	}
}

// A condition refused by something that is not the store must not be taken for an object that exists.
func TestRefusedConditionWithoutAnObject(t *testing.T) {
	t.Parallel()
	for reason, transient := range map[string]bool{"conditionNotMet": true, "orgPolicyConstraintFailed": false} {
		s := &store{fault: func(w http.ResponseWriter, r *http.Request, _ http.Handler) bool {
			if isPut(r) {
				refuse(w, http.StatusPreconditionFailed, reason, "no")
			}
			return isPut(r)
		}}
		o := options(t, s.serve(t))
		o.Retry.TotalTimeout = 100 * time.Millisecond
		err := open(t, o).Put(t.Context(), "a", strings.NewReader("x"), storage.PutOptions{IfAbsent: true, Size: 1})
		if err == nil || errors.Is(err, storage.ErrExists) || storage.Transient(err) != transient {
			t.Errorf("%s: %v", reason, err)
		}
	}
}

// A store that does not look at conditions replaces the object, unless the driver looks first.
func TestEmulatedConditions(t *testing.T) {
	t.Parallel()
	s := &store{fault: func(_ http.ResponseWriter, r *http.Request, _ http.Handler) bool {
		query := r.URL.Query()
		query.Del("ifGenerationMatch")
		r.URL.RawQuery = query.Encode()
		return false
	}}
	o := options(t, s.serve(t))
	put(t, open(t, o), "a", "first")
	put(t, open(t, o), "a", "second") // nobody noticed
	o.EmulateConditional = true
	err := open(t, o).Put(t.Context(), "a", strings.NewReader("third"), storage.PutOptions{IfAbsent: true, Size: 5})
	if !errors.Is(err, storage.ErrExists) || string(s.bytesAt("a")) != "second" {
		t.Fatalf("put: %v, the store has %q", err, s.bytesAt("a"))
	}
	put(t, open(t, o), "b", "new")
}

// What the store says to have must be what was sent.
func TestStoreThatTookOtherBytes(t *testing.T) {
	t.Parallel()
	s := &store{fault: func(w http.ResponseWriter, r *http.Request, _ http.Handler) bool {
		if isPut(r) {
			answer(w, &stored{Name: "a", Bucket: "bucket", Size: 4, CRC32C: sum([]byte("othe"))})
		}
		return isPut(r)
	}}
	err := open(t, options(t, s.serve(t))).Put(t.Context(), "a", strings.NewReader("mine"), storage.PutOptions{Size: 4})
	if err == nil || storage.Transient(err) || !strings.Contains(err.Error(), "the store has taken other bytes than were sent") {
		t.Fatalf("put: %v", err)
	}
}

func TestSettingsOfObjects(t *testing.T) {
	t.Parallel()
	s := &store{}
	o := options(t, s.serve(t))
	o.StorageClass, o.KMSKeyName, o.Prefix = "NEARLINE", "projects/p/locations/l/keyRings/r/cryptoKeys/k", "some/where"
	b := open(t, o)
	put(t, b, "small", "x")
	if err := b.Put(t.Context(), "large", stream(random(1, 9*mebibyte)), storage.PutOptions{Size: -1}); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"some/where/small", "some/where/large"} {
		got := s.objects[name]
		if got == nil || got.StorageClass != o.StorageClass || got.KMSKeyName != o.KMSKeyName || got.Metadata["lifeboat-nonce"] == "" {
			t.Errorf("%s is stored as %+v", name, got)
		}
	}
}
