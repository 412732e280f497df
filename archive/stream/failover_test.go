package stream

import (
	"context"
	"errors"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"lifeboat/internal/pgtest"
	"lifeboat/internal/wal"
)

// synchronous makes the receiver a synchronous standby: commits wait for it from here on.
func (s *scene) synchronous() {
	s.t.Helper()
	s.exec("ALTER SYSTEM SET synchronous_standby_names = 'lifeboat'")
	s.exec("SELECT pg_reload_conf()")
	eventually(s.t, "the receiver is a synchronous standby", func() bool {
		return s.cluster.Load().Value(s.t.Context(), "SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'sync'") == "1"
	})
}

// destroy kills the server and removes its disk.
func (s *scene) destroy() {
	s.t.Helper()
	cluster := s.cluster.Load()
	cluster.Kill()
	if err := os.RemoveAll(cluster.DataDir); err != nil {
		s.t.Fatal(err)
	}
}

func TestCommitsAcknowledgedBySpoolSurviveTheServersDisk(t *testing.T) {
	t.Parallel()
	pgtest.Each(t, func(t *testing.T, install pgtest.Install) {
		s := newScene(t, install, keepAll())
		s.options.Interval = time.Hour // tails must not help
		s.begin()
		s.load(1).end() // makes the table
		s.arrivedInSpool()
		s.synchronous()
		load := s.load(4)
		eventually(t, "many transactions were acknowledged", func() bool { return load.count() > 300 })
		s.destroy()
		load.end()
		s.end()
		s.options.Interval = time.Millisecond
		s.begin()
		s.drained()
		if missing := load.missing(s.vault.commits(t, wal.TimelineHistory{Timeline: 1})); len(missing) > 0 {
			t.Errorf("%d of %d acknowledged transactions are missing: %v", len(missing), load.count(), missing)
		}
	})
}

func TestCommitsAcknowledgedByTheRepositorySurviveServerAndSpool(t *testing.T) {
	t.Parallel()
	pgtest.Each(t, func(t *testing.T, install pgtest.Install) {
		s := newScene(t, install, keepAll())
		s.options.Durable = Repository
		s.begin()
		s.load(1).end()
		s.synchronous()
		load := s.load(4)
		eventually(t, "many transactions were acknowledged", func() bool { return load.count() > 300 })
		s.vault.setAway(true) // what is acknowledged from here on would be missing
		time.Sleep(300 * time.Millisecond)
		s.destroy()
		load.end()
		if missing := load.missing(s.vault.commits(t, wal.TimelineHistory{Timeline: 1})); len(missing) > 0 {
			t.Errorf("%d of %d acknowledged transactions are missing: %v", len(missing), load.count(), missing)
		}
	})
}

// arrivedInSpool waits until the spool has all of the server's WAL.
func (s *scene) arrivedInSpool() {
	s.t.Helper()
	target := s.flushed()
	eventually(s.t, "the spool has the server's WAL", func() bool { return s.receiver.Status().SpoolDurable.LSN >= target })
}

// drained waits until the vault has all that the spool has.
func (s *scene) drained() {
	s.t.Helper()
	eventually(s.t, "the spool is drained", func() bool {
		status := s.receiver.Status()
		return status.RepositoryDurable.LSN == status.SpoolDurable.LSN && status.SpoolDurable.LSN != 0
	})
}

func (s *scene) history(tli wal.TimelineID) wal.TimelineHistory {
	s.t.Helper()
	s.vault.mu.Lock()
	defer s.vault.mu.Unlock()
	history, err := wal.ParseHistory(tli, s.vault.histories[tli])
	if err != nil {
		s.t.Fatal(err)
	}
	return history
}

func TestPromotionOfTheServerThatIsReceivedFromIsFollowed(t *testing.T) {
	t.Parallel()
	pgtest.Each(t, func(t *testing.T, install pgtest.Install) {
		s := newScene(t, install, keepAll())
		standby := s.standby()
		primary := s.cluster.Load()
		s.beginAt(standby)
		load := s.load(2)
		eventually(t, "transactions ran", func() bool { return load.count() > 100 })
		load.end()
		target := s.flushed()
		eventually(t, "the standby's WAL arrived", func() bool { return s.receiver.Status().RepositoryDurable.LSN >= target })
		primary.Stop()
		s.cluster.Store(standby)
		promote(t, standby)
		after := s.load(2)
		eventually(t, "transactions ran on the new timeline", func() bool { return after.count() > 100 })
		after.end()
		s.arrived()
		s.checkFailover(t, 2, load, after)
	})
}

