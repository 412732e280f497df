package stream

import (
	"log/slog"
	"testing"
	"time"

	"lifeboat/internal/pgtest"
)

// drain ships what the spool holds with a receiver that has no server.
func (s *scene) drain() error {
	s.t.Helper()
	receiver, err := New(s.options)
	if err != nil {
		s.t.Fatal(err)
	}
	return receiver.Drain(s.t.Context())
}

func TestSpoolIsDrainedWithoutAServer(t *testing.T) {
	t.Parallel()
	s := newScene(t, pgtest.Newest(t), keepAll())
	s.begin()
	s.arrived()
	s.vault.setAway(true)
	s.fill(3 << 20)
	end := s.flushed()
	s.arrivedInSpool()
	s.end()
	if s.drain() == nil {
		t.Error("a spool counts as drained that could not be shipped")
	}
	s.vault.setAway(false)
	if err := s.drain(); err != nil {
		t.Error(err)
	}
	s.vault.check(t, s.cluster.Load().DataDir, 1)
	if got := s.vault.end(1); got < end {
		t.Errorf("WAL ends at %s in the repository, at %s in the spool", got, end)
	}
	s.vault.setAway(true) // there is the end of the spool only, which the repository has
	if s.drain() == nil {
		t.Error("nobody was asked what the repository has")
	}
}

func TestEmptySpoolNeedsNoRepositoryToBeDrained(t *testing.T) {
	t.Parallel()
	s := &scene{t: t, vault: newVault(megabyte)}
	s.options = Options{Slot: "lifeboat", Spool: t.TempDir() + "/spool", SegmentSize: megabyte, Sink: s.vault, Clock: time.Now, Log: slog.New(slog.DiscardHandler)}
	receiver, err := New(s.options)
	if err != nil {
		t.Fatal(err)
	}
	if err := receiver.spool.begin(1, 5); err != nil {
		t.Fatal(err)
	}
	receiver.spool.close()
	s.vault.setAway(true)
	if err := s.drain(); err != nil {
		t.Error(err)
	}
}
