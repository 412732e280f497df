package stream

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"lifeboat/internal/pgtest"
	"lifeboat/internal/wal"
)

func TestUnderLoadAllSegmentsEqualTheServersOwn(t *testing.T) {
	t.Parallel()
	pgtest.Each(t, func(t *testing.T, install pgtest.Install) {
		s := newScene(t, install, keepAll())
		s.begin()
		s.cluster.Load().Pgbench(t.Context(), 2, 4, 2)
		s.arrived()
		s.end() // the vault is looked into
		if whole := len(s.vault.segments); whole < 10 {
			t.Errorf("only %d whole segments arrived", whole)
		}
		s.vault.check(t, s.cluster.Load().DataDir, 1)
		for name, times := range s.vault.shipped {
			if times != 1 {
				t.Errorf("segment %s was shipped %d times", name, times)
			}
		}
	})
}

func TestReceiverThatDiesAtAnyMomentLosesNothing(t *testing.T) {
	t.Parallel()
	pgtest.Each(t, func(t *testing.T, install pgtest.Install) {
		s := newScene(t, install, keepAll())
		s.begin()
		load := s.load(3)
		for range 12 {
			time.Sleep(time.Duration(rand.N(250)) * time.Millisecond)
			s.end()
			cutNewest(t, s.options.Spool)
			s.begin()
		}
		load.end()
		s.arrived()
		s.vault.check(t, s.cluster.Load().DataDir, 1)
		if missing := load.missing(s.vault.commits(t, wal.TimelineHistory{Timeline: 1})); len(missing) > 0 {
			t.Errorf("%d of %d transactions are missing", len(missing), load.count())
		}
		if lost := s.vault.losses(); len(lost) > 0 {
			t.Errorf("lost: %v", lost)
		}
	})
}

// cutNewest does to the newest segment of a spool what a power cut may do: its end is gone, or never got its content.
func cutNewest(t *testing.T, spool string) {
	t.Helper()
	names := spoolFiles(t, spool, partialSuffix)
	if len(names) == 0 {
		return
	}
	path := filepath.Join(spool, names[len(names)-1])
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if info.Size() == 0 {
		return
	}
	kept := rand.N(info.Size())
	if err := os.Truncate(path, kept); err != nil {
		t.Fatal(err)
	}
	if rand.N(2) == 0 {
		if err := os.Truncate(path, info.Size()); err != nil { // zeros
			t.Fatal(err)
		}
	}
}