// The old primary had shipped more of its timeline than the new one has of it: what there is of it can be compared with nothing, and
// will not grow.
func TestEndOfATimelineOfWhichTheRepositoryHasMoreIsShipped(t *testing.T) {
	t.Parallel()
	s := newScene(t, pgtest.Debian(t), keepAll())
	s.options.Interval = time.Hour // no tail goes before the timeline ends
	s.vault.longer = true
	standby := s.standby()
	primary := s.cluster.Load()
	s.beginAt(standby)
	load := s.load(2)
	eventually(t, "transactions ran", func() bool { return load.count() > 100 })
	load.end()
	s.arrivedInSpool()
	primary.Stop()
	s.cluster.Store(standby)
	promote(t, standby)
	eventually(t, "the old timeline is stored to its end", func() bool {
		s.vault.mu.Lock()
		text := s.vault.histories[2]
		s.vault.mu.Unlock()
		history, err := wal.ParseHistory(2, text)
		if err != nil || text == nil {
			return false
		}
		_, to, _ := history.Span(1)
		return s.vault.end(1) >= to
	})
}

// checkFailover proves that timeline 1 up to the switch and all of the new one are there.
func (s *scene) checkFailover(t *testing.T, tli wal.TimelineID, loads ...*ledger) {
	t.Helper()
	if got := s.receiver.Status().Timeline; got != tli {
		t.Errorf("the timeline is %s, want %s", got, tli)
	}
	history := s.history(tli)
	s.vault.check(t, s.cluster.Load().DataDir, tli)
	_, to, _ := history.Span(1)
	if end := s.vault.end(1); end < to {
		t.Errorf("timeline 1 ends at %s in the repository, the switch was at %s", end, to)
	}
	commits := s.vault.commits(t, history)
	for _, load := range loads {
		if missing := load.missing(commits); len(missing) > 0 {
			t.Errorf("%d of %d transactions are missing", len(missing), load.count())
		}
	}
	eventually(t, "the spool holds its identity and the newest segment only", func() bool {
		return len(spoolFiles(t, s.options.Spool, "")) == 2
	})
}

func TestFailoverToAnotherServerIsFollowed(t *testing.T) {
	t.Parallel()
	pgtest.Each(t, func(t *testing.T, install pgtest.Install) {
		s := newScene(t, install, keepAll())
		standby := s.standby()
		s.vault.refusals = 3 // and all else of the new timeline waits
		s.begin()
		primary := s.cluster.Load()
		load := s.load(2)
		eventually(t, "transactions ran", func() bool { return load.count() > 100 })
		load.end()
		primary.Stop() // sends everything to the standby
		promote(t, standby)
		s.cluster.Store(standby)
		after := s.load(2)
		eventually(t, "transactions ran on the new timeline", func() bool { return after.count() > 100 })
		after.end()
		s.arrivedOn(2)
		s.checkFailover(t, 2, load, after)
	})
}

// arrivedOn waits until the vault has all of the server's WAL on a timeline.
func (s *scene) arrivedOn(tli wal.TimelineID) {
	s.t.Helper()
	target := s.flushed()
	eventually(s.t, "the new timeline's WAL arrived", func() bool {
		status := s.receiver.Status()
		return status.Timeline == tli && status.RepositoryDurable.LSN >= target
	})
}

func TestMoreWALThanTheNewPrimaryHasIsKeptOnItsOwnTimeline(t *testing.T) {
	t.Parallel()
	pgtest.Each(t, func(t *testing.T, install pgtest.Install) {
		s := newScene(t, install, keepAll())
		standby := s.standby()
		s.exec("CREATE TABLE ledger (id bigint, filler text)")
		behind := s.flushed()
		eventually(t, "the standby caught up", func() bool {
			return standby.Value(t.Context(), "SELECT pg_last_wal_replay_lsn() >= '"+behind.String()+"'") == "t"
		})
		standby.Kill()
		s.begin()
		load := s.load(2) // never reaches the standby
		eventually(t, "transactions ran", func() bool { return load.count() > 300 })
		load.end()
		ahead := s.flushed() // and not later: the server writes WAL by itself
		s.arrived()
		s.cluster.Load().Kill()
		standby.Launch()
		promote(t, standby)
		s.cluster.Store(standby)
		s.exec("CREATE TABLE after_failover (content text)")
		s.arrivedOn(2)
		s.vault.check(t, standby.DataDir, 2)
		if end := s.vault.end(1); end < ahead {
			t.Errorf("timeline 1 ends at %s in the repository, its server had written up to %s", end, ahead)
		}
		if missing := load.missing(s.vault.commits(t, wal.TimelineHistory{Timeline: 1})); len(missing) > 0 {
			t.Errorf("%d transactions of the old timeline are missing", len(missing))
		}
	})
}

