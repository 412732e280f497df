package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"lifeboat/internal/objectstore"
	"lifeboat/internal/pgtest"
)

// station is an agent that runs beside the server of an installation.
type station struct {
	in  *installation
	cmd *exec.Cmd
	log *journal
}

// journal is a log that is read while it is written.
type journal struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.Write(p)
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.String()
}

// secret stands in the connection string of the tests' agents, and must show nowhere.
const secret = "hunter2-of-the-agent"

// newStation is an installation whose archive_command asks at the socket of an agent, which does not run yet.
func newStation(t *testing.T, o pgtest.Options, settings string) *installation {
	t.Helper()
	return newStationOf(t, pgtest.Newest(t), o, settings)
}

func newStationOf(t *testing.T, install pgtest.Install, o pgtest.Options, settings string) *installation {
	t.Helper()
	return newStationAt(t, install, objectstore.NewPlace(t), o, settings)
}

func newStationAt(t *testing.T, install pgtest.Install, place *objectstore.Place, o pgtest.Options, settings string) *installation {
	t.Helper()
	in := bareInstallation(t, install)
	in.stored, in.keys = place, place.ReaderYAML()
	in.place = place.YAML(t)
	if place.Store() == objectstore.InFiles {
		in.repository = place.Root()
	}
	return in.opened(o, settings)
}

// opened starts the server and makes the repository, for an agent that does not run yet.
func (in *installation) opened(o pgtest.Options, settings string) *installation {
	in.t.Helper()
	in.start(o)
	in.addAgent(settings)
	in.must("init")
	in.asks(in.server)
	return in
}

// addAgent writes the configuration anew, with an agent, and further lines for the cluster.
func (in *installation) addAgent(cluster string) {
	in.t.Helper()
	in.configure(in.server.DSN("postgres")+" password="+secret, in.server.DataDir)
	raw, err := os.ReadFile(in.config)
	if err != nil {
		in.t.Fatal(err)
	}
	text := strings.Replace(string(raw), "    targets:", cluster+"    targets:", 1)
	in.write("lifeboat.yaml", text+fmt.Sprintf("agent: {socket: %q, listen: \"127.0.0.1:0\"}\n", in.socket()))
}

func (in *installation) socket() string { return in.path("agent.sock") }

// asks lets a server archive through the agent's socket.
func (in *installation) asks(server *pgtest.Cluster) {
	in.t.Helper()
	command := fmt.Sprintf(`"%s/lifeboat-wal" push --socket "%s" --config "%s" %%p`, in.bin, in.socket(), in.config)
	server.Exec(in.t.Context(), "ALTER SYSTEM SET archive_command = '"+command+"'")
	server.Exec(in.t.Context(), "SELECT pg_reload_conf()")
}

func (in *installation) startAgent() *station { return in.startDaemon("agent", in.config) }

// startDaemon starts an agent or a scheduler and waits until it serves.
func (in *installation) startDaemon(name, config string) *station {
	in.t.Helper()
	s := &station{in: in, log: &journal{}}
	s.cmd = pgtest.Command(context.WithoutCancel(in.t.Context()), in.install, in.bin+"/lifeboat", "--config", config, name)
	s.cmd.Stdout, s.cmd.Stderr = s.log, s.log
	if err := s.cmd.Start(); err != nil {
		in.t.Fatal(err)
	}
	in.t.Cleanup(func() {
		if s.cmd.ProcessState == nil {
			s.kill()
		}
		if strings.Contains(s.log.String(), secret) {
			in.t.Errorf("the %s's log tells the password", name)
		}
		if in.t.Failed() {
			in.t.Logf("the %s's log:\n%s", name, s.log)
		}
	})
	s.says("the " + name + " serves")
	return s
}

// readyAgent waits until hooks go through the agent.
func (in *installation) readyAgent() *station {
	in.t.Helper()
	s := in.startAgent()
	s.says("archiving goes through the agent")
	return s
}

func (s *station) says(words string) {
	s.in.t.Helper()
	s.in.eventually("it says: "+words, func() bool { return strings.Contains(s.log.String(), words) })
}

func (in *installation) eventually(what string, is func() bool) {
	in.t.Helper()
	if !soon(is) {
		in.t.Fatalf("not so within %s: %s", soonPatience, what)
	}
}

func (s *station) signal(signal syscall.Signal) {
	s.in.t.Helper()
	if err := s.cmd.Process.Signal(signal); err != nil {
		s.in.t.Fatal(err)
	}
}

func (s *station) kill() {
	_ = s.cmd.Process.Kill()
	_ = s.cmd.Wait()
}

