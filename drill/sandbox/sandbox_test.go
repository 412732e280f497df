package sandbox

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"lifeboat/internal/pgtest"
)

// runParent is the first argument of a test binary that starts a sandbox and waits: a root directory and a script follow.
const runParent = "run-parent"

func TestMain(m *testing.M) {
	Enter()
	if len(os.Args) == 4 && os.Args[1] == runParent {
		os.Exit(parent(os.Args[2], os.Args[3]))
	}
	os.Exit(m.Run())
}

func parent(root, script string) int {
	cmd := exec.Command("/bin/sh", "-c", script)
	cmd.Stdout, cmd.Stderr, cmd.Env = os.Stdout, os.Stderr, path
	w, err := Spec{Root: root}.Wrap(cmd)
	if err != nil {
		fmt.Println(err)
		return 1
	}
	if err := w.Started(cmd.Start()); err != nil {
		fmt.Println(err)
		return 1
	}
	_ = cmd.Wait()
	return cmd.ProcessState.ExitCode()
}

var path = []string{"PATH=/usr/bin:/bin"}

// running is a shell script in a sandbox.
type running struct {
	cmd *exec.Cmd
	out words
	w   *Wrapped
}

// words are what a script has printed so far.
type words struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (w *words) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.text.Write(p)
}

func (w *words) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.text.String()
}

// awaitWords waits until a script has printed something.
func awaitWords(t *testing.T, out *words, want string) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !strings.Contains(out.String(), want); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("it has not printed %q: %s", want, out)
		}
	}
}

func start(t *testing.T, s Spec, script string) *running {
	t.Helper()
	r := &running{cmd: exec.Command("/bin/sh", "-c", script)}
	r.cmd.Stdout, r.cmd.Stderr, r.cmd.Env = &r.out, &r.out, path
	r.cmd.SysProcAttr = &syscall.SysProcAttr{Credential: pgtest.UnprivilegedUser()}
	if s.Root == "" {
		s.Root = pgtest.TempDir(t)
	}
	var err error
	if r.w, err = s.Wrap(r.cmd); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.w.Close() })
	if err := r.w.Started(r.cmd.Start()); err != nil {
		t.Fatal(err)
	}
	return r
}

// inside runs a script to its end and returns what it has printed, and its exit code.
func inside(t *testing.T, s Spec, script string) (string, int) {
	t.Helper()
	r := start(t, s, script)
	_ = r.cmd.Wait()
	return r.out.String(), r.cmd.ProcessState.ExitCode()
}

