package main

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"lifeboat/drill"
	"lifeboat/internal/pgtest"
)

// once is a schedule that comes once a year.
const once = "CRON_TZ=UTC 0 4 1 1 *"

// newDrillYard is a repository with a backup and a census, whose server is down: a scheduler that has no access to production.
func newDrillYard(t *testing.T, drills, scheduler string) *installation {
	t.Helper()
	in := newInstallation(t, pgtest.Newest(t))
	in.server.Exec(t.Context(), "CREATE TABLE orders AS SELECT n FROM generate_series(1, 1000) n")
	in.must("backup")
	in.must("census")
	in.server.Exec(t.Context(), "CREATE TABLE later (n int)")
	in.switchWAL()
	in.server.Stop()
	in.configureScheduler("lifeboat.yaml", "state", drills, scheduler)
	return in
}

// configureScheduler writes a configuration without a connection, and drills that have been due since long ago.
func (in *installation) configureScheduler(file, state, drills, scheduler string) {
	in.t.Helper()
	place := in.place
	if place == "" {
		place = fmt.Sprintf("  url: %q\n", "file://"+in.repository)
	}
	in.write(file, fmt.Sprintf(`repository:
%s%sclusters:
  main:
    drills: {%s}
    targets: {restore_per_terabyte: 200h, rpo: 1h}
scheduler: {work_directory: %q, postgres_bin: %q, listen: "127.0.0.1:0"%s}
state_directory: %q
`, place, in.keys, drills, in.path("scratch"), in.install.BinDir, briskly(scheduler), in.path(state)))
	seen := map[string]map[string]string{}
	for _, m := range regexp.MustCompile(`(\w+): \{schedule`).FindAllStringSubmatch(drills, -1) {
		seen["main/"+m[1]] = map[string]string{"schedule": once, "seen": "2020-01-01T00:00:00Z"}
	}
	text, err := json.Marshal(seen)
	if err != nil {
		in.t.Fatal(err)
	}
	if err := os.MkdirAll(in.path(state), 0o700); err != nil {
		in.t.Fatal(err)
	}
	in.write(state+"/drills.json", string(text))
	if user := pgtest.UnprivilegedUser(); user != nil {
		if err := os.Chown(in.path(state), int(user.Uid), int(user.Gid)); err != nil {
			in.t.Fatal(err)
		}
	}
}

func scheduled(name string) string { return fmt.Sprintf("%s: {schedule: %q}", name, once) }

func (in *installation) startScheduler() *station { return in.startDaemon("scheduler", in.config) }

// evidence is all drills of the repository, oldest first.
func (in *installation) evidence() []*drill.Result {
	in.t.Helper()
	var results []*drill.Result
	if err := json.Unmarshal([]byte(in.must("drill", "list", "--output", "json")), &results); err != nil {
		in.t.Fatal(err)
	}
	return results
}

// briskly lets drills run with the priority of everything else, or as good as that where a test says which: they are waited for.
func briskly(scheduler string) string {
	if !strings.Contains(scheduler, "nice:") {
		scheduler += ", nice: 0"
	}
	return scheduler + ", io_priority: normal"
}

// gentle is a priority just below that of this process, with which drills on a busy machine still come to an end.
func gentle(t *testing.T) int {
	t.Helper()
	const least = 20 // getpriority(2) counts down from there
	own, err := unix.Getpriority(unix.PRIO_PROCESS, 0)
	if err != nil {
		t.Fatal(err)
	}
	return least - own + 1
}

// ended waits until so many drills have ended.
func (s *station) ended(drills int) { s.in.haveEnded(drills, s) }

// haveEnded waits until so many drills of some schedulers have ended together.
func (in *installation) haveEnded(drills int, stations ...*station) {
	in.t.Helper()
	ended := func() (n int) {
		for _, s := range stations {
			n += strings.Count(s.log.String(), "a drill has ended")
		}
		return n
	}
	for end := time.Now().Add(time.Duration(drills) * 2 * time.Minute); ended() < drills; time.Sleep(50 * time.Millisecond) {
		if time.Now().After(end) {
			in.t.Fatalf("%d of %d drills have ended", ended(), drills)
		}
	}
}