// stop asks the agent to stop and gives its exit code.
func (s *station) stop() int {
	s.in.t.Helper()
	s.signal(syscall.SIGTERM)
	_ = s.cmd.Wait()
	return s.cmd.ProcessState.ExitCode()
}

var listens = regexp.MustCompile(`listen=(127\.0\.0\.1:\d+)`)

func (s *station) page(path string) string {
	s.in.t.Helper()
	address := listens.FindStringSubmatch(s.log.String())
	if address == nil {
		s.in.t.Fatal("the agent does not say where it listens")
	}
	response, err := http.Get("http://" + address[1] + path)
	if err != nil {
		s.in.t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK {
		s.in.t.Fatalf("%s: %s, %v\n%s", path, response.Status, err, text)
	}
	if strings.Contains(string(text), secret) || strings.Contains(string(text), s.in.server.SocketDir) {
		s.in.t.Errorf("%s tells of the connection:\n%s", path, text)
	}
	return string(text)
}

// seesServer waits until the agent has asked its server, which it does beside all else.
func (s *station) seesServer() {
	s.in.t.Helper()
	s.in.eventually("the agent sees its server", func() bool { return s.metrics()[`lifeboat_server_up{cluster="main"}`] == 1 })
}

var metricLine = regexp.MustCompile(`^([a-z_]+(?:\{[^}]*\})?) (\S+)$`)

// metrics reads the metrics of this project's own.
func (s *station) metrics() map[string]float64 {
	s.in.t.Helper()
	values := map[string]float64{}
	for line := range strings.Lines(s.page("/metrics")) {
		if !strings.HasPrefix(line, "lifeboat_") {
			continue
		}
		m := metricLine.FindStringSubmatch(strings.TrimSpace(line))
		if m == nil {
			s.in.t.Fatalf("not a line of metrics: %q", line)
		}
		value, err := strconv.ParseFloat(m[2], 64)
		if err != nil {
			s.in.t.Fatalf("not a line of metrics: %q", line)
		}
		values[m[1]] = value
	}
	return values
}

// fill writes as many segments as that. The last one is not finished: something is in it.
func (in *installation) fill(segments int) {
	in.t.Helper()
	ctx := in.t.Context()
	in.server.Exec(ctx, "CREATE TABLE IF NOT EXISTS t (n int)")
	for n := range segments {
		in.server.Exec(ctx, "SELECT pg_switch_wal()")
		in.server.Exec(ctx, "INSERT INTO t VALUES ($1)", n)
	}
}

// killServer gives the server a fresh archiver, which does not wait out its pause. A shutdown would wait for the whole backlog, and
// the harness waits for a shutdown for a minute.
func (in *installation) killServer() {
	in.t.Helper()
	in.server.Kill()
	in.server.Launch()
}

func (in *installation) withoutGaps() {
	in.t.Helper()
	in.must("verify")
	list := document(in.t, in.must("list", "--output", "json"))
	if gaps := list["gaps"].([]any); len(gaps) != 0 {
		in.t.Errorf("gaps: %v", gaps)
	}
	if spans := list["wal"].([]any); len(spans) != 1 {
		in.t.Errorf("WAL: %v", spans)
	}
}

func TestArchivingGoesThroughTheAgent(t *testing.T) {
	t.Parallel()
	in := newStation(t, pgtest.Options{}, "")
	in.switchWAL() // by the hook alone
	s := in.readyAgent()
	in.fill(5)
	in.switchWAL()
	s.seesServer()
	m := s.metrics()
	for name, least := range map[string]float64{
		`lifeboat_wal_pushed_files_total{cluster="main"}`: 6, `lifeboat_wal_pushed_bytes_total{cluster="main"}`: 6 << 24,
		`lifeboat_agent_ready{cluster="main"}`: 1, `lifeboat_wal_ready_files{cluster="main"}`: 0,
		`lifeboat_wal_last_archived_age_seconds{cluster="main"}`: 0, `lifeboat_config_reload_successful`: 1,
	} {
		if value, there := m[name]; !there || value < least {
			t.Errorf("%s is %v, there: %t", name, value, there)
		}
	}
	for _, name := range []string{`lifeboat_wal_push_failures_total{cluster="main"}`, `lifeboat_server_standby{cluster="main"}`} {
		if value, there := m[name]; !there || value != 0 {
			t.Errorf("%s is %v, there: %t", name, value, there)
		}
	}
	if health := s.page("/healthz"); !strings.HasPrefix(health, "ok\ncluster main: serves") {
		t.Errorf("health: %s", health)
	}
	if code := s.stop(); code != 0 {
		t.Errorf("exit code %d after SIGTERM", code)
	}
	in.fill(1)
	in.switchWAL() // by the hook alone again
	in.withoutGaps()
}

func TestSecondAgentIsRefused(t *testing.T) {
	t.Parallel()
	in := newStation(t, pgtest.Options{}, "")
	s := in.readyAgent()
	if o := in.ends(exitError, "agent"); !strings.Contains(o.errors, "another process answers there") {
		t.Errorf("it says: %s", o.errors)
	}
	in.fill(1)
	in.switchWAL()
	if n := s.metrics()[`lifeboat_wal_pushed_files_total{cluster="main"}`]; n < 2 {
		t.Errorf("the first agent pushed %v files", n)
	}
}

func TestKilledAgentLosesNothing(t *testing.T) {
	t.Parallel()
	in := newStation(t, pgtest.Options{WALSegmentMB: 1}, "")
	in.must("backup")
	for round := range 6 {
		s := in.startAgent()
		if round%2 == 0 {
			s.says("archiving goes through the agent")
		}
		in.fill(8)
		s.kill()
		in.fill(2)
	}
	in.killServer()
	in.fill(1)
	in.switchWAL()
	in.withoutGaps()
}

func TestBacklogDrainsThroughTheAgent(t *testing.T) {
	t.Parallel()
	in := newStation(t, pgtest.Options{WALSegmentMB: 1}, "")
	in.must("backup")
	ctx := t.Context()
	in.server.Exec(ctx, "ALTER SYSTEM SET archive_command = '/bin/false'")
	in.server.Exec(ctx, "SELECT pg_reload_conf()")
	in.fill(200)
	s := in.readyAgent()
	if n := s.metrics()[`lifeboat_wal_ready_files{cluster="main"}`]; n < 200 {
		t.Errorf("%v files wait", n)
	}
	in.asks(in.server)
	in.killServer()
	in.fill(1)
	in.switchWAL()
	m := s.metrics()
	if n := m[`lifeboat_wal_pushed_files_total{cluster="main"}`]; n < 201 {
		t.Errorf("the agent pushed %v files", n)
	}
	in.withoutGaps()
}

func TestReloadTakesGoodSettingsAndRefusesBadOnes(t *testing.T) {
	t.Parallel()
	in := newStation(t, pgtest.Options{}, "")
	s := in.readyAgent()
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
	in.fill(1)
	if n := s.metrics()[`lifeboat_agent_ready{cluster="main"}`]; n != 1 {
		t.Error("the old configuration does not stay")
	}
	in.addAgent("    census: {schedule: \"0 0 1 1 *\"}\n")
	s.signal(syscall.SIGHUP)
	s.says("the configuration was read anew")
	in.eventually("the new configuration serves", func() bool { return strings.Count(s.log.String(), "archiving goes through") == 2 })
	before := s.metrics()[`lifeboat_wal_pushed_files_total{cluster="main"}`]
	in.switchWAL()
	if m := s.metrics(); m["lifeboat_config_reload_successful"] != 1 || m[`lifeboat_wal_pushed_files_total{cluster="main"}`] <= before {
		t.Errorf("after the reload: %v", m)
	}
}

func TestFirstBackupIsMadeAtOnce(t *testing.T) {
	t.Parallel()
	begun := time.Now()
	in := newStation(t, pgtest.Options{}, "    backup: {schedule: \"0 2 1 1 *\"}\n    census: {schedule: \"0 3 1 1 *\"}\n")
	s := in.readyAgent()
	done := `lifeboat_job_runs_total{cluster="main",job="backup",result="done"}`
	in.eventually("a backup is made", func() bool { return s.metrics()[done] == 1 })
	list := document(t, in.must("list", "--output", "json"))
	if backups := list["backups"].([]any); len(backups) != 1 {
		t.Errorf("backups: %v", backups)
	}
	in.eventually("the agent has looked at what it made", func() bool {
		return !math.IsInf(s.metrics()[`lifeboat_last_backup_age_seconds{cluster="main"}`], 1)
	})
	m := s.metrics()
	if age := m[`lifeboat_last_backup_age_seconds{cluster="main"}`]; age <= 0 || age > time.Since(begun).Seconds() {
		t.Errorf("the newest backup is %v seconds old", age)
	}
	for name := range m {
		if strings.Contains(name, `job="census"`) {
			t.Errorf("%s, and no census was due", name)
		}
	}
	if code := s.stop(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	again := in.readyAgent() // the repository tells that nothing is due
	time.Sleep(5 * jobPoll)
	if runs, there := again.metrics()[done]; there {
		t.Errorf("%v further backups", runs)
	}
}
