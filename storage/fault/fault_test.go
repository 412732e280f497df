package fault_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"lifeboat/storage"
	"lifeboat/storage/fault"
	"lifeboat/storage/file"
	"lifeboat/storage/storagetest"
)

var errScript = errors.New("as the script says")

const text = "0123456789"

func disk(t *testing.T) storage.Bucket {
	t.Helper()
	b, err := file.Create(filepath.Join(t.TempDir(), "root"), file.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	return b
}

// scene is a bucket that holds text at "dir/x" and "dir/y", under a script that must fire.
func scene(t *testing.T, rules ...fault.Rule) (b, below storage.Bucket) {
	t.Helper()
	below = disk(t)
	for _, key := range []string{"dir/x", "dir/y"} {
		if err := put(t.Context(), below, key); err != nil {
			t.Fatal(err)
		}
	}
	set := fault.NewSet(rules...)
	t.Cleanup(func() {
		if err := set.AllFired(); err != nil {
			t.Error(err)
		}
	})
	return fault.Wrap(below, set), below
}

func put(ctx context.Context, b storage.Bucket, key string) error {
	return b.Put(ctx, key, strings.NewReader(text), storage.PutOptions{Size: int64(len(text))})
}

func get(ctx context.Context, b storage.Bucket, key string) (string, error) {
	body, err := b.Get(ctx, key, 0, -1)
	if err != nil {
		return "", err
	}
	defer body.Close()
	data, err := io.ReadAll(body)
	return string(data), err
}

func list(ctx context.Context, b storage.Bucket) (keys []string, err error) {
	for info, err := range b.List(ctx, "dir/") {
		if err != nil {
			return keys, err
		}
		keys = append(keys, info.Key)
	}
	return keys, nil
}

func TestConformance(t *testing.T) {
	t.Parallel()
	storagetest.Run(t, func(t *testing.T) storage.Bucket { return fault.Wrap(disk(t), fault.NewSet()) })
}

func TestFailHitsEveryOperationAndDoesNothing(t *testing.T) {
	t.Parallel()
	var rules []fault.Rule
	for _, op := range []fault.Op{fault.Put, fault.Get, fault.Stat, fault.List, fault.Delete} {
		rules = append(rules, fault.Rule{Op: op, Action: fault.Fail(errScript)})
	}
	b, below := scene(t, rules...)
	_, getErr := get(t.Context(), b, "dir/x")
	_, statErr := b.Stat(t.Context(), "dir/x")
	_, listErr := list(t.Context(), b)
	for _, err := range []error{put(t.Context(), b, "new"), getErr, statErr, listErr, b.Delete(t.Context(), "dir/x")} {
		var detail *storage.Error
		if !errors.Is(err, errScript) || !errors.As(err, &detail) {
			t.Errorf("got %v", err)
		}
	}
	if _, err := below.Stat(t.Context(), "new"); !errors.Is(err, storage.ErrNotFound) {
		t.Errorf("the failed put did something: %v", err)
	}
	if _, err := below.Stat(t.Context(), "dir/x"); err != nil {
		t.Errorf("the failed delete did something: %v", err)
	}
}

func TestRulesCountTheirMatches(t *testing.T) {
	t.Parallel()
	b, _ := scene(t, fault.Rule{Op: fault.Stat, Key: "dir/*", After: 1, Times: 2, Action: fault.Fail(errScript)})
	var got []bool
	for _, key := range []string{"dir/x", "none", "dir/y", "none", "dir/x", "dir/x"} {
		_, err := b.Stat(t.Context(), key)
		got = append(got, errors.Is(err, errScript))
	}
	for i, want := range []bool{false, false, true, false, true, false} {
		if got[i] != want {
			t.Fatalf("operations failed: %v", got)
		}
	}
}

func TestAllFiredNamesTheRuleThatDidNot(t *testing.T) {
	t.Parallel()
	set := fault.NewSet(
		fault.Rule{Op: fault.Get, Key: "a", Action: fault.Truncate(100, nil)},
		fault.Rule{Op: fault.Stat, Key: "b", Times: 2, Action: fault.Fail(errScript)},
		fault.Rule{Op: fault.Delete, Key: "c", Times: -1, Action: fault.Fail(errScript)})
	b := fault.Wrap(disk(t), set)
	if err := put(t.Context(), b, "a"); err != nil {
		t.Fatal(err)
	}
	if _, err := get(t.Context(), b, "a"); err != nil {
		t.Fatal(err)
	}
	_, _ = b.Stat(t.Context(), "b") // only to be counted
	_ = b.Delete(t.Context(), "c")
	err := set.AllFired()
	for _, want := range []string{`"get a: truncate" fired 0 of 1`, `"stat b: fail" fired 1 of 2`} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
	if strings.Contains(err.Error(), "delete") {
		t.Errorf("got %v, but the delete rule fired", err)
	}
}

func TestLostResponseFollowsTheDeed(t *testing.T) {
	t.Parallel()
	b, below := scene(t,
		fault.Rule{Op: fault.Put, Action: fault.LoseResponse(errScript)},
		fault.Rule{Op: fault.Delete, Action: fault.LoseResponse(errScript)})
	if err := put(t.Context(), b, "new"); !errors.Is(err, errScript) {
		t.Errorf("got %v", err)
	}
	if got, err := get(t.Context(), below, "new"); got != text || err != nil {
		t.Errorf("stored %q, %v", got, err)
	}
	if err := b.Delete(t.Context(), "dir/x"); !errors.Is(err, errScript) {
		t.Errorf("got %v", err)
	}
	if _, err := below.Stat(t.Context(), "dir/x"); !errors.Is(err, storage.ErrNotFound) {
		t.Errorf("not deleted: %v", err)
	}
}

func TestCrashComesBeforeOrAfterTheDeed(t *testing.T) {
	t.Parallel()
	below := disk(t)
	seen := func(found *bool) func() {
		return func() {
			_, err := below.Stat(t.Context(), "new")
			*found = err == nil
		}
	}
	before, after := true, false
	b := fault.Wrap(below, fault.NewSet(
		fault.Rule{Op: fault.Put, Action: fault.Crash(seen(&before))},
		fault.Rule{Op: fault.Put, Action: fault.CrashAfter(seen(&after))}))
	if err := put(t.Context(), b, "new"); err != nil || before || !after {
		t.Fatalf("object there before: %t, after: %t, error %v", before, after, err)
	}
}

func TestBodies(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		action fault.Action
		want   string
		err    error
	}{
		{"cut as if whole", fault.Truncate(4, nil), text[:4], nil},
		{"cut with an error", fault.Truncate(4, errScript), text[:4], errScript},
		{"cut at once", fault.Truncate(0, errScript), "", errScript},
		{"first byte flipped", fault.FlipByte(0), "\xcf" + text[1:], nil},
		{"last byte flipped", fault.FlipByte(9), text[:9] + "\xc6", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			b, _ := scene(t, fault.Rule{Op: fault.Get, Action: c.action})
			if got, err := get(t.Context(), b, "dir/x"); got != c.want || !errors.Is(err, c.err) {
				t.Errorf("read %q, %v", got, err)
			}
			b, below := scene(t, fault.Rule{Op: fault.Put, Action: c.action})
			err := b.Put(t.Context(), "new", strings.NewReader(text), storage.PutOptions{Size: -1})
			if !errors.Is(err, c.err) {
				t.Errorf("put: %v", err)
			}
			if got, err := get(t.Context(), below, "new"); c.err == nil && (got != c.want || err != nil) {
				t.Errorf("stored %q, %v", got, err)
			}
		})
	}
}

