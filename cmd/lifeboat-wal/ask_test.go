package main

import (
	"bufio"
	"bytes"
	"net"
	"os"
	"path/filepath"
	"testing"

	"lifeboat/internal/hookwire"
)

// socket is a path that is short enough for one, which those of t.TempDir are not always.
func socket(t *testing.T) string {
	t.Helper()
	directory, err := os.MkdirTemp("", "lb")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(directory) })
	return filepath.Join(directory, "s")
}

// listen answers one request as answer says; a nil answer hangs up without a word.
func listen(t *testing.T, answer func(hookwire.Request) *hookwire.Answer) string {
	t.Helper()
	path := socket(t)
	listener, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	go func() {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		request, err := hookwire.ReadRequest(bufio.NewReader(conn))
		if err != nil {
			return
		}
		if a := answer(request); a != nil {
			_ = hookwire.WriteAnswer(conn, *a) // the hook tells what it got
		}
	}()
	return path
}

func TestWhatTheListenerAnswersDecides(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	missing := filepath.Join(t.TempDir(), "missing")
	const byItself = -1 // not answered: the hook does the work
	for _, tc := range []struct {
		name        string
		answer      *hookwire.Answer
		path        string
		push, fetch int
	}{
		{"done", &hookwire.Answer{Outcome: hookwire.Done}, file, exitDone, exitDone},
		{"done, and there is no file", &hookwire.Answer{Outcome: hookwire.Done}, missing, exitDone, byItself},
		{"failed", &hookwire.Answer{Outcome: hookwire.Failed, Detail: "why"}, file, exitFailed, byItself},
		{"absent", &hookwire.Answer{Outcome: hookwire.Absent}, missing, byItself, exitFailed},
		{"declined", &hookwire.Answer{Outcome: hookwire.Declined}, file, byItself, byItself},
		{"hangs up", nil, file, byItself, byItself},
	} {
		for name, want := range map[string]int{"push": tc.push, "fetch": tc.fetch} {
			t.Run(tc.name+"/"+name, func(t *testing.T) {
				t.Parallel()
				socket := listen(t, func(hookwire.Request) *hookwire.Answer { return tc.answer })
				operands := []string{tc.path}
				if name == "fetch" {
					operands = []string{"000000010000000000000001", tc.path}
				}
				code, answered := hookNamed(t, name).ask(socket, "/c", "main", operands, new(bytes.Buffer))
				if !answered {
					code = byItself
				}
				if code != want {
					t.Errorf("%d, not %d", code, want)
				}
			})
		}
	}
}

func TestNobodyListens(t *testing.T) {
	t.Parallel()
	if _, answered := hookNamed(t, "push").ask(filepath.Join(t.TempDir(), "s"), "", "", []string{"x"}, new(bytes.Buffer)); answered {
		t.Error("an answer came from nowhere")
	}
}

func TestTheListenerIsToldAbsolutePaths(t *testing.T) {
	t.Parallel()
	directory, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	asked := make(chan hookwire.Request, 1)
	socket := listen(t, func(r hookwire.Request) *hookwire.Answer { asked <- r; return nil })
	hookNamed(t, "fetch").ask(socket, "c.yaml", "main", []string{"name", "pg_wal/RECOVERYXLOG"}, new(bytes.Buffer))
	want := hookwire.Request{
		Op: hookwire.Fetch, Config: filepath.Join(directory, "c.yaml"), Cluster: "main", Name: "name",
		Path: filepath.Join(directory, "pg_wal/RECOVERYXLOG"),
	}
	if got := <-asked; got != want {
		t.Errorf("%+v, not %+v", got, want)
	}
}
