package stream

import (
	"os"
	"testing"

	"lifeboat/internal/pgtest"
	"lifeboat/internal/wal"
)

// TestLostSpoolGoesOnWhereTheRepositoryEnds loses the spool with WAL that the repository has not got, and of which the slot
// no longer stands in the way: the server has it still.
func TestLostSpoolGoesOnWhereTheRepositoryEnds(t *testing.T) {
	t.Parallel()
	pgtest.Each(t, func(t *testing.T, install pgtest.Install) {
		s := newScene(t, install, keepAll())
		s.begin()
		s.arrived()
		s.vault.setAway(true)
		s.fill(4 << 20)
		s.arrivedInSpool()
		s.exec("CHECKPOINT")
		s.end()
		if err := os.RemoveAll(s.options.Spool); err != nil {
			t.Fatal(err)
		}
		s.vault.setAway(false)
		s.begin()
		s.fill(300000)
		s.arrived()
		s.vault.check(t, s.cluster.Load().DataDir, 1)
		s.whole()
		if lost := s.vault.losses(); len(lost) > 0 {
			t.Errorf("lost: %v", lost)
		}
	})
}

// TestLostSpoolIsALossWhereTheServerHasForgotten is the same with a server that has removed what is missing.
func TestLostSpoolIsALossWhereTheServerHasForgotten(t *testing.T) {
	t.Parallel()
	s := newScene(t, pgtest.Newest(t), recycling())
	s.begin()
	s.fill(300000)
	s.arrived()
	s.vault.setAway(true)
	end := s.vault.end(1) // where it stays now
	s.fill(2 << 20)
	s.arrivedInSpool()
	s.end()
	if err := os.RemoveAll(s.options.Spool); err != nil {
		t.Fatal(err)
	}
	s.dropSlot()
	s.forget()
	s.vault.setAway(false)
	s.begin()
	s.fill(300000)
	s.arrived()
	s.checkLoss(end - end%wal.LSN(megabyte)) // the spool knows no better
}

// TestNewPrimaryIsReceivedFromWhereTheRepositoryEnds lets a receiver without a spool take over after a promotion: it
// brings the old timeline to its end, and the history before the new one.
func TestNewPrimaryIsReceivedFromWhereTheRepositoryEnds(t *testing.T) {
	t.Parallel()
	pgtest.Each(t, func(t *testing.T, install pgtest.Install) {
		s := newScene(t, install, keepAll())
		standby := s.standby()
		s.begin()
		s.fill(300000)
		s.arrived()
		s.end()
		s.fill(3 << 20) // which only the standby receives
		s.cluster.Load().Stop()
		promote(t, standby)
		s.cluster.Store(standby)
		standby.Exec(t.Context(), "CHECKPOINT") // a slot stands behind the switch from here on
		s.options.Spool += "-of-another"
		s.begin()
		s.fill(300000)
		s.arrivedOn(2)
		s.checkFailover(t, 2)
	})
}
