package main

import (
	"math/rand/v2"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"lifeboat/internal/faultproxy"
	"lifeboat/internal/objectstore"
	"lifeboat/internal/pgtest"
)

const streaming = "    wal: {stream: true, interval: 100ms}\n"

// killAll ends the programs with these words in their command lines.
func (in *installation) killAll(words ...string) {
	for _, pid := range in.processes(words...) {
		_ = syscall.Kill(pid, syscall.SIGKILL) // it may have ended
	}
}

// TestAnyProcessMayDieAtAnyMoment kills agent, hooks and server in the middle of a backlog and of segments.
func TestAnyProcessMayDieAtAnyMoment(t *testing.T) {
	t.Parallel()
	pgtest.Each(t, func(t *testing.T, install pgtest.Install) {
		in := newStationOf(t, install, pgtest.Options{WALSegmentMB: 1}, streaming)
		in.must("backup")
		w := in.witnessed()
		for round := range 8 {
			s := in.startAgent()
			w.fill(4)
			time.Sleep(rand.N(400 * time.Millisecond)) // the moment is the test's subject
			switch round % 4 {
			case 1:
				in.killAll("lifeboat-wal")
			case 2:
				in.server.Kill()
				in.server.Launch()
			}
			w.insert()
			s.kill()
			w.waits()
		}
		in.server.Kill()
		in.server.Launch() // a fresh archiver does not wait out its pause
		s := in.readyAgent()
		w.fill(1)
		in.switchWAL()
		w.insert()
		s.streamsAll()
		w.holds()
		in.withoutGaps()
		in.server.Kill()
		s.kill()
		w.restores()
	})
}

var endpoint = regexp.MustCompile(`endpoint: "(http://[^"]+)"`)

// TestTheStoreMayBeSlowFaultyAndAway has a proxy before the store.
func TestTheStoreMayBeSlowFaultyAndAway(t *testing.T) {
	t.Parallel()
	objectstore.Elsewhere(t, func(t *testing.T, place *objectstore.Place) {
		in := bareInstallation(t, pgtest.Newest(t))
		in.stored, in.keys, in.place = place, place.ReaderYAML(), place.YAML(t)
		direct := endpoint.FindStringSubmatch(in.place)[1]
		proxy := faultproxy.Start(t, direct, nil)
		in.place = strings.Replace(in.place, direct, proxy.URL(), 1)
		in.opened(pgtest.Options{WALSegmentMB: 1}, streaming)
		in.must("backup")
		w := in.witnessed()
		s := in.readyAgent()
		proxy.Follow(faultproxy.NewScript(faultproxy.Rule{Times: -1, Action: faultproxy.Delay(20 * time.Millisecond)}))
		w.fill(6)
		s.streamsAll()
		proxy.Follow(faultproxy.Random(rand.Uint64()))
		w.fill(6)
		proxy.Follow(nil)
		proxy.Leave(time.Hour)
		w.fill(6)
		w.holds()
		s.kill()
		s = in.startAgent() // with the store away
		w.fill(1)
		w.holds() // so nothing is acknowledged but what came before the store went away
		proxy.Return()
		s.says("archiving goes through the agent")
		in.server.Restart() // a fresh archiver does not wait out its pause
		in.switchWAL()
		w.insert()
		s.streamsAll()
		w.holds()
		in.withoutGaps()
		in.server.Kill()
		s.kill()
		w.restores()
	})
}

// TestTwoAgentsDoEachJobOnce has two agents of one server, as two hosts that both believe to be in charge.
func TestTwoAgentsDoEachJobOnce(t *testing.T) {
	t.Parallel()
	const settings = "    backup: {schedule: \"0 2 1 1 *\"}\n"
	in := newStation(t, pgtest.Options{}, settings)
	other := in.besides(in.server)
	other.addAgent(settings)
	done := `lifeboat_job_runs_total{cluster="main",job="backup",result="done"}`
	both := []*station{in.startAgent(), other.startAgent()}
	for _, s := range both {
		s.says("archiving goes through the agent")
	}
	runs := func() float64 { return both[0].metrics()[done] + both[1].metrics()[done] }
	in.eventually("a backup is made", func() bool { return runs() > 0 })
	for _, s := range both {
		s.signal(syscall.SIGHUP) // looks at once whether something is due
		s.says("the configuration was read anew")
	}
	in.eventually("both have looked again", func() bool {
		return strings.Count(both[0].log.String(), "archiving goes through") == 2 && strings.Count(both[1].log.String(), "archiving goes through") == 2
	})
	time.Sleep(2 * jobPoll) // nothing shows that an agent has found nothing to do
	if backups := document(t, in.must("list", "--output", "json"))["backups"].([]any); runs() != 1 || len(backups) != 1 {
		t.Errorf("%v runs, %d backups", runs(), len(backups))
	}
}

// TestAnAgentThatIsToldToStopLeavesNoHalfBackup tells it so at some moment of a backup.
func TestAnAgentThatIsToldToStopLeavesNoHalfBackup(t *testing.T) {
	t.Parallel()
	in := newStation(t, pgtest.Options{}, "    backup: {schedule: \"0 2 1 1 *\"}\n")
	in.fill(1)
	s := in.startAgent()
	s.says("a job begins")
	time.Sleep(rand.N(300 * time.Millisecond)) // the moment is the test's subject
	begun := time.Now()
	if code := s.stop(); code != 0 || time.Since(begun) > stopGrace+time.Minute {
		t.Errorf("exit code %d after %s", code, time.Since(begun))
	}
	list := document(t, in.must("list", "--output", "json"))
	if left := list["unfinished"].([]any); len(left) != 0 {
		t.Errorf("unfinished: %v", left)
	}
	in.must("verify")
	again := in.readyAgent()
	in.eventually("there is a backup", func() bool {
		return again.metrics()[`lifeboat_last_backup_age_seconds{cluster="main"}`] < 600
	})
}

// TestArchivingGoesOnWithoutASpool has the spool's disk refuse everything.
func TestArchivingGoesOnWithoutASpool(t *testing.T) {
	t.Parallel()
	in := newStation(t, pgtest.Options{WALSegmentMB: 1}, streaming)
	in.must("backup")
	w := in.witnessed()
	in.write("state/main.spool", "no directory")
	s := in.readyAgent()
	s.says("no WAL is received; archive_command goes on")
	w.fill(4)
	in.switchWAL()
	w.holds()
	if m := s.metrics(); m[`lifeboat_wal_stream_connected{cluster="main"}`] != 0 || m[`lifeboat_errors_total{cluster="main",kind="other"}`] == 0 {
		t.Errorf("the metrics do not tell: %v", m)
	}
	in.withoutGaps()
}
