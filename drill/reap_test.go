package drill

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"lifeboat/storage/catalog"
)

// leave makes what a killed drill leaves: directories, and a lock that nobody holds.
func leave(t *testing.T, work string) string {
	t.Helper()
	id := catalog.NewID(time.Now())
	s, err := newScratch(work, id, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := releaseLock(s.lock); err != nil {
		t.Fatal(err)
	}
	return id
}

func TestReapTakesOnlyTheDead(t *testing.T) {
	t.Parallel()
	work := filepath.Join(t.TempDir(), "work")
	dead := leave(t, work)
	living, err := newScratch(work, catalog.NewID(time.Now()), nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"notes.lock", "20261122T000000Z-aaaaaa"} {
		if err := os.WriteFile(filepath.Join(work, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	reaped, err := Reap(t.Context(), work)
	if err != nil || len(reaped) != 1 || reaped[0] != dead {
		t.Errorf("reaped %v, want %s: %v", reaped, dead, err)
	}
	if _, err := os.Stat(living.dir); err != nil {
		t.Errorf("the living drill: %v", err)
	}
	if err := living.remove(); err != nil {
		t.Error(err)
	}
	left, err := os.ReadDir(work)
	if err != nil || len(left) != 2 {
		t.Errorf("left are %v, want the files that are no drill's: %v", left, err)
	}
	if reaped, err := Reap(t.Context(), filepath.Join(work, "nowhere")); err != nil || len(reaped) > 0 {
		t.Errorf("where there is no work directory: %v, %v", reaped, err)
	}
}

// TestALockThatWasLetGoIsFree has somebody else who still has the locked file open, as a process that is just being started has.
func TestALockThatWasLetGoIsFree(t *testing.T) {
	t.Parallel()
	work := t.TempDir()
	path := lockPath(work, catalog.NewID(time.Now()))
	for name, take := range map[string]func() (*os.File, error){
		"a new one":  func() (*os.File, error) { return takeLock(path) },
		"a dead one": func() (*os.File, error) { return takeFreeLock(path) },
	} {
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		lock, err := take()
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		shared, err := syscall.Dup(int(lock.Fd()))
		if err != nil {
			t.Fatal(err)
		}
		defer syscall.Close(shared)
		if err := releaseLock(lock); err != nil {
			t.Error(err)
		}
		again, err := takeFreeLock(path)
		if err != nil {
			t.Fatalf("%s is held on: %v", name, err)
		}
		if err := releaseLock(again); err != nil {
			t.Error(err)
		}
	}
}

// TestReapEndsProcesses has one with the drill's nonce, and one that only looks like PostgreSQL and works there.
func TestReapEndsProcesses(t *testing.T) {
	t.Parallel()
	work := t.TempDir()
	id := leave(t, work)
	data := filepath.Join(work, id, "data")
	if err := os.Mkdir(data, 0o700); err != nil {
		t.Fatal(err)
	}
	named := exec.Command("sleep", "600")
	named.Env = []string{nonceName + "=" + id}
	titled := exec.Command("sh", "-c", "read wait", "postgres: startup")
	titled.Dir = data
	pipe, err := titled.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	defer pipe.Close()
	other := exec.Command("sleep", "600")
	other.Env = []string{nonceName + "=" + catalog.NewID(time.Now())}
	for _, cmd := range []*exec.Cmd{named, titled, other} {
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = cmd.Process.Kill() })
	}
	ended := make(chan *exec.Cmd, 2)
	for _, cmd := range []*exec.Cmd{named, titled} {
		go func() {
			_ = cmd.Wait() // as zombies they would still be there
			ended <- cmd
		}()
	}
	if reaped, err := Reap(t.Context(), work); err != nil || len(reaped) != 1 {
		t.Errorf("reaped %v: %v", reaped, err)
	}
	for range 2 {
		select {
		case cmd := <-ended:
			if status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); !ok || status.Signal() != syscall.SIGKILL {
				t.Errorf("%v ended by %v", cmd.Args, cmd.ProcessState)
			}
		case <-time.After(time.Minute):
			t.Fatal("a process goes on")
		}
	}
	if err := other.Process.Signal(syscall.Signal(0)); err != nil {
		t.Errorf("another drill's process: %v", err)
	}
}

// TestLocksAreTakenWhileOthersReap makes scratch directories while others look for leavings all the time: none may take
// a drill that is just beginning for a dead one, nor stop it.
func TestLocksAreTakenWhileOthersReap(t *testing.T) {
	t.Parallel()
	work := t.TempDir()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var reapers, makers sync.WaitGroup
	for range 2 {
		reapers.Go(func() {
			for ctx.Err() == nil {
				if _, err := Reap(ctx, work); err != nil && !errors.Is(err, context.Canceled) {
					t.Error(err)
				}
			}
		})
	}
	for range 4 {
		makers.Go(func() {
			for range 20 {
				s, err := newScratch(work, catalog.NewID(time.Now()), nil)
				if err != nil {
					t.Error(err)
					return
				}
				if _, err := os.Stat(s.path("tablespaces")); err != nil {
					t.Errorf("a drill at work: %v", err)
				}
				if err := s.remove(); err != nil {
					t.Error(err)
				}
			}
		})
	}
	makers.Wait()
	cancel()
	reapers.Wait()
	if left, err := os.ReadDir(work); err != nil || len(left) > 0 {
		t.Errorf("left are %v: %v", left, err)
	}
}
