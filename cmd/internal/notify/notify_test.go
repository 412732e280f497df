package notify

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// manager listens like systemd.
func manager(t *testing.T) (*net.UnixConn, string) {
	t.Helper()
	directory, err := os.MkdirTemp("", "lb") // short enough for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(directory) })
	path := filepath.Join(directory, "s")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if err := conn.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	return conn, path
}

func hear(t *testing.T, conn *net.UnixConn) string {
	t.Helper()
	message := make([]byte, 4096)
	n, err := conn.Read(message)
	if err != nil {
		t.Fatal(err)
	}
	return string(message[:n])
}

func environment(values map[string]string) func(string) string {
	return func(name string) string { return values[name] }
}

func TestTheManagerIsTold(t *testing.T) {
	t.Parallel()
	conn, path := manager(t)
	n := New(environment(map[string]string{"NOTIFY_SOCKET": path}), 1)
	for _, tc := range []struct {
		tell func() error
		want string
	}{
		{func() error { return n.Ready("two\nlines") }, "READY=1\nSTATUS=two lines"},
		{func() error { return n.Status("busy") }, "STATUS=busy"},
		{n.Reloading, "RELOADING=1\nMONOTONIC_USEC="},
		{n.Stopping, "STOPPING=1"},
	} {
		if err := tc.tell(); err != nil {
			t.Fatal(err)
		}
		if got := hear(t, conn); !strings.HasPrefix(got, tc.want) {
			t.Errorf("%q, not %q", got, tc.want)
		}
	}
}

func TestWithoutAManagerNothingIsSent(t *testing.T) {
	t.Parallel()
	n := New(environment(nil), 1)
	if err := n.Ready("x"); err != nil || n != nil {
		t.Errorf("%v, %v", n, err)
	}
	if err := n.Watchdog(t.Context(), func() bool { return true }); err != nil {
		t.Error(err)
	}
}

func TestTheWatchdogHearsOnlyOfALivingDaemon(t *testing.T) {
	t.Parallel()
	conn, path := manager(t)
	n := New(environment(map[string]string{"NOTIFY_SOCKET": path, "WATCHDOG_USEC": "20000", "WATCHDOG_PID": "7"}), 7)
	asked := 0
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	err := n.Watchdog(ctx, func() bool {
		if asked++; asked == 5 {
			cancel()
		}
		return asked == 3
	})
	if err != nil || asked != 5 {
		t.Fatalf("asked %d times, %v", asked, err)
	}
	if got := hear(t, conn); got != "WATCHDOG=1" {
		t.Errorf("%q", got)
	}
	if err := conn.SetReadDeadline(time.Now().Add(10 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	if n, err := conn.Read(make([]byte, 10)); err == nil {
		t.Errorf("%d bytes more", n)
	}
	if other := New(environment(map[string]string{"NOTIFY_SOCKET": path, "WATCHDOG_USEC": "20000", "WATCHDOG_PID": "8"}), 7); other.watchdog != 0 {
		t.Error("the watchdog of another process is served")
	}
}
