package ship

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"
)

// scene is a data directory with segments that are ready, and a repository that notes what it gets.
type scene struct {
	t       *testing.T
	data    string
	mu      sync.Mutex
	pushed  []string
	running int
	most    int // pushes at the same time
	fail    map[string]error
	hold    chan struct{} // pushes wait for it, unless nil
	takes   time.Duration // each push
	clock   func() time.Time
}

func newScene(t *testing.T) *scene {
	t.Helper()
	s := &scene{t: t, data: t.TempDir(), fail: map[string]error{}, clock: time.Now}
	if err := os.MkdirAll(s.status(), 0o700); err != nil {
		t.Fatal(err)
	}
	return s
}

func (s *scene) status() string { return filepath.Join(s.data, "pg_wal", "archive_status") }

func (s *scene) path(name string) string { return filepath.Join(s.data, "pg_wal", name) }

func (s *scene) ready(names ...string) {
	s.t.Helper()
	for _, name := range names {
		for _, path := range []string{s.path(name), filepath.Join(s.status(), name+".ready")} {
			if err := os.WriteFile(path, []byte(name), 0o600); err != nil {
				s.t.Fatal(err)
			}
		}
	}
}

// done is what the server does after archive_command has succeeded.
func (s *scene) done(name string) {
	s.t.Helper()
	at := filepath.Join(s.status(), name)
	if err := os.Rename(at+".ready", at+".done"); err != nil {
		s.t.Fatal(err)
	}
}

func (s *scene) push(ctx context.Context, path string) error {
	s.mu.Lock()
	s.running++
	s.most = max(s.most, s.running)
	hold, err := s.hold, s.fail[filepath.Base(path)]
	s.mu.Unlock()
	if hold != nil {
		select {
		case <-hold:
		case <-ctx.Done():
			err = ctx.Err()
		}
	}
	time.Sleep(s.takes)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.running--
	if err == nil {
		s.pushed = append(s.pushed, filepath.Base(path))
	}
	return err
}

func (s *scene) shipper(o Options) *Shipper {
	o.Push, o.DataDirectory, o.Clock, o.Log = s.push, s.data, s.clock, slog.New(slog.DiscardHandler)
	shipper := New(o)
	s.t.Cleanup(func() { shipper.Close(s.t.Context()) })
	return shipper
}

func segments(n int) []string {
	var names []string
	for i := range n {
		names = append(names, fmt.Sprintf("0000000100000000%08X", i+1))
	}
	return names
}

func (s *scene) eventually(what string, holds func() bool) {
	s.t.Helper()
	for deadline := time.Now().Add(time.Minute); !holds(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			s.t.Fatalf("never: %s", what)
		}
	}
}

func (s *scene) got() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.pushed)
}

func TestABacklogIsPushedOnceAndAheadOfBeingAsked(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.takes = 2 * time.Millisecond
	names := segments(100)
	s.ready(names...)
	shipper := s.shipper(Options{Workers: 4})
	for _, name := range names {
		if err := shipper.Push(t.Context(), s.path(name)); err != nil {
			t.Fatal(err)
		}
		s.done(name)
	}
	got := s.got()
	slices.Sort(got)
	if !slices.Equal(got, names) {
		t.Errorf("%d pushes of %d files", len(got), len(names))
	}
	if s.most < 2 || s.most > 5 {
		t.Errorf("%d pushes at the same time with 4 workers and one that is asked for", s.most)
	}
}

func TestWhatIsAheadIsBounded(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	names := segments(50)
	s.ready(names...)
	shipper := s.shipper(Options{Workers: 2, Ahead: 5})
	if err := shipper.Push(t.Context(), s.path(names[0])); err != nil {
		t.Fatal(err)
	}
	s.eventually("the asked one and five ahead", func() bool { return len(s.got()) == 6 })
	time.Sleep(2 * rescan)
	if got := s.got(); len(got) != 6 {
		t.Errorf("%d files were pushed", len(got))
	}
}

func TestHistoryGoesAheadOfEverything(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.ready("000000010000000000000002", "000000010000000000000003", "00000002.history", "not WAL")
	shipper := s.shipper(Options{Workers: 1})
	if err := shipper.Push(t.Context(), s.path("000000010000000000000002")); err != nil {
		t.Fatal(err)
	}
	s.eventually("all are pushed", func() bool { return len(s.got()) == 3 })
	if got := s.got(); slices.Index(got, "00000002.history") > slices.Index(got, "000000010000000000000003") {
		t.Errorf("pushed in the order %v", got)
	}
}

