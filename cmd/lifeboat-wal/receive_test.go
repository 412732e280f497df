package main

import (
	"bufio"
	"bytes"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"lifeboat/internal/hookwire"
)

// hand listens for one request and answers with an outcome and, where its content is not empty, a file.
func hand(t *testing.T, outcome hookwire.Outcome, content string) string {
	t.Helper()
	path := socket(t)
	listener, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	go func() {
		conn, err := listener.AcceptUnix()
		if err != nil {
			return
		}
		defer conn.Close()
		if r, err := hookwire.ReadRequest(bufio.NewReader(conn)); err != nil || r.Op != hookwire.Hand || r.Name != "00000002.history" {
			t.Errorf("request %+v, %v", r, err)
		}
		var line bytes.Buffer
		_ = hookwire.WriteAnswer(&line, hookwire.Answer{Outcome: outcome, Detail: "in words"})
		var rights []byte
		if content != "" {
			opened, err := os.Open(file)
			if err != nil {
				t.Error(err)
				return
			}
			defer opened.Close()
			rights = syscall.UnixRights(int(opened.Fd()))
		}
		_, _, _ = conn.WriteMsgUnix(line.Bytes()[:line.Len()/2], rights, nil) // an answer may come in parts
		_, _ = conn.Write(line.Bytes()[line.Len()/2:])
	}()
	return path
}

// TestReceiveKeepsTheContractOfRestoreCommand holds it against the three exit codes: whatever is not known is 254.
func TestReceiveKeepsTheContractOfRestoreCommand(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name    string
		outcome hookwire.Outcome
		content string
		code    int
		says    string
	}{
		{"done", hookwire.Done, "the file", exitDone, ""},
		{"done without a file", hookwire.Done, "", exitUnknown, "without the file"},
		{"absent", hookwire.Absent, "", exitFailed, ""},
		{"absent with a file", hookwire.Absent, "the file", exitFailed, ""},
		{"failed", hookwire.Failed, "", exitUnknown, "in words"},
		{"declined", hookwire.Declined, "", exitUnknown, "in words"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			destination := filepath.Join(t.TempDir(), "RECOVERYHISTORY")
			var stderr bytes.Buffer
			code := run([]string{"receive", hand(t, tc.outcome, tc.content), "00000002.history", destination}, &stderr)
			if code != tc.code || !strings.Contains(stderr.String(), tc.says) {
				t.Errorf("exit code %d, want %d: %s", code, tc.code, &stderr)
			}
			content, err := os.ReadFile(destination)
			if (err == nil) != (tc.code == exitDone) || err == nil && string(content) != tc.content {
				t.Errorf("the file holds %q, %v", content, err)
			}
			if left, _ := os.ReadDir(filepath.Dir(destination)); len(left) > 1 {
				t.Errorf("left are %v", left)
			}
		})
	}
	var stderr bytes.Buffer
	for _, args := range [][]string{{"receive"}, {"receive", "/nowhere/s", "00000002.history", filepath.Join(t.TempDir(), "x")}} {
		if code := run(args, &stderr); code != exitUnknown {
			t.Errorf("%v: exit code %d", args, code)
		}
	}
	if code := run([]string{"receive", hand(t, hookwire.Done, "the file"), "00000002.history", "/nowhere/x"}, &stderr); code != exitUnknown {
		t.Errorf("to nowhere: exit code %d", code)
	}
}
