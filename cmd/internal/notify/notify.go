// Package notify tells systemd how a daemon is (sd_notify(3)): ready, reloading, stopping, alive.
package notify

import (
	"context"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Notifier sends to the socket of the service manager. The nil Notifier sends nothing.
type Notifier struct {
	socket   string
	watchdog time.Duration // zero: none is asked for
}

// New reads where to send from the environment, as lookup gives it: NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID. It
// gives nil where no service manager waits for news.
func New(lookup func(name string) string, pid int) *Notifier {
	socket := lookup("NOTIFY_SOCKET")
	if socket == "" {
		return nil
	}
	if rest, abstract := strings.CutPrefix(socket, "@"); abstract {
		socket = "\x00" + rest
	}
	n := &Notifier{socket: socket}
	if of := lookup("WATCHDOG_PID"); of == "" || of == strconv.Itoa(pid) {
		if usec, err := strconv.ParseInt(lookup("WATCHDOG_USEC"), 10, 64); err == nil && usec > 0 {
			n.watchdog = time.Duration(usec) * time.Microsecond
		}
	}
	return n
}

// Ready says that the daemon serves; status is one line for people.
func (n *Notifier) Ready(status string) error { return n.send("READY=1\nSTATUS=" + line(status)) }

// Status changes the line for people.
func (n *Notifier) Status(status string) error { return n.send("STATUS=" + line(status)) }

// Stopping says that the daemon is about to end.
func (n *Notifier) Stopping() error { return n.send("STOPPING=1") }

// Reloading says that the configuration is read anew; Ready says that it is done.
func (n *Notifier) Reloading() error {
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &now); err != nil {
		return err
	}
	return n.send(fmt.Sprintf("RELOADING=1\nMONOTONIC_USEC=%d", now.Nano()/1000))
}

// Watchdog says every half of the asked interval that the daemon is alive, as long as alive says so, until ctx ends. It
// returns at once where no watchdog is asked for.
func (n *Notifier) Watchdog(ctx context.Context, alive func() bool) error {
	if n == nil || n.watchdog == 0 {
		return nil
	}
	ticker := time.NewTicker(n.watchdog / 2)
	defer ticker.Stop()
	for {
		if alive() {
			if err := n.send("WATCHDOG=1"); err != nil {
				return err
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}

func line(text string) string { return strings.ReplaceAll(text, "\n", " ") }

func (n *Notifier) send(state string) error {
	if n == nil {
		return nil
	}
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: n.socket, Net: "unixgram"})
	if err != nil {
		return fmt.Errorf("tell the service manager: %w", err)
	}
	defer conn.Close()
	if _, err := conn.Write([]byte(state)); err != nil {
		return fmt.Errorf("tell the service manager: %w", err)
	}
	return nil
}
