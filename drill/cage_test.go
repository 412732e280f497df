package drill_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5"

	"lifeboat/drill"
	"lifeboat/internal/pgtest"
)

// TestCodeInTheSandboxReachesNothing lets a superuser of the scratch server run programs in it, as hostile code would if it
// came to run: it sees, calls, ends and writes nothing of the world outside.
func TestCodeInTheSandboxReachesNothing(t *testing.T) {
	t.Parallel()
	pgtest.Each(t, func(t *testing.T, install pgtest.Install) {
		s := newScene(t, install, nil)
		s.server.Exec(t.Context(), "CREATE TABLE ledger AS SELECT generate_series(1, 100) AS id")
		s.backup()
		s.census()
		s.archiveAll()
		w := newWorld(t, s)
		o := s.options(t)
		asked := false
		o.Progress = func(phase string, _, _ int64) {
			if phase == drill.PhaseVerify+" postgres" && !asked {
				asked = true
				w.attack(t, o.WorkDirectory)
			}
		}
		if r := s.drill(t, o); r.Verdict != drill.Pass || !r.Environment.Isolation.Isolated {
			tell(t, r)
			t.Errorf("verdict %s", r.Verdict)
		}
		if !asked {
			t.Error("nothing was tried")
		}
		w.wantUntouched(t)
	})
}

// world is what a scratch server must not reach: a secret, a place to write, a listener and a process, all of which its user
// can reach outside of the sandbox.
type world struct {
	secret, place string
	called        *caller
	victim        *exec.Cmd
	before        string
	server        *pgtest.Cluster
}

func newWorld(t *testing.T, s *scene) *world {
	t.Helper()
	w := &world{place: pgtest.TempDir(t), called: listen(t), server: s.server}
	w.secret = filepath.Join(w.place, "identity")
	if err := os.WriteFile(w.secret, []byte("AGE-SECRET-KEY"), 0o644); err != nil {
		t.Fatal(err)
	}
	w.victim = newVictim(t)
	w.before = modified(t, w.place)
	return w
}

// manyInside is more than the processes that a sandbox has had, which are counted from 1.
const manyInside = 1000

// newVictim starts a process whose number is that of none inside.
func newVictim(t *testing.T) *exec.Cmd {
	t.Helper()
	for {
		victim := exec.Command("sleep", "3600")
		victim.SysProcAttr = &syscall.SysProcAttr{Credential: pgtest.UnprivilegedUser()}
		if err := victim.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _, _ = victim.Process.Kill(), victim.Wait() })
		if victim.Process.Pid > manyInside {
			return victim
		}
	}
}

// attack tries everything by a program that the server runs, and looks at what that has printed.
func (w *world) attack(t *testing.T, work string) {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(work, "*", "data"))
	if err != nil || len(found) != 1 {
		t.Errorf("data directories %v: %v", found, err)
		return
	}
	data := found[0]
	sockets := filepath.Join(filepath.Dir(data), "socket")
	if !exists(sockets) { // the path was too long for one
		sockets = filepath.Join(os.TempDir(), "lifeboat-"+filepath.Base(filepath.Dir(data)))
	}
	ctx := t.Context()
	conn, err := pgx.Connect(ctx, "user=postgres dbname=postgres host="+sockets)
	if err != nil {
		t.Error(err)
		return
	}
	defer conn.Close(ctx)
	out := filepath.Join(data, "out")
	script := w.script(data)
	if err := os.WriteFile(filepath.Join(data, "attack"), []byte(script), 0o755); err != nil {
		t.Error(err)
		return
	}
	run := fmt.Sprintf("COPY (SELECT 1) TO PROGRAM 'bash %s/attack >%s 2>&1'", data, out)
	if _, err := conn.Exec(ctx, run); err != nil {
		t.Errorf("the attack did not run: %v", err)
	}
	text, err := os.ReadFile(out)
	if !strings.Contains(string(text), "began") || !strings.Contains(string(text), "ended") || !strings.Contains(string(text), "absent: 1\n") || strings.Contains(string(text), "SUCCESS") || strings.Contains(string(text), "SECRET") {
		t.Errorf("the attack printed, %v:\n%s", err, text)
	}
	if _, err := conn.Exec(ctx, "LOAD '"+data+"/library.so'"); err == nil || !strings.Contains(err.Error(), "failed to map segment") {
		t.Errorf("a library of the data directory was loaded: %v", err)
	}
}

// script is the attack. Its last part shows that it did run, and that it can do inside what it may.
func (w *world) script(data string) string {
	lines := []string{"echo began", "cat " + w.secret, "cat " + w.server.DataDir + "/PG_VERSION && echo SUCCESS reading production"}
	try := func(what, command string) { lines = append(lines, "("+command+") && echo SUCCESS "+what) }
	try("listing", "ls "+w.place)
	try("writing", "echo x >"+w.place+"/written")
	try("writing programs", "touch /usr/bin/written /etc/written /written")
	try("signalling", fmt.Sprintf("kill -9 %d", w.victim.Process.Pid))
	try("calling", fmt.Sprintf("exec 3<>/dev/tcp/127.0.0.1/%d", w.called.port))
	try("resolving", "getent hosts example.com")
	try("mounting", "mount -t tmpfs none /tmp")
	try("new namespaces", "unshare --user true")
	try("other processes", "ls /proc | grep -qx "+fmt.Sprint(w.victim.Process.Pid))
	try("own programs", "cp /bin/true "+data+"/program && "+data+"/program")
	try("own programs in memory", "cp /bin/true /dev/shm/program && /dev/shm/program")
	try("devices", "test -e /dev/vda -o -e /dev/sda -o -e /dev/mem")
	try("rights", "grep -E '^Cap(Prm|Eff|Bnd|Amb|Inh):.*[1-9a-f]' /proc/self/status")
	try("new rights", "grep -q 'NoNewPrivs:.0' /proc/self/status")
	try("reading the environment of the drill", "grep -qz HOME=/root /proc/1/environ")
	ask := "/run/lifeboat/receive receive /run/lifeboat/wal/socket %s " + data + "/handed"
	try("asking for what is no WAL", fmt.Sprintf(ask, "../../place.json"))
	try("asking for what is not there", fmt.Sprintf(ask, "00000001000000FF00000000"))
	try("a socket of its own there", "rm -f /run/lifeboat/wal/socket; test ! -e /run/lifeboat/wal/socket")
	try("WAL through links", "test -e "+data+"/../server.log -o -e "+data+"/../ahead")
	lines = append(lines, fmt.Sprintf(ask, "00000002.history")+"; echo absent: $?", "cp $(ls -d /usr/lib/*/libc.so.6 /usr/lib64/libc.so.6 2>/dev/null | head -n 1) "+data+"/library.so", "echo x >"+data+"/../tablespaces/x && echo ended")
	return strings.Join(lines, "\n") + "\n"
}

func (w *world) wantUntouched(t *testing.T) {
	t.Helper()
	if after := modified(t, w.place); after != w.before {
		t.Errorf("it was touched:\n%s\nwas\n%s", after, w.before)
	}
	if n := w.called.count.Load(); n > 0 {
		t.Errorf("it was called %d times", n)
	}
	if ended, err := syscall.Wait4(w.victim.Process.Pid, nil, syscall.WNOHANG, nil); ended != 0 || err != nil {
		t.Errorf("a process outside was ended: %v", err)
	}
}