func TestTheInsideHasOnlyWhatItWasGiven(t *testing.T) {
	t.Parallel()
	given, writable, hidden := pgtest.TempDir(t), pgtest.TempDir(t), pgtest.TempDir(t)
	for _, dir := range []string{given, writable, hidden} {
		if err := os.WriteFile(filepath.Join(dir, "file"), []byte("content of "+dir+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	s := Spec{
		Binds:  []Bind{{From: given}, {From: filepath.Join(given, "file"), To: "/run/elsewhere"}, {From: writable, Writable: true}},
		Places: []Place{{Path: "/var/lib/space", Directory: writable}},
	}
	script := strings.NewReplacer("GIVEN", given, "WRITABLE", writable, "HIDDEN", hidden).Replace(`
echo open; ls /proc/$$/fd; echo end
cat GIVEN/file /run/elsewhere WRITABLE/file HIDDEN/file
echo x >GIVEN/new; echo x >/run/elsewhere; echo x >/new
mkdir WRITABLE/new /var/lib/space/too && echo made; ls WRITABLE
ls /; ls /etc; hostname; id -u; ulimit -c; cat /proc/self/status; cat /proc/net/dev; ls -d /proc/[0-9]*`)
	out, _ := inside(t, s, script)
	for _, want := range []string{
		"content of " + given + "\ncontent of " + given + "\ncontent of " + writable, hidden + "/file: No such file", "made\nfile\nnew\ntoo\n",
		given + "/new: Read-only", "/run/elsewhere: Read-only", "/new: Read-only", "\nlifeboat-drill\n", "\n0\n", "CapBnd:\t0000000000000000", "CapPrm:\t0000000000000000",
		"NoNewPrivs:\t1", "/proc/1\n", "open\n0\n1\n2\nend",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in", want)
		}
	}
	for _, unwanted := range []string{"home", "root\n", "eth0", "shadow"} {
		if strings.Contains(out, unwanted) {
			t.Errorf("%q in", unwanted)
		}
	}
	if t.Failed() {
		t.Log(out)
	}
	if _, err := os.Stat(filepath.Join(writable, "too")); err != nil {
		t.Errorf("what a place leads to: %v", err)
	}
}

// TestPlacesLeadNowhereElse has paths that would lead out of the root while it is made, if they were followed there.
func TestPlacesLeadNowhereElse(t *testing.T) {
	t.Parallel()
	outside, writable := pgtest.TempDir(t), pgtest.TempDir(t)
	if err := os.Symlink(outside, filepath.Join(writable, "link")); err != nil {
		t.Fatal(err)
	}
	s := Spec{Root: pgtest.TempDir(t), Binds: []Bind{{From: writable, Writable: true}}}
	for _, place := range []string{filepath.Join(writable, "link/in"), "/../../.." + outside + "/in", "/usr/new", "/proc/1/root/in"} {
		s.Places = []Place{{Path: place, Directory: writable}}
		cmd := exec.Command("/bin/sh", "-c", ":")
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: pgtest.UnprivilegedUser()}
		w, err := s.Wrap(cmd)
		if err != nil {
			t.Fatal(err)
		}
		_ = w.Started(cmd.Start()) // some are errors, and some are made inside
		_ = w.Close()
		_ = cmd.Wait()
		if found, err := os.ReadDir(outside); err != nil || len(found) > 0 {
			t.Errorf("%s has left %v outside: %v", place, found, err)
		}
	}
}

func TestTheProgramsEndIsTold(t *testing.T) {
	t.Parallel()
	for script, want := range map[string]int{"exit 0": 0, "exit 7": 7, "kill -9 $$": 137, "(sleep 100 &) ; exit 3": 3, "kill -9 1; exit 4": 4} {
		if out, code := inside(t, Spec{}, script); code != want {
			t.Errorf("%s: exit code %d, want %d\n%s", script, code, want, out)
		}
	}
	r := start(t, Spec{}, "trap 'echo asked; exit 5' TERM; echo waits; while :; do sleep 0.05; done")
	awaitWords(t, &r.out, "waits") // the trap is set when the shell has come to that
	if err := r.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	_ = r.cmd.Wait()
	if code := r.cmd.ProcessState.ExitCode(); code != 5 || !strings.Contains(r.out.String(), "asked") {
		t.Errorf("asked to end, it ended with %d: %s", code, &r.out)
	}
}

// TestAllEndsWithTheParent kills the process that has started a sandbox, whose programs then end: the pipe that they hold
// comes to its end.
func TestAllEndsWithTheParent(t *testing.T) {
	t.Parallel()
	program := pgtest.Program(t)
	for _, how := range []syscall.Signal{syscall.SIGKILL, syscall.SIGTERM} {
		cmd := exec.Command(program, runParent, pgtest.TempDir(t), "(trap '' TERM INT QUIT HUP; echo began; sleep 600) & wait")
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: pgtest.UnprivilegedUser()}
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		begun := make([]byte, len("began\n"))
		if _, err := io.ReadFull(out, begun); err != nil || string(begun) != "began\n" {
			t.Fatalf("%q: %v", begun, err)
		}
		if err := cmd.Process.Signal(how); err != nil {
			t.Fatal(err)
		}
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			_, _ = io.Copy(io.Discard, out) // to its end, whatever that is
		}()
		select {
		case <-ended:
		case <-time.After(time.Minute):
			t.Errorf("after %s of the parent the inside goes on", how)
		}
		_ = cmd.Wait()
	}
}

// TestWhatIsMissingIsTold has a system without user namespaces, and a root that cannot be made.
func TestWhatIsMissingIsTold(t *testing.T) {
	t.Parallel()
	cmd := exec.Command(pgtest.Program(t), runParent, pgtest.TempDir(t), "exit 0")
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: pgtest.UnprivilegedUser()}
	pgtest.ForbidNamespaces(cmd)
	if out, err := cmd.CombinedOutput(); err == nil || !strings.Contains(string(out), "no namespaces: ") {
		t.Errorf("%s, %v", out, err)
	}
	var missing *MissingError
	for _, s := range []Spec{{Root: "/nowhere"}, {Root: pgtest.TempDir(t), Binds: []Bind{{From: "/nowhere"}}}} {
		cmd := exec.Command("/bin/sh", "-c", ":")
		w, err := s.Wrap(cmd)
		if err != nil {
			t.Fatal(err)
		}
		if err := w.Started(cmd.Start()); !errors.As(err, &missing) || !strings.Contains(err.Error(), "nowhere") {
			t.Errorf("%+v: %v", s, err)
		}
		_ = cmd.Wait()
		_ = w.Close()
	}
}

// BenchmarkStart is the time from nothing to a program's end in a sandbox.
func BenchmarkStart(b *testing.B) {
	root := pgtest.TempDir(b)
	for b.Loop() {
		cmd := exec.Command("/bin/true")
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: pgtest.UnprivilegedUser()}
		w, err := Spec{Root: root}.Wrap(cmd)
		if err != nil {
			b.Fatal(err)
		}
		if err := w.Started(cmd.Start()); err != nil {
			b.Fatal(err)
		}
		_, _ = cmd.Wait(), w.Close()
	}
}
