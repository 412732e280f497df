package main

import (
	"os"
	"testing"
	"time"

	"lifeboat/internal/pgtest"
)

// TestCleanStopOfThePrimaryIsNotHeldUpAndLosesNothing stops the server under load, as a switchover does. Nothing archives
// but streaming, and no tail is due for an hour: what PostgreSQL waits for at its shutdown is all that brings the end of
// the WAL in time.
func TestCleanStopOfThePrimaryIsNotHeldUpAndLosesNothing(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		durable string
		away    bool // the repository, while the server stops
	}{
		"spool":                {durable: "spool"},
		"repository":           {durable: "repository"},
		"repository away":      {durable: "repository", away: true},
		"spool, nothing there": {durable: "spool", away: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			in := newStation(t, pgtest.Options{}, "    wal: {stream: true, interval: 1h, durable: "+tc.durable+"}\n")
			s := in.readyAgent()
			in.must("backup")
			in.alone()
			in.eventually("WAL is received", func() bool {
				return s.metrics()[`lifeboat_wal_stream_connected{cluster="main"}`] == 1
			})
			in.server.Exec(t.Context(), "CREATE TABLE ledger (n int, filler text)")
			w := in.writers(4)
			in.eventually("many commits were acknowledged", func() bool { return w.count() > 500 })
			if tc.away {
				in.locks(0)
			}
			begun := time.Now()
			in.server.Stop() // fails the test after a minute
			t.Logf("the server stopped in %s", time.Since(begun).Round(time.Millisecond))
			w.end()
			s.kill()
			if tc.away {
				in.locks(0o700)
			}
			if tc.durable == "repository" && !tc.away {
				in.removes(in.path("state")) // the repository has it all
			} else {
				in.startAgent().says("the repository has all that was received")
			}
			in.removes(in.server.DataDir)
			in.checkNothingIsMissing(w)
		})
	}
}

// locks gives the repository's directory this mode: without any right nobody reaches what is in it, and who has opened it
// before does neither. Moving it away would not do.
func (in *installation) locks(mode os.FileMode) {
	in.t.Helper()
	if err := os.Chmod(in.repository, mode); err != nil {
		in.t.Fatal(err)
	}
}

func (in *installation) removes(path string) {
	in.t.Helper()
	if err := os.RemoveAll(path); err != nil {
		in.t.Fatal(err)
	}
}