func TestAFailureAheadIsTriedAnewWhenItIsAskedFor(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	now := time.Now()
	s.clock = func() time.Time { return now } // so that nobody looks again, and pushes the second one ahead once more
	names := segments(2)
	s.ready(names...)
	s.fail[names[1]] = errors.New("no")
	shipper := s.shipper(Options{Workers: 1})
	if err := shipper.Push(t.Context(), s.path(names[0])); err != nil {
		t.Fatal(err)
	}
	s.eventually("the second one failed", func() bool { return shipper.Stats().Failed > 0 })
	if err := shipper.Push(t.Context(), s.path(names[1])); err == nil {
		t.Error("a failure was acknowledged")
	}
	s.mu.Lock()
	delete(s.fail, names[1])
	s.mu.Unlock()
	if err := shipper.Push(t.Context(), s.path(names[1])); err != nil {
		t.Error(err)
	}
}

func TestAnAskedFileIsAnsweredAgainWithoutAnotherPush(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	name := segments(1)[0]
	s.ready(name)
	shipper := s.shipper(Options{})
	for range 3 {
		if err := shipper.Push(t.Context(), s.path(name)); err != nil {
			t.Fatal(err)
		}
	}
	if got := s.got(); len(got) != 1 {
		t.Errorf("pushed %v", got)
	}
	// Another file under the name is another push: what it holds is for the repository to judge.
	if err := os.WriteFile(s.path(name), []byte("something else"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := shipper.Push(t.Context(), s.path(name)); err != nil {
		t.Fatal(err)
	}
	if got := s.got(); len(got) != 2 {
		t.Errorf("pushed %v", got)
	}
}

func TestOnlyFilesOfTheServerAreTaken(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	outside := filepath.Join(t.TempDir(), segments(1)[0])
	if err := os.WriteFile(outside, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(outside, s.path(segments(1)[0])); err != nil {
		t.Fatal(err)
	}
	shipper := s.shipper(Options{})
	for _, path := range []string{
		outside, s.path("../" + filepath.Base(outside)), s.path("archive_status/x"), s.path("missing"), s.path(segments(1)[0]),
	} {
		if err := shipper.Push(t.Context(), path); err == nil {
			t.Errorf("%s was taken", path)
		}
	}
	if got := s.got(); len(got) != 0 {
		t.Errorf("pushed %v", got)
	}
}

func TestWhoStopsWaitingDoesNotStopThePush(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	name := segments(1)[0]
	s.ready(name)
	s.hold = make(chan struct{})
	shipper := s.shipper(Options{})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := shipper.Push(ctx, s.path(name)); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	close(s.hold)
	if err := shipper.Push(t.Context(), s.path(name)); err != nil {
		t.Fatal(err)
	}
	if got := s.got(); len(got) != 1 {
		t.Errorf("pushed %v", got)
	}
}

func TestCloseWaitsAndThenGivesUp(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	name := segments(1)[0]
	s.ready(name)
	s.hold = make(chan struct{})
	shipper := s.shipper(Options{})
	answer := make(chan error)
	go func() { answer <- shipper.Push(t.Context(), s.path(name)) }()
	s.eventually("the push runs", func() bool { s.mu.Lock(); defer s.mu.Unlock(); return s.running == 1 })
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	shipper.Close(ctx)
	if err := <-answer; err == nil {
		t.Error("an unfinished push was acknowledged")
	}
	if err := shipper.Push(t.Context(), s.path(name)); !errors.Is(err, errClosed) {
		t.Errorf("after the end: %v", err)
	}
}

func TestWaitingCountsWhatIsReady(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	shipper := s.shipper(Options{})
	if n, oldest := shipper.Waiting(); n != 0 || !oldest.IsZero() {
		t.Errorf("%d since %s", n, oldest)
	}
	s.ready(segments(3)...)
	then := time.Now().Add(-time.Hour).Truncate(time.Second)
	if err := os.Chtimes(filepath.Join(s.status(), segments(2)[1]+".ready"), then, then); err != nil {
		t.Fatal(err)
	}
	if n, oldest := shipper.Waiting(); n != 3 || !oldest.Equal(then) {
		t.Errorf("%d since %s", n, oldest)
	}
}