func TestFlipByteInShortReads(t *testing.T) {
	t.Parallel()
	b, _ := scene(t, fault.Rule{Op: fault.Get, Action: fault.FlipByte(5)})
	body, err := b.Get(t.Context(), "dir/x", 0, -1)
	if err != nil {
		t.Fatal(err)
	}
	defer body.Close()
	var got bytes.Buffer
	if _, err := io.CopyBuffer(struct{ io.Writer }{&got}, body, make([]byte, 2)); err != nil || got.String() != "01234\xca6789" {
		t.Fatalf("read %q, %v", &got, err)
	}
}

func TestListings(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		action fault.Action
		want   int
		err    error
	}{
		{"cut as if complete", fault.Truncate(1, nil), 1, nil},
		{"cut with an error", fault.Truncate(1, errScript), 1, errScript},
		{"error at the end", fault.Truncate(2, errScript), 2, errScript},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			b, _ := scene(t, fault.Rule{Op: fault.List, Key: "dir/", Action: c.action})
			if keys, err := list(t.Context(), b); len(keys) != c.want || !errors.Is(err, c.err) {
				t.Errorf("listed %q, %v", keys, err)
			}
			if keys, err := list(t.Context(), b); len(keys) != 2 || err != nil {
				t.Errorf("the second time listed %q, %v", keys, err)
			}
		})
	}
}

// The time of the bubble passes only when all wait, so that what comes before the stall is never too late.
func TestStallEndsWithTheContext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b, _ := scene(t,
			fault.Rule{Op: fault.Stat, Action: fault.Stall()},
			fault.Rule{Op: fault.Put, Action: fault.Delay(time.Hour)},
			fault.Rule{Op: fault.Get, Action: fault.StallBody(3)})
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Minute, errScript)
		defer cancel()
		if got, err := get(ctx, b, "dir/x"); got != text[:3] || !errors.Is(err, errScript) {
			t.Errorf("read %q, %v", got, err)
		}
		ctx, cancel = context.WithTimeoutCause(t.Context(), time.Minute, errScript)
		defer cancel()
		if _, err := b.Stat(ctx, "dir/x"); !errors.Is(err, errScript) {
			t.Errorf("stat: %v", err)
		}
		ctx, cancel = context.WithTimeoutCause(t.Context(), time.Minute, errScript)
		defer cancel()
		if err := put(ctx, b, "new"); !errors.Is(err, errScript) {
			t.Errorf("put: %v", err)
		}
	})
}

func TestDelayPasses(t *testing.T) {
	t.Parallel()
	b, _ := scene(t, fault.Rule{Op: fault.Stat, Action: fault.Delay(time.Millisecond)})
	if _, err := b.Stat(t.Context(), "dir/x"); err != nil {
		t.Fatal(err)
	}
}
