package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"lifeboat/internal/hookwire"
	"lifeboat/internal/pgtest"
)

// patience bounds what happens soon, but not on a busy machine.
const patience = time.Minute

func hookNamed(t *testing.T, name string) hook {
	t.Helper()
	for _, h := range hooks {
		if h.name == name {
			return h
		}
	}
	t.Fatalf("no hook %q", name)
	return hook{}
}

// worker writes a script that stands in for lifeboat and ends in a given way.
func worker(t *testing.T, script string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "lifeboat")
	pgtest.WriteScript(t, path, script)
	return path
}

func TestHowTheWorkerEndsDecidesWhatPostgreSQLIsTold(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		script      string
		push, fetch int
	}{
		{"exit 0", 0, 0},
		{"exit 1", 1, 1},
		{"exit 2", 2, 254}, // what a crashed Go program exits with
		{"exit 125", 125, 254},
		{"exit 126", 1, 254},
		{"exit 127", 1, 254},
		{"exit 143", 1, 254},
		{"exit 254", 1, 254},
		{"exit 255", 1, 254},
		{"kill -KILL $$", 1, 254},
		{"kill -TERM $$", 1, 254},
		{"kill -SEGV $$", 1, 254},
	} {
		t.Run(tc.script, func(t *testing.T) {
			t.Parallel()
			for name, want := range map[string]int{"push": tc.push, "fetch": tc.fetch} {
				if got := hookNamed(t, name).work(worker(t, tc.script), nil, new(bytes.Buffer)); got != want {
					t.Errorf("%s: %d, not %d", name, got, want)
				}
			}
		})
	}
}

func TestAMissingWorkerIsNeverTheEndOfWAL(t *testing.T) {
	t.Parallel()
	missing := filepath.Join(t.TempDir(), "lifeboat")
	var said bytes.Buffer
	if got := hookNamed(t, "fetch").work(missing, nil, &said); got != exitUnknown {
		t.Errorf("fetch: %d", got)
	}
	if got := hookNamed(t, "push").work(missing, nil, &said); got != exitFailed {
		t.Errorf("push: %d", got)
	}
}

func TestArgumentsReachTheWorkerAsTheyAre(t *testing.T) {
	t.Parallel()
	out := filepath.Join(t.TempDir(), "args")
	script := worker(t, fmt.Sprintf(`printf '%%s\n' "$@" > '%s'`, out))
	h := hookNamed(t, "fetch")
	if code := h.work(script, []string{"archive-get", "--config", "a b", "--", "-x", "y"}, new(bytes.Buffer)); code != 0 {
		t.Fatalf("exit code %d", code)
	}
	got, err := os.ReadFile(out)
	if err != nil || string(got) != "archive-get\n--config\na b\n--\n-x\ny\n" {
		t.Errorf("%q, %v", got, err)
	}
}

func TestWrongUsageIsSafe(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		args []string
		want int
	}{
		{nil, exitUnknown}, {[]string{"pull"}, exitUnknown}, {[]string{"push"}, exitFailed}, {[]string{"push", "a", "b"}, exitFailed}, {[]string{"push", "--bogus", "a"}, exitFailed},
		{[]string{"fetch", "a"}, exitUnknown}, {[]string{"fetch", "--bogus", "a", "b"}, exitUnknown}, {[]string{"fetch", "-h"}, exitUnknown},
	} {
		var said bytes.Buffer
		if got := run(tc.args, &said); got != tc.want || said.Len() == 0 {
			t.Errorf("%v: %d, not %d, saying %q", tc.args, got, tc.want, said.String())
		}
	}
}

// TestMain lets the test binary be the hook itself, for what needs a process of its own.
func TestMain(m *testing.M) {
	if script := os.Getenv("LIFEBOAT_WAL_TEST_WORKER"); script != "" {
		os.Exit(hooks[1].work(script, nil, os.Stderr))
	}
	if os.Getenv("LIFEBOAT_WAL_TEST_HOOK") != "" {
		os.Exit(run(os.Args[1:], os.Stderr))
	}
	os.Exit(m.Run())
}

func TestARequestToStopIsAnsweredAndEndsTheWorker(t *testing.T) {
	t.Parallel()
	pidFile := filepath.Join(t.TempDir(), "pid")
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "LIFEBOAT_WAL_TEST_WORKER="+worker(t, "echo $$ > "+pidFile+"; exec sleep 600"))
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	pid := await(t, pidFile)
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // the exit code is looked at below
	if got := cmd.ProcessState.ExitCode(); got != exitUnknown {
		t.Errorf("exit code %d", got)
	}
	if _, err := os.Stat("/proc/" + pid); err == nil {
		t.Errorf("the worker, process %s, goes on", pid)
	}
}

func TestARequestToStopWhileOthersAreAskedIsAnswered(t *testing.T) {
	t.Parallel()
	for name, args := range map[string][]string{"push": {"file"}, "fetch": {"000000010000000000000001", "file"}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			asked := make(chan struct{})
			socket := listen(t, func(hookwire.Request) *hookwire.Answer {
				close(asked)
				time.Sleep(time.Minute)
				return nil
			})
			cmd := exec.Command(os.Args[0], append([]string{name, "--socket", socket}, args...)...)
			cmd.Env = append(os.Environ(), "LIFEBOAT_WAL_TEST_HOOK=1")
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			<-asked
			if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
				t.Fatal(err)
			}
			_ = cmd.Wait() // the exit code is looked at below
			if got := cmd.ProcessState.ExitCode(); got != hookNamed(t, name).failure {
				t.Errorf("exit code %d", got)
			}
		})
	}
}

func TestAKilledHookTakesItsWorkerAlong(t *testing.T) {
	t.Parallel()
	pidFile := filepath.Join(t.TempDir(), "pid")
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "LIFEBOAT_WAL_TEST_WORKER="+worker(t, "echo $$ > "+pidFile+"; exec sleep 600"))
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	pid := await(t, pidFile)
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // it was killed
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); {
		if _, err := os.Stat("/proc/" + pid); err != nil {
			return
		}
		if state, err := os.ReadFile("/proc/" + pid + "/stat"); err == nil && strings.Contains(string(state), ") Z ") {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Errorf("the worker, process %s, goes on", pid)
}

func await(t *testing.T, path string) string {
	t.Helper()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); {
		if raw, err := os.ReadFile(path); err == nil && len(raw) > 1 {
			return strings.TrimSpace(string(raw))
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Fatalf("%s does not come", path)
	return ""
}
