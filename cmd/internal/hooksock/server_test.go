package hooksock

import (
	"bufio"
	"context"
	"fmt"
	"log/slog"
	"net"
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

func serve(t *testing.T, o Options, handle Handler) string {
	t.Helper()
	directory, err := os.MkdirTemp("", "lb") // short enough for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(directory) })
	if err := os.Chmod(directory, 0o755); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(directory, "s")
	o.Log = slog.New(slog.DiscardHandler)
	server, err := Listen(path, o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(ctx, handle) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return path
}

func echo(_ context.Context, r hookwire.Request) hookwire.Answer {
	return hookwire.Answer{Outcome: hookwire.Done, Detail: r.Path}
}

func ask(t *testing.T, path, line string) (hookwire.Answer, error) {
	t.Helper()
	conn, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.Write([]byte(line)); err != nil {
		t.Fatal(err)
	}
	return hookwire.ReadAnswer(bufio.NewReader(conn))
}

func request(t *testing.T, path string) string {
	t.Helper()
	var line strings.Builder
	if err := hookwire.WriteRequest(&line, hookwire.Request{Op: hookwire.Push, Config: "/c", Path: path}); err != nil {
		t.Fatal(err)
	}
	return line.String()
}

func TestRequestsAreAnswered(t *testing.T) {
	t.Parallel()
	path := serve(t, Options{}, echo)
	for i := range 20 {
		file := fmt.Sprintf("/file %d", i)
		answer, err := ask(t, path, request(t, file))
		if err != nil || answer != (hookwire.Answer{Outcome: hookwire.Done, Detail: file}) {
			t.Errorf("%+v, %v", answer, err)
		}
	}
}

func TestAStrangeRequestIsNotDone(t *testing.T) {
	t.Parallel()
	path := serve(t, Options{}, echo)
	if answer, err := ask(t, path, "GET / HTTP/1.1\r\n"); err != nil || answer.Outcome != hookwire.Failed {
		t.Errorf("%+v, %v", answer, err)
	}
}

func TestTheHookGoingAwayEndsItsRequest(t *testing.T) {
	t.Parallel()
	ended := make(chan struct{})
	path := serve(t, Options{}, func(ctx context.Context, _ hookwire.Request) hookwire.Answer {
		<-ctx.Done()
		close(ended)
		return hookwire.Answer{}
	})
	conn, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Write([]byte(request(t, "/x"))); err != nil {
		t.Fatal(err)
	}
	conn.Close()
	select {
	case <-ended:
	case <-time.After(time.Minute):
		t.Error("the request goes on")
	}
}

func TestASocketThatADeadProcessLeftIsReplaced(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "s")
	leaveSocket(t, path)
	server, err := Listen(path, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Listen(path, Options{}); err == nil {
		t.Error("two servers listen on one socket")
	}
	server.listener.Close()
	if err := os.WriteFile(path, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Listen(path, Options{}); err == nil {
		t.Error("a file was taken for a socket")
	}
}

// leaveSocket makes a socket that nobody listens on. A process that another test forks meanwhile would have the listener, too,
// until it executes its own program.
func leaveSocket(t *testing.T, path string) {
	t.Helper()
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	dead, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	dead.SetUnlinkOnClose(false)
	dead.Close()
}

// TestMain lets the test binary ask as another user.
func TestMain(m *testing.M) {
	if path := os.Getenv("LIFEBOAT_HOOKSOCK_ASK"); path != "" {
		conn, err := net.Dial("unix", path)
		if err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		_ = hookwire.WriteRequest(conn, hookwire.Request{Op: hookwire.Ping, Config: "/c"}) // the answer tells
		answer, err := hookwire.ReadAnswer(bufio.NewReader(conn))
		fmt.Println(answer.Outcome, err)
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func TestTheKernelTellsWhoAsks(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		return // only root can ask as somebody else
	}
	for _, tc := range []struct {
		allow uint32
		want  string
	}{{65534, "done"}, {65533, "failed"}} {
		path := serve(t, Options{Allow: func(uid uint32) bool { return uid == tc.allow }}, echo)
		if got := askAs(t, 65534, path); !strings.HasPrefix(got, tc.want) {
			t.Errorf("asked as 65534 where %d is allowed: %s", tc.allow, got)
		}
	}
}

func askAs(t *testing.T, uid uint32, path string) string {
	t.Helper()
	program := filepath.Join(filepath.Dir(path), "ask")
	pgtest.CopyProgram(t, os.Args[0], program)
	cmd := exec.Command(program)
	cmd.Env = []string{"LIFEBOAT_HOOKSOCK_ASK=" + path}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid}}
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return string(out)
}
