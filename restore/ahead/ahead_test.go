package ahead

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"lifeboat/internal/wal"
	"lifeboat/restore"
	"lifeboat/storage"
)

const size = wal.SegmentSize(16 << 20)

// archive holds the first last segments of timeline 1, each with its name as its content.
type archive struct {
	t       *testing.T
	last    int
	latency time.Duration
	fail    error // of every Get
	full    bool  // there is no room for what is fetched ahead

	mu      sync.Mutex
	ahead   map[string]int // Gets, by name
	running int
	most    int
	direct  int // Answers
}

func segment(n int) wal.FileName { return wal.SegmentFile(1, wal.SegmentNumber(n), size) }

func (a *archive) has(name string) bool {
	file, err := wal.ParseFileName(name)
	return err == nil && file.Timeline == 1 && file.Kind == wal.Segment && int(file.SegmentNumber(size)) <= a.last
}

func (a *archive) answer(_ context.Context, name, dest string) (restore.Outcome, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.direct++
	if !a.has(name) {
		return restore.Absent, storage.ErrNotFound
	}
	return restore.Found, os.WriteFile(dest, []byte(name), 0o600)
}

func (a *archive) get(ctx context.Context, name wal.FileName, path string) error {
	a.mu.Lock()
	a.ahead[name.String()]++
	a.running++
	a.most = max(a.most, a.running)
	a.mu.Unlock()
	select {
	case <-time.After(a.latency):
	case <-ctx.Done():
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.running--
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if a.fail != nil {
		return a.fail
	}
	if !a.has(name.String()) {
		return storage.ErrNotFound
	}
	return os.WriteFile(path, []byte(name.String()), 0o600)
}

func (a *archive) room() bool { return !a.full }

func scene(t *testing.T, a *archive, files int) (*Fetcher, string) {
	t.Helper()
	a.t, a.ahead = t, map[string]int{}
	area := t.TempDir()
	f := New(Options{Answer: a.answer, Get: a.get, Room: a.room, SegmentSize: size, Area: area, Files: files, Log: slog.New(slog.DiscardHandler)})
	t.Cleanup(func() {
		if err := f.Close(); err != nil {
			t.Error(err)
		}
		if left, _ := os.ReadDir(area); len(left) > 0 {
			t.Errorf("%d files are left in the area", len(left))
		}
	})
	return f, filepath.Join(t.TempDir(), "RECOVERYXLOG")
}

func (a *archive) expect(f *Fetcher, n int, dest string) {
	a.t.Helper()
	outcome, err := f.Fetch(a.t.Context(), segment(n).String(), dest)
	if err != nil || outcome != restore.Found {
		a.t.Fatalf("segment %d: %s, %v", n, outcome, err)
	}
	if got, err := os.ReadFile(dest); err != nil || string(got) != segment(n).String() {
		a.t.Fatalf("segment %d holds %q, %v", n, got, err)
	}
}

func TestARecoveryIsServedFromAhead(t *testing.T) {
	t.Parallel()
	a := &archive{last: 50, latency: time.Millisecond}
	f, dest := scene(t, a, 4)
	for n := 1; n <= a.last; n++ {
		a.expect(f, n, dest)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.direct != 1 {
		t.Errorf("%d of %d segments were fetched only when asked for", a.direct, a.last)
	}
	if a.most > 5 {
		t.Errorf("%d segments at the same time, more than 4 ahead and the one asked for", a.most)
	}
	for name, times := range a.ahead {
		if times > 1 && a.has(name) {
			t.Errorf("%s was fetched %d times", name, times)
		}
	}
}

func TestAbsenceIsAskedForEveryTime(t *testing.T) {
	t.Parallel()
	a := &archive{last: 2}
	f, dest := scene(t, a, 4)
	a.expect(f, 1, dest)
	a.expect(f, 2, dest)
	if outcome, err := f.Fetch(t.Context(), segment(3).String(), dest); outcome != restore.Absent {
		t.Fatalf("%s, %v", outcome, err)
	}
	a.mu.Lock()
	a.last = 6
	a.mu.Unlock()
	for n := 3; n <= 6; n++ {
		a.expect(f, n, dest)
	}
}

func TestWhatFailsAheadIsAskedForAnew(t *testing.T) {
	t.Parallel()
	a := &archive{last: 5, fail: errors.New("away")}
	f, dest := scene(t, a, 2)
	for n := 1; n <= 5; n++ {
		a.expect(f, n, dest)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.direct != 5 {
		t.Errorf("%d direct answers", a.direct)
	}
}

func TestWithoutRoomNothingIsFetchedAhead(t *testing.T) {
	t.Parallel()
	a := &archive{last: 6, full: true}
	f, dest := scene(t, a, 4)
	for n := 1; n <= 6; n++ {
		a.expect(f, n, dest)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.direct != 6 || len(a.ahead) > 0 {
		t.Errorf("%d direct answers, and ahead: %v", a.direct, a.ahead)
	}
}

func TestLookingAheadGoesOnAfterAnOutage(t *testing.T) {
	t.Parallel()
	a := &archive{last: 30, fail: errors.New("away")}
	f, dest := scene(t, a, 4)
	a.expect(f, 1, dest)
	f.settles()
	a.mu.Lock()
	a.fail = nil
	a.mu.Unlock()
	for n := 2; n <= 30; n++ {
		a.expect(f, n, dest)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.direct > 2 {
		t.Errorf("%d segments were fetched only when asked for", a.direct)
	}
}

// settles waits until nothing is on its way.
func (f *Fetcher) settles() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, j := range f.jobs {
		<-j.done
	}
}

// A standby asks for what is not there yet, again and again: that must not cost more than its own request.
func TestBeyondTheEndLittleIsAskedFor(t *testing.T) {
	t.Parallel()
	a := &archive{last: 3}
	f, dest := scene(t, a, 8)
	for n := 1; n <= 3; n++ {
		a.expect(f, n, dest)
		f.settles()
	}
	for range 50 {
		if outcome, err := f.Fetch(t.Context(), segment(4).String(), dest); outcome != restore.Absent {
			t.Fatalf("%s, %v", outcome, err)
		}
		f.settles()
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	total := 0
	for _, times := range a.ahead {
		total += times
	}
	if total > 30 {
		t.Errorf("asked for ahead: %v", a.ahead)
	}
}

func TestOtherFilesAndTimelinesAreNotFetchedAhead(t *testing.T) {
	t.Parallel()
	a := &archive{last: 9}
	f, dest := scene(t, a, 3)
	for _, name := range []string{"00000002.history", "nonsense", "000000010000000000000003.partial"} {
		if outcome, _ := f.Fetch(t.Context(), name, dest); outcome != restore.Absent {
			t.Errorf("%s: %s", name, outcome)
		}
	}
	a.mu.Lock()
	if len(a.ahead) != 0 {
		t.Errorf("fetched ahead: %v", a.ahead)
	}
	a.mu.Unlock()
	a.expect(f, 1, dest)
	if outcome, _ := f.Fetch(t.Context(), wal.SegmentFile(2, 3, size).String(), dest); outcome != restore.Absent {
		t.Errorf("of another timeline: %s", outcome)
	}
	a.expect(f, 2, dest) // the former timeline again
}

func TestWhoAsksInVainLeavesNothing(t *testing.T) {
	t.Parallel()
	a := &archive{last: 9, latency: time.Hour}
	f, dest := scene(t, a, 3)
	a.expect(f, 1, dest)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if _, err := f.Fetch(ctx, segment(2).String(), dest); err != nil {
		t.Fatal(err) // the direct answer of this archive does not look at the context
	}
}

func TestManyAskAtOnce(t *testing.T) {
	t.Parallel()
	a := &archive{last: 30}
	f, _ := scene(t, a, 4)
	directory := t.TempDir()
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			for n := 1; n <= a.last; n++ {
				dest := filepath.Join(directory, fmt.Sprint(i))
				if outcome, err := f.Fetch(t.Context(), segment(n).String(), dest); outcome != restore.Found {
					t.Errorf("%s, %v", outcome, err)
				} else if got, _ := os.ReadFile(dest); string(got) != segment(n).String() {
					t.Errorf("%q in place of %s", got, segment(n))
				}
			}
		})
	}
	all.Wait()
}