func TestServerThatDoesNotBelongToTheSpoolIsRefused(t *testing.T) {
	t.Parallel()
	install := pgtest.Newest(t)
	s := newScene(t, install, keepAll())
	other := pgtest.Start(t, install, pgtest.Options{WALSegmentMB: 1, OwnIdentity: true})
	standby := s.standby()
	promote(t, standby)
	s.begin()
	s.fill(300000)
	s.arrived()
	s.end()

	mine := s.cluster.Swap(other)
	refusal(t, s.refusedRun(), "system identifier")

	s.cluster.Store(standby)
	s.fill(300000) // beyond the switch point, so that the spool moves to timeline 2
	s.begin()
	eventually(t, "timeline 2 is received", func() bool { return s.receiver.Status().Timeline == 2 })
	s.arrived()
	s.end()
	s.cluster.Store(mine)
	refusal(t, s.refusedRun(), "does not descend from it")

	s.options.SegmentSize, s.options.Spool = 2*megabyte, s.options.Spool+"-2"
	refusal(t, s.refusedRun(), "segments have 1048576 bytes")
}

// refusedRun is how a new receiver's run ends by itself.
func (s *scene) refusedRun() error {
	s.t.Helper()
	receiver, err := New(s.options)
	if err != nil {
		s.t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(s.t.Context(), 3*time.Minute)
	defer cancel()
	return receiver.Run(ctx)
}

func TestWALThatDiffersFromWhatWasReceivedIsRefused(t *testing.T) {
	t.Parallel()
	s := newScene(t, pgtest.Newest(t), keepAll())
	s.begin()
	s.fill(300000)
	s.arrived()
	copied := s.standby() // a second server that goes on by itself, on the same timeline
	s.arrived()
	copied.Stop()
	if err := os.Remove(copied.DataDir + "/standby.signal"); err != nil {
		t.Fatal(err)
	}
	s.exec("CREATE TABLE one (a int)")
	s.arrived()
	copied.Launch()
	s.cluster.Store(copied)
	s.exec("CREATE TABLE another (b text, c text, d int)")
	s.fill(300000)
	s.stopAnyhow()
	refusal(t, s.refusedRun(), "differs from what was received")
}

// stopAnyhow ends a receiver that may have refused to go on already.
func (s *scene) stopAnyhow() {
	s.cancel()
	s.receiver = nil
	if err := <-s.ended; err != nil {
		s.t.Logf("the receiver had ended with: %v", err)
	}
}

func TestLogicalSlotOfThatNameIsRefused(t *testing.T) {
	t.Parallel()
	s := newScene(t, pgtest.Newest(t), map[string]string{"wal_level": "logical"})
	s.exec("SELECT pg_create_logical_replication_slot('lifeboat', 'pgoutput')")
	refusal(t, s.refusedRun(), "not a physical one")
}

func TestSecondReceiverOnASpoolIsKeptOut(t *testing.T) {
	t.Parallel()
	s := newScene(t, pgtest.Newest(t), nil)
	s.begin()
	if _, err := New(s.options); err == nil {
		t.Error("a second receiver got the same spool")
	}
}

func TestServerIsNotKeptFromShuttingDownByAnAbsentRepository(t *testing.T) {
	t.Parallel()
	s := newScene(t, pgtest.Newest(t), keepAll())
	s.options.Durable = Repository
	s.begin()
	s.arrived()
	s.vault.setAway(true)
	s.exec("CREATE TABLE late (a int)")
	s.cluster.Load().Stop() // fails the test after a minute
	s.vault.setAway(false)
	s.cluster.Load().Launch()
	s.arrived()
	s.vault.check(t, s.cluster.Load().DataDir, 1)
}

func TestServerThatIsAwayIsTriedAgain(t *testing.T) {
	t.Parallel()
	s := newScene(t, pgtest.Newest(t), keepAll())
	connect, fails := s.options.Connect, 3
	s.options.Connect = func(ctx context.Context) (*pgconn.PgConn, error) {
		if fails--; fails >= 0 {
			return nil, errors.New("nobody is there")
		}
		return connect(ctx)
	}
	s.begin()
	s.arrived()
	s.cluster.Load().Kill()
	eventually(t, "the receiver noticed", func() bool { return !s.receiver.Status().Connected })
	if s.receiver.Status().LastError == "" {
		t.Error("the status has no error")
	}
	s.cluster.Load().Launch()
	s.fill(200000)
	s.arrived()
	if !s.receiver.Status().Connected || !slices.Contains(spoolFiles(t, s.options.Spool, ""), identityName) {
		t.Error("the receiver is not connected, or its spool has no identity")
	}
}
