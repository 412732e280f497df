package seal_test

import (
	"bytes"
	"errors"
	"fmt"
	"sync"
	"testing"

	"lifeboat/storage"
	"lifeboat/storage/catalog/seal"
)

func TestRequestsOfASource(t *testing.T) {
	t.Parallel()
	b := bucket(t)
	r, i := pair(t, false)
	object, plain, _ := sealedChunks(t, r)
	put(t, b, "sealed", object)
	put(t, b, "plain", plain)
	put(t, b, "small", noted(t, r, []byte("small"), []byte("note")))
	put(t, b, "long-note", noted(t, r, plain, content(200_000)))
	s := seal.NewSource(b, i)
	for _, step := range []struct {
		what, key      string
		offset, length int64
		gets, stats    int
	}{
		{"whole", "sealed", 0, -1, 1, 0},
		{"first range", "sealed", 70_000, 80_000, 3, 1},
		{"next range", "sealed", 1, 150_000, 1, 0},
		{"range into the last chunk", "sealed", 190_000, -1, 1, 0},
		{"range in the last chunk", "sealed", 3 * 65536, 1000, 0, 0},
		{"nothing", "sealed", 5, 0, 0, 0},
		{"whole", "sealed", 0, -1, 1, 0},
		{"whole", "plain", 0, -1, 1, 0},
		{"first range", "plain", 5, 10, 2, 1},
		{"next range", "plain", 100, -1, 1, 0},
		{"first range", "small", 1, 2, 1, 1},
		{"next range", "small", 0, 5, 0, 0},
		{"first range", "long-note", 70_000, 80_000, 3, 1},
		{"next range", "long-note", 70_000, 80_000, 1, 0},
	} {
		b.since()
		if _, err := get(t.Context(), s, step.key, step.offset, step.length); err != nil {
			t.Fatalf("%s of %s: %v", step.what, step.key, err)
		}
		if gets, stats := b.since(); gets != step.gets || stats != step.stats {
			t.Errorf("%s of %s: %d gets and %d stats, want %d and %d", step.what, step.key, gets, stats, step.gets, step.stats)
		}
	}
}

func TestParallelRangesLearnOnce(t *testing.T) {
	t.Parallel()
	b := bucket(t)
	r, i := pair(t, false)
	object, plain, _ := sealedChunks(t, r)
	put(t, b, "sealed", object)
	s := seal.NewSource(b, i)
	var group sync.WaitGroup
	const readers = 16
	for n := range int64(readers) {
		group.Go(func() {
			from := n * 10_000
			got, err := get(t.Context(), s, "sealed", from, 20_000)
			if err != nil || !bytes.Equal(got, plain[from:from+20_000]) {
				t.Errorf("range from %d: %v", from, err)
			}
		})
	}
	group.Wait()
	if gets, stats := b.since(); gets != readers+2 || stats != 1 {
		t.Fatalf("%d gets and %d stats for %d ranges", gets, stats, readers)
	}
}

func TestSourceForgetsTheObjectsOfLongAgo(t *testing.T) {
	t.Parallel()
	b := bucket(t)
	r, i := pair(t, false)
	s := seal.NewSource(b, i)
	const objects = 65 // one more than are remembered
	for n := range objects {
		put(t, b, fmt.Sprint(n), noted(t, r, []byte("small"), nil))
	}
	read := func(n int) (gets int) {
		b.since()
		if _, err := get(t.Context(), s, fmt.Sprint(n), 1, 2); err != nil {
			t.Fatal(err)
		}
		gets, _ = b.since()
		return gets
	}
	for n := range objects - 1 {
		read(n)
	}
	if read(0) != 0 {
		t.Fatal("one of the last 64 objects is asked for again")
	}
	read(objects - 1)
	if read(0) != 0 {
		t.Fatal("the object that was used just now is forgotten")
	}
	if read(1) == 0 {
		t.Fatal("the object that was used longest ago is not forgotten")
	}
}

func TestRangesOutsideAreRefused(t *testing.T) {
	t.Parallel()
	b := bucket(t)
	r, i := pair(t, false)
	for _, size := range []int64{0, 1, 65536, 65537, 100_000} {
		plain := content(int(size))
		sealed, err := r.Seal(plain)
		if err != nil {
			t.Fatal(err)
		}
		put(t, b, "sealed", sealed)
		put(t, b, "plain", plain)
		s := seal.NewSource(b, i)
		for _, key := range []string{"sealed", "plain"} {
			for _, bad := range [][2]int64{
				{-1, 1}, {-1, -1}, {0, size + 1}, {1, size}, {size, 1}, {size + 1, 0}, {size + 1, -1},
				{size + 1<<40, 1}, {0, 1 << 62}, {1, 1<<63 - 1}, {1<<63 - 1, 1<<63 - 1},
			} {
				if _, err := get(t.Context(), s, key, bad[0], bad[1]); !errors.Is(err, storage.ErrRange) {
					t.Errorf("%d bytes from %d of a %s object of %d: %v", bad[1], bad[0], key, size, err)
				}
			}
			for _, empty := range [][2]int64{{0, 0}, {size, 0}, {size, -1}} {
				if got, err := get(t.Context(), s, key, empty[0], empty[1]); err != nil || int64(len(got)) > size-empty[0] {
					t.Errorf("%d bytes from %d of a %s object of %d: %v", empty[1], empty[0], key, size, err)
				}
			}
		}
	}
}