// shows waits until the metrics have these values: what the evidence of a drill says is read when the log has told its end.
func (s *station) shows(want map[string]float64) {
	s.in.t.Helper()
	var wrong []string
	for range 1200 {
		wrong = nil
		m := s.metrics()
		for name, value := range want {
			if got, there := m[name]; !there || got != value {
				wrong = append(wrong, fmt.Sprintf("%s is %v, want %v", name, got, value))
			}
		}
		if len(wrong) == 0 {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	s.in.t.Error(strings.Join(wrong, "\n"))
}

// withoutScratch wants no files and no processes of drills.
func (in *installation) withoutScratch() {
	in.t.Helper()
	left, err := filepath.Glob(in.path("scratch") + "/*")
	if err != nil || len(left) > 0 {
		in.t.Errorf("left behind: %v, %v", left, err)
	}
	in.eventually("no process is left", func() bool { return len(in.processes(in.path("scratch"))) == 0 })
}

func TestTheSchedulerRunsWhatIsDueOnceWithoutProduction(t *testing.T) {
	t.Parallel()
	nice := gentle(t)
	in := newDrillYard(t, scheduled("nightly"), fmt.Sprintf(", nice: %d, disk_limit: 10GiB, memory_limit: 100GiB", nice))
	s := in.startScheduler()
	s.ended(1)
	results := in.evidence()
	if len(results) != 1 || results[0].Verdict != drill.Pass || results[0].Drill != "nightly" || results[0].Ending.How != drill.EndedFinished {
		t.Fatalf("%+v", results)
	}
	s.shows(map[string]float64{
		`lifeboat_drill_last_verdict{cluster="main",drill="nightly",verdict="pass"}`:                 1,
		`lifeboat_drill_last_verdict{cluster="main",drill="nightly",verdict="fail"}`:                 0,
		`lifeboat_drill_last_verdict{cluster="main",drill="quarterly",verdict="unproven"}`:           1,
		`lifeboat_drill_last_passed_age_seconds{cluster="main",drill="quarterly"}`:                   math.Inf(1),
		`lifeboat_drill_overdue_seconds{cluster="main",drill="nightly"}`:                             0,
		`lifeboat_drill_running{cluster="main",drill="nightly"}`:                                     0,
		`lifeboat_drill_rpo_target_seconds{cluster="main",drill="nightly"}`:                          3600,
		`lifeboat_drill_rows_compared{cluster="main",comparison="exact",drill="nightly"}`:            1000,
		`lifeboat_drill_runs_total{cluster="main",drill="nightly",ending="finished",verdict="pass"}`: 1,
		`lifeboat_drill_limit{limit="disk"}`:                                                         10 << 30,
		`lifeboat_drill_limit{limit="nice"}`:                                                         float64(nice),
		`lifeboat_drill_limit{limit="parallel"}`:                                                     1,
		`lifeboat_drill_evidence_unreadable{cluster="main"}`:                                         0,
	})
	m := s.metrics()
	for name, most := range map[string]float64{
		`lifeboat_drill_last_passed_age_seconds{cluster="main",drill="nightly"}`: 300, `lifeboat_drill_rto_seconds{cluster="main",drill="nightly"}`: 300,
		`lifeboat_drill_duration_seconds{cluster="main",drill="nightly"}`: 300, `lifeboat_repository_seen_age_seconds{cluster="main"}`: 300,
		`lifeboat_drill_phase_seconds{cluster="main",drill="nightly",phase="fetch"}`: 300,
		`lifeboat_drill_next_run_seconds{cluster="main",drill="nightly"}`:            366 * 24 * 3600,
	} {
		if got, there := m[name]; !there || got <= 0 || got > most {
			t.Errorf("%s is %v, want up to %v", name, got, most)
		}
	}
	if health := s.page("/healthz"); health != "ok\ncluster main: drills\n" {
		t.Errorf("health: %q", health)
	}
	if code := s.stop(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	again := in.startScheduler() // the evidence tells that nothing is due
	again.says("drills run on their schedules")
	again.in.eventually("it has looked", func() bool {
		age, there := again.metrics()[`lifeboat_repository_seen_age_seconds{cluster="main"}`]
		return there && age < 300
	})
	time.Sleep(3 * jobPoll)
	if n := len(in.evidence()); n != 1 {
		t.Errorf("%d drills", n)
	}
	in.withoutScratch()
}

// TestSchedulersShareTheWork has two of them at one repository, that know nothing of each other.
func TestSchedulersShareTheWork(t *testing.T) {
	t.Parallel()
	drills := scheduled("nightly") + ", " + scheduled("weekly") + ", " + scheduled("monthly")
	in := newDrillYard(t, drills, "")
	in.configureScheduler("other.yaml", "other", drills, "")
	stations := []*station{in.startScheduler(), in.startDaemon("scheduler", in.path("other.yaml"))}
	in.haveEnded(3, stations...)
	time.Sleep(2 * jobPoll)
	for _, s := range stations {
		if code := s.stop(); code != 0 {
			t.Errorf("exit code %d", code)
		}
	}
	runs := map[string]int{}
	for _, r := range in.evidence() {
		runs[r.Drill]++
		if r.Verdict != drill.Pass {
			t.Errorf("%s: %s", r.Drill, r.Verdict)
		}
	}
	if len(runs) != 3 || runs["nightly"] != 1 || runs["weekly"] != 1 || runs["monthly"] != 1 {
		t.Errorf("runs: %v", runs)
	}
	in.withoutScratch()
}

// living is the drill that runs now.
func (in *installation) living() drill.Begun {
	in.t.Helper()
	var found drill.Begun
	in.eventually("a drill runs", func() bool {
		list, err := drill.Living(in.path("scratch"))
		if err != nil {
			in.t.Fatal(err)
		}
		if len(list) > 0 {
			found = list[0]
		}
		return len(list) == 1
	})
	return found
}

func TestASchedulerThatStopsLetsItsDrillStop(t *testing.T) {
	t.Parallel()
	nice := gentle(t)
	in := newDrillYard(t, scheduled("nightly"), fmt.Sprintf(", nice: %d", nice))
	s := in.startScheduler()
	running := in.living()
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", running.PID))
	if fields := strings.Fields(string(stat)); err != nil || fields[18] != strconv.Itoa(nice) {
		t.Errorf("its priority: %s, %v", stat, err)
	}
	if code := s.stop(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	results := in.evidence()
	if len(results) != 1 || results[0].ID != running.ID || results[0].Ending.How != drill.EndedStopped || results[0].Verdict != drill.Unproven {
		t.Errorf("%+v", results)
	}
	in.withoutScratch()
	in.startScheduler().ended(1) // it is still due
	if results := in.evidence(); len(results) != 2 || results[1].Verdict != drill.Pass {
		t.Errorf("%d drills", len(results))
	}
}

// TestKilledSchedulersAndDrillsAreNotForgotten kills at moments all over.
func TestKilledSchedulersAndDrillsAreNotForgotten(t *testing.T) {
	t.Parallel()
	in := newDrillYard(t, scheduled("nightly"), "")
	begun := map[string]bool{}
	note := func(s *station) {
		for _, m := range regexp.MustCompile(`a drill begins.* id=(\S+)`).FindAllStringSubmatch(s.log.String(), -1) {
			begun[m[1]] = true
		}
	}
	for i := range 3 {
		s := in.startScheduler()
		in.living()
		time.Sleep(time.Duration(i*i) * 150 * time.Millisecond)
		s.kill()
		note(s)
		in.eventually("the drill has stopped", func() bool {
			list, err := drill.Living(in.path("scratch"))
			return err == nil && len(list) == 0
		})
	}
	s := in.startScheduler()
	running := in.living()
	if err := syscall.Kill(running.PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	s.ended(2) // the one that died, and the same once more
	note(s)
	ended := map[string]string{}
	for _, r := range in.evidence() {
		if ended[r.ID] != "" {
			t.Errorf("drill %s has evidence twice", r.ID)
		}
		ended[r.ID] = r.Ending.How
	}
	for id := range begun {
		if ended[id] == "" {
			t.Errorf("drill %s is forgotten", id)
		}
	}
	if ended[running.ID] != drill.EndedDied {
		t.Errorf("the killed drill ended %q", ended[running.ID])
	}
	results := in.evidence()
	if last := results[len(results)-1]; last.Verdict != drill.Pass {
		t.Errorf("the last drill: %s", last.Verdict)
	}
	in.withoutScratch()
}

func TestASchedulerReadsItsConfigurationAnew(t *testing.T) {
	t.Parallel()
	in := newDrillYard(t, "", "")
	s := in.startScheduler()
	s.says("drills run on their schedules")
	raw, err := os.ReadFile(in.config)
	if err != nil {
		t.Fatal(err)
	}
	in.write("lifeboat.yaml", string(raw)+"nonsense: 1\n")
	s.signal(syscall.SIGHUP)
	s.says("the new configuration is refused")
	if m := s.metrics(); m["lifeboat_config_reload_successful"] != 0 {
		t.Error("the metrics do not tell that the reload was refused")
	}
	in.write("lifeboat.yaml", strings.Replace(string(raw), "drills: {}", `drills: {often: {schedule: "@every 1s"}}`, 1))
	s.signal(syscall.SIGHUP)
	s.says("the configuration was read anew")
	s.ended(1)
	m := s.metrics()
	next, there := m[`lifeboat_drill_next_run_seconds{cluster="main",drill="often"}`] // more than a second where another begins meanwhile
	if m["lifeboat_config_reload_successful"] != 1 || !there || next > 2 {
		t.Errorf("%v", m)
	}
	if code := s.stop(); code != 0 {
		t.Errorf("exit code %d", code)
	}
}
