package storagetest

import (
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"sync"
	"testing"

	"lifeboat/storage"
)

// keys collects a listing.
func keys(list iter.Seq2[storage.Info, error]) ([]string, error) {
	var all []string
	for info, err := range list {
		if err != nil {
			return all, err
		}
		all = append(all, info.Key)
	}
	return all, nil
}

func wantKeys(t *testing.T, b storage.Bucket, prefix string, want ...string) {
	t.Helper()
	got, err := keys(b.List(t.Context(), prefix))
	if err != nil {
		t.Fatalf("list %q: %v", prefix, err)
	}
	if !slices.Equal(got, want) {
		t.Fatalf("list %q gives %q, want %q", prefix, got, want)
	}
}

// trickyKeys are in order. In it "-" and "." come before the slash, and digits after it, so that a walk from
// directory to directory gets it wrong.
var trickyKeys = []string{
	"-", "0", "A", "a-", "a-/x", "a-b", "a-b-/x", "a.", "a.b/c", "a/-", "a/0", "a/b-", "a/b.c/z", "a/b/c", "a/b0", "a/c",
	"a0", "a0/x", "aB", "a_", "aa", "ab", "ab-/y", "ab/x", "b", "z/z/z/z",
}

func listOrder(t *testing.T, b storage.Bucket) {
	stored := slices.DeleteFunc(slices.Clone(trickyKeys), continued)
	for i := range stored {
		key := stored[(i*7+3)%len(stored)]
		put(t, b, key, []byte(key))
	}
	wantKeys(t, b, "", stored...)
	for info, err := range b.List(t.Context(), "") {
		if err != nil || info.Size != int64(len(info.Key)) || info.ModTime.IsZero() {
			t.Fatalf("listed %+v, %v", info, err)
		}
	}
}

// continued reports whether another key goes on below key, which no bucket need allow.
func continued(key string) bool {
	return slices.ContainsFunc(trickyKeys, func(other string) bool { return strings.HasPrefix(other, key+"/") })
}

func listPrefix(t *testing.T, b storage.Bucket) {
	stored := []string{"a-b", "a/b/c", "a/b/d", "a/bc", "a0", "ab/x", "b"}
	for _, key := range stored {
		put(t, b, key, nil)
	}
	for _, prefix := range []string{"", "a", "a-", "a/", "a/b", "a/b/", "a/b/c", "a/b/c0", "ab", "ab/", "ab/x", "b", "b/", "c", "a/c/"} {
		matching := func(key string) bool { return !strings.HasPrefix(key, prefix) }
		wantKeys(t, b, prefix, slices.DeleteFunc(slices.Clone(stored), matching)...)
	}
	for _, prefix := range []string{"/", ".", "..", "../", "a//", "a/../", "a/.", "a*", "a b", strings.Repeat("k", 256)} {
		if got, err := keys(b.List(t.Context(), prefix)); !errors.Is(err, storage.ErrKey) {
			t.Errorf("list %q: %q, %v, want %v", prefix, got, err, storage.ErrKey)
		}
	}
}

func listEarly(t *testing.T, b storage.Bucket) {
	for _, key := range []string{"a", "b/c", "b/d", "e"} {
		put(t, b, key, nil)
	}
	list := b.List(t.Context(), "")
	for want := range 4 {
		seen := 0
		for _, err := range list {
			if err != nil {
				t.Fatal(err)
			}
			if seen++; seen > want {
				break
			}
		}
		if seen != want+1 {
			t.Fatalf("saw %d, want %d", seen, want+1)
		}
	}
}

func listThousands(t *testing.T, b storage.Bucket) {
	const objects, writers = 2400, 8
	want := make([]string, objects)
	for i := range want {
		want[i] = fmt.Sprintf("%02d/%05d", i/1100, i)
	}
	var all sync.WaitGroup
	for w := range writers {
		all.Go(func() {
			for i := w; i < objects; i += writers {
				options := storage.PutOptions{IfAbsent: true, Size: 1}
				if err := b.Put(t.Context(), want[i], strings.NewReader("x"), options); err != nil {
					t.Errorf("put: %v", err)
				}
			}
		})
	}
	all.Wait()
	wantKeys(t, b, "", want...)
	wantKeys(t, b, "01/", want[1100:2200]...)
}

func listNothing(t *testing.T, b storage.Bucket) {
	wantKeys(t, b, "")
	wantKeys(t, b, "a/b/")
	put(t, b, "x", nil)
	if err := b.Delete(t.Context(), "x"); err != nil {
		t.Fatal(err)
	}
	wantKeys(t, b, "")
}

// listRace lists while some objects come and go: those that stay are in every listing, once and in order.
func listRace(t *testing.T, b storage.Bucket) {
	var stay []string
	for i := range 50 {
		key := fmt.Sprintf("d%d/stay-%02d", i/10, i)
		stay = append(stay, key)
		put(t, b, key, nil)
	}
	var all sync.WaitGroup
	stop := make(chan struct{})
	all.Go(func() { comeAndGo(t, b, stop) })
	for range 30 {
		got, err := keys(b.List(t.Context(), ""))
		if err != nil || !slices.IsSorted(got) {
			t.Errorf("list: %v, in order: %t", err, slices.IsSorted(got))
		}
		staying := slices.DeleteFunc(got, func(key string) bool { return !strings.Contains(key, "stay") })
		if !slices.Equal(staying, stay) {
			t.Errorf("listed %q", staying)
		}
	}
	close(stop)
	all.Wait()
}

func comeAndGo(t *testing.T, b storage.Bucket, stop <-chan struct{}) {
	for i := 0; ; i++ {
		select {
		case <-stop:
			return
		default:
		}
		key := fmt.Sprintf("d%d/go/%d", i%7, i%3)
		if err := b.Put(t.Context(), key, strings.NewReader("x"), storage.PutOptions{Size: 1}); err != nil {
			t.Errorf("put: %v", err)
		}
		if err := b.Delete(t.Context(), key); err != nil {
			t.Errorf("delete: %v", err)
		}
	}
}
