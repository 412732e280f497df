//go:build linux

package file

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestOpenRemovesWhatDeadWritersLeft(t *testing.T) {
	t.Parallel()
	b := bucket(t)
	living, err := b.stage(stagedFile)
	if err != nil {
		t.Fatal(err)
	}
	defer b.discard(living)
	old, now := time.Date(2024, 1, 14, 0, 0, 0, 0, time.UTC), time.Date(2024, 1, 15, 0, 0, 1, 0, time.UTC)
	young := now.Add(-time.Hour)
	if err := os.Chtimes(filepath.Join(b.path, tempDirectory, living.name), old, old); err != nil {
		t.Fatal(err)
	}
	leave(t, b, bootName()+".1.dead", young)
	leave(t, b, "otherboot.1.young", young)
	leave(t, b, "otherboot.1.old", old)
	leaveDirectory(t, b, bootName()+".1.deaddir")
	sweep(t, b, func() time.Time { return now })
	wantLeft(t, b, living.name, "otherboot.1.young")
}

func TestSweepWithoutLocksGoesByAge(t *testing.T) {
	t.Parallel()
	b := bucket(t)
	now := time.Date(2024, 1, 15, 0, 0, 1, 0, time.UTC)
	b.now = func() time.Time { return now }
	b.sys.lock = func(int) error { return unix.EOPNOTSUPP }
	if err := put(t, b, "x", "text", true); err != nil {
		t.Fatal(err)
	}
	leave(t, b, bootName()+".1.young", now.Add(-time.Hour))
	leave(t, b, bootName()+".1.old", now.Add(-25*time.Hour))
	b.sweep()
	wantLeft(t, b, bootName()+".1.young")
}

func TestSweepWithoutClockKeepsWhatMayLive(t *testing.T) {
	t.Parallel()
	b := bucket(t)
	if err := put(t, b, "x", "text", true); err != nil {
		t.Fatal(err)
	}
	leave(t, b, "otherboot.1.old", time.Unix(0, 0))
	leave(t, b, bootName()+".1.dead", time.Unix(0, 0))
	sweep(t, b, nil)
	wantLeft(t, b, "otherboot.1.old")
}

func sweep(t *testing.T, b *Bucket, now func() time.Time) {
	t.Helper()
	again, err := Open(b.path, Options{Now: now})
	if err != nil {
		t.Fatal(err)
	}
	if err := again.Close(); err != nil {
		t.Fatal(err)
	}
}

func leave(t *testing.T, b *Bucket, name string, modified time.Time) {
	t.Helper()
	path := filepath.Join(b.path, tempDirectory, name)
	if err := os.WriteFile(path, []byte("a part"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(path, modified, modified); err != nil {
		t.Fatal(err)
	}
}

func leaveDirectory(t *testing.T, b *Bucket, name string) {
	t.Helper()
	if err := os.Mkdir(filepath.Join(b.path, tempDirectory, name), 0o700); err != nil {
		t.Fatal(err)
	}
}

func wantLeft(t *testing.T, b *Bucket, want ...string) {
	t.Helper()
	entries, err := os.ReadDir(filepath.Join(b.path, tempDirectory))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range entries {
		got = append(got, e.Name())
	}
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("left %q, want %q", got, want)
	}
}

// Every hook that PostgreSQL starts opens the repository and sweeps it, while a backup makes directories in it.
func TestPutsOutlastSweepersOfOtherProcesses(t *testing.T) {
	t.Parallel()
	b := bucket(t)
	stop := make(chan struct{})
	var sweepers sync.WaitGroup
	for range 2 {
		sweepers.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
					b.sweep()
				}
			}
		})
	}
	for i := range 60 {
		if err := put(t, b, fmt.Sprintf("d%d/e/f", i), "text", true); err != nil {
			t.Errorf("put %d: %v", i, err)
			break
		}
	}
	close(stop)
	sweepers.Wait()
}
