package main

import (
	"os"
	"path/filepath"
	"testing"

	"lifeboat/internal/pgtest"
)

const (
	delaysRead = `lifeboat_heartbeat_delay_seconds_count{cluster="main"}`
	delayP50   = `lifeboat_heartbeat_delay_seconds{cluster="main",quantile="0.5"}`
	delayP99   = `lifeboat_heartbeat_delay_seconds{cluster="main",quantile="0.99"}`
	unreadAge  = `lifeboat_heartbeat_unread_age_seconds{cluster="main"}`
)

func TestHeartbeatsAreReadBackFromWhatIsStreamed(t *testing.T) {
	t.Parallel()
	pgtest.Each(t, func(t *testing.T, install pgtest.Install) {
		in := newStationOf(t, install, pgtest.Options{}, "    wal: {stream: true, interval: 200ms}\n    heartbeat: {interval: 100ms}\n")
		s := in.readyAgent()
		in.eventually("heartbeats are read back", func() bool { return s.metrics()[delaysRead] >= 5 })
		now := s.metrics()
		if low, high := now[delayP50], now[delayP99]; low <= 0 || high < low || high > 60 {
			t.Errorf("half are there within %v s, nearly all within %v s", low, high)
		}
		// A repository that is away takes nothing, and so shows nothing.
		in.protect(0)
		in.eventually("what is not in the repository grows old", func() bool { return s.metrics()[unreadAge] > 2 })
		in.protect(0o700)
		in.eventually("it comes after", func() bool { return s.metrics()[unreadAge] < 2 })
		if code := s.stop(); code != exitDone {
			t.Errorf("exit code %d", code)
		}
	})
}

func TestHeartbeatsWaitForTheSegmentThatTheyAreIn(t *testing.T) {
	t.Parallel()
	in := newStation(t, pgtest.Options{}, "    heartbeat: {interval: 100ms}\n")
	s := in.readyAgent()
	in.eventually("heartbeats are written and not there", func() bool { return s.metrics()[unreadAge] > 1 })
	if read := s.metrics()[delaysRead]; read != 0 {
		t.Errorf("%v are there although no segment was archived", read)
	}
	in.eventually("the segments bring them", func() bool { // there may be fewer in the first one
		in.server.Exec(t.Context(), "SELECT pg_switch_wal()")
		return s.metrics()[delaysRead] >= 5
	})
}

// protect sets the permissions of the directory that all of the clusters' objects are in.
func (in *installation) protect(mode os.FileMode) {
	in.t.Helper()
	if err := os.Chmod(filepath.Join(in.repository, "clusters"), mode); err != nil {
		in.t.Fatal(err)
	}
}
