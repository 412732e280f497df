package stream

import (
	"os"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"lifeboat/internal/pgtest"
	"lifeboat/internal/wal"
)

// recycling lets the server remove WAL as soon as it may.
func recycling() map[string]string {
	return map[string]string{"min_wal_size": "2MB", "max_wal_size": "2MB", "wal_keep_size": "0", "wal_recycle": "off", "autovacuum": "off"}
}

// dropSlot waits until the server has noticed that the receiver has ended.
func (s *scene) dropSlot() {
	s.t.Helper()
	eventually(s.t, "the slot is free", func() bool {
		return s.cluster.Load().Value(s.t.Context(), "SELECT active::text FROM pg_replication_slots WHERE slot_name = 'lifeboat'") == "false"
	})
	s.exec("SELECT pg_drop_replication_slot('lifeboat')")
}

// forget makes the server remove all WAL that it does not need itself.
func (s *scene) forget() {
	s.t.Helper()
	for range 4 {
		s.fill(400000)
		s.exec("SELECT pg_switch_wal()")
	}
	s.exec("CHECKPOINT")
	s.exec("CHECKPOINT")
}

func TestWALThatTheServerRemovedIsALossThatIsTold(t *testing.T) {
	t.Parallel()
	pgtest.Each(t, func(t *testing.T, install pgtest.Install) {
		s := newScene(t, install, recycling())
		s.begin()
		s.fill(300000)
		end := s.endedSpool()
		s.dropSlot()
		s.forget()
		s.begin()
		s.fill(300000)
		s.arrived()
		s.checkLoss(end)
	})
}

// checkLoss proves that one gap from the given place on was told, and that WAL goes on at its end.
func (s *scene) checkLoss(from wal.LSN) {
	s.t.Helper()
	eventually(s.t, "the loss was told", func() bool { return len(s.vault.losses()) > 0 })
	lost := s.vault.losses()
	if len(lost) != 1 || lost[0].from != from || lost[0].timeline != 1 || lost[0].why == "" {
		s.t.Fatalf("lost: %v, want one range from %s on", lost, from)
	}
	if lost[0].to%wal.LSN(megabyte) != 0 {
		s.t.Errorf("the gap ends at %s", lost[0].to)
	}
	s.whole()
	s.vault.innocent(s.t)
	if slots := s.cluster.Load().Value(s.t.Context(), "SELECT count(*) FROM pg_replication_slots WHERE restart_lsn IS NOT NULL"); slots != "1" {
		s.t.Errorf("%s slots keep WAL, want 1", slots)
	}
}

func TestSlotThatFellTooFarBehindIsALossThatIsTold(t *testing.T) {
	t.Parallel()
	pgtest.Each(t, func(t *testing.T, install pgtest.Install) {
		settings := recycling()
		settings["max_slot_wal_keep_size"] = "1MB"
		s := newScene(t, install, settings)
		s.begin()
		s.fill(300000)
		end := s.endedSpool()
		s.forget()
		s.begin()
		s.fill(300000)
		s.arrived()
		s.checkLoss(end)
	})
}

func TestLossIsToldWhenTheRepositoryIsBack(t *testing.T) {
	t.Parallel()
	s := newScene(t, pgtest.Newest(t), recycling())
	s.options.Durable = Repository // the slot must not be taken back before the gap
	s.begin()
	s.fill(300000)
	end := s.endedSpool()
	s.dropSlot()
	s.forget()
	s.vault.setAway(true)
	s.begin()
	eventually(t, "receiving goes on behind the gap", func() bool { return s.receiver.Status().Received.LSN > end })
	s.fill(300000)
	s.arrivedInSpool()
	if s.cluster.Load().Value(t.Context(), "SELECT min(restart_lsn) > $1::text::pg_lsn FROM pg_replication_slots", end.String()) != "t" {
		t.Error("the slot was taken back before the gap")
	}
	s.end() // and it survives a restart
	s.begin()
	s.exec("CHECKPOINT")
	s.vault.setAway(false)
	s.fill(300000)
	s.arrived()
	s.checkLoss(end)
}

func TestSlotThatIsGoneIsNoLossWhileTheWALIsThere(t *testing.T) {
	t.Parallel()
	pgtest.Each(t, func(t *testing.T, install pgtest.Install) {
		s := newScene(t, install, keepAll())
		s.begin()
		s.fill(300000)
		s.arrived()
		s.end()
		s.dropSlot()
		s.forget()
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

func TestSpoolGrowsWhileTheRepositoryIsAwayAndDrains(t *testing.T) {
	t.Parallel()
	s := newScene(t, pgtest.Newest(t), keepAll())
	s.begin()
	s.arrived()
	s.vault.setAway(true)
	before := s.receiver.Status().RepositoryDurable.LSN
	s.fill(6 << 20)
	s.arrivedInSpool()
	status := s.receiver.Status()
	if status.SpoolBytes < 5<<20 || len(spoolFiles(t, s.options.Spool, "")) < 6 {
		t.Errorf("the spool holds %d bytes", status.SpoolBytes)
	}
	if status.RepositoryDurable.LSN > before+wal.LSN(megabyte) {
		t.Errorf("the repository is away, and the status says %+v", status)
	}
	eventually(t, "the status has an error", func() bool { return s.receiver.Status().LastError != "" })
	s.end() // and what waits survives a restart
	s.begin()
	s.vault.setAway(false)
	s.arrived()
	s.vault.check(t, s.cluster.Load().DataDir, 1)
	eventually(t, "the spool is small again", func() bool { return s.receiver.Status().SpoolBytes <= int64(megabyte) })
}

func TestReceivingStopsAtTheSpoolsLimitAndGoesOn(t *testing.T) {
	t.Parallel()
	s := newScene(t, pgtest.Newest(t), keepAll())
	s.options.SpoolLimit = 3 << 20
	s.begin()
	s.arrived()
	s.vault.setAway(true)
	s.fill(8 << 20) // the server does not wait
	eventually(t, "receiving has stopped", func() bool { return !s.receiver.Status().Connected })
	if status := s.receiver.Status(); status.SpoolBytes > s.options.SpoolLimit || status.SpoolBytes < 2<<20 {
		t.Errorf("the spool holds %d bytes, its limit is %d", status.SpoolBytes, s.options.SpoolLimit)
	}
	s.cluster.Load().Restart() // nor does its shutdown
	s.vault.setAway(false)
	s.arrived()
	s.vault.check(t, s.cluster.Load().DataDir, 1)
}

func TestFullDiskStopsReceivingUntilThereIsRoom(t *testing.T) {
	t.Parallel()
	s := newScene(t, pgtest.Newest(t), keepAll())
	receiver, err := New(s.options)
	if err != nil {
		t.Fatal(err)
	}
	var room atomic.Int64
	room.Store(1 << 20)
	write := receiver.spool.disk.write
	receiver.spool.disk.write = func(file *os.File, b []byte, offset int64) (int, error) {
		fits := min(int64(len(b)), max(room.Load(), 0))
		room.Add(-fits)
		n, err := write(file, b[:fits], offset)
		if err == nil && n < len(b) {
			err = &os.PathError{Op: "write", Path: file.Name(), Err: syscall.ENOSPC}
		}
		return n, err
	}
	s.run(receiver)
	s.fill(3 << 20)
	eventually(t, "the disk is full", func() bool { return room.Load() == 0 && receiver.Status().LastError != "" })
	time.Sleep(200 * time.Millisecond)
	s.fill(1 << 20) // the server does not wait
	room.Store(1 << 30)
	s.arrived()
	s.vault.check(t, s.cluster.Load().DataDir, 1)
}

func TestSlotThatWasIdleTooLongIsMadeAnew(t *testing.T) {
	t.Parallel()
	pgtest.Each(t, func(t *testing.T, install pgtest.Install) {
		settings := keepAll()
		if install.Major >= 18 { // earlier versions know no such limit
			settings["idle_replication_slot_timeout"] = "1s"
		}
		s := newScene(t, install, settings)
		s.begin()
		s.fill(300000)
		s.arrived()
		s.end()
		s.exec("CHECKPOINT")
		if install.Major >= 18 {
			s.invalidated()
		}
		s.begin()
		s.fill(300000)
		s.arrived()
		s.vault.check(t, s.cluster.Load().DataDir, 1)
		if lost := s.vault.losses(); len(lost) > 0 {
			t.Errorf("lost: %v", lost)
		}
	})
}

// invalidated waits until a checkpoint has found that the slot was idle for too long.
func (s *scene) invalidated() {
	s.t.Helper()
	eventually(s.t, "the slot is invalidated", func() bool {
		time.Sleep(50 * time.Millisecond)
		s.exec("CHECKPOINT")
		return s.cluster.Load().Value(s.t.Context(), "SELECT invalidation_reason FROM pg_replication_slots") == "idle_timeout"
	})
}
