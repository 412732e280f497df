// Package hooksock serves the hooks that PostgreSQL runs, on a Unix socket.
package hooksock

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"lifeboat/internal/hookwire"
)

// requestTimeout is how long a hook may take to say what it wants.
const requestTimeout = 10 * time.Second

// Handler does what a request asks for. Its context ends when the hook has gone away or the server stops.
type Handler func(ctx context.Context, request hookwire.Request) hookwire.Answer

// Options say who is served.
type Options struct {
	// Allow decides by the user who runs the hook, as the kernel tells it; root and the server's own user are always
	// served.
	Allow func(uid uint32) bool
	Log   *slog.Logger
}

// Server listens on one socket.
type Server struct {
	Options
	listener *net.UnixListener
}

// Listen makes the socket. One that a dead process has left is replaced; one that somebody answers on is refused.
// Whoever can reach the directory can connect: it is the Allow of the options that decides.
func Listen(path string, o Options) (*Server, error) {
	if err := clear(path); err != nil {
		return nil, fmt.Errorf("listen on %s: %w", path, err)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, fmt.Errorf("listen on %s: %w", path, err)
	}
	listener, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", path, err)
	}
	if err := os.Chmod(path, 0o666); err != nil {
		return nil, errors.Join(fmt.Errorf("listen on %s: %w", path, err), listener.Close())
	}
	return &Server{Options: o, listener: listener}, nil
}

// clear removes a socket on which nobody answers.
func clear(path string) error {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if info.Mode().Type() != fs.ModeSocket {
		return errors.New("there is something that is no socket")
	}
	conn, err := net.DialTimeout("unix", path, time.Second)
	if err == nil {
		return errors.Join(errors.New("another process answers there"), conn.Close())
	}
	if !errors.Is(err, unix.ECONNREFUSED) {
		return err
	}
	return os.Remove(path)
}

// Serve answers until ctx ends, and returns when the last answer is out.
func (s *Server) Serve(ctx context.Context, handle Handler) error {
	stop := context.AfterFunc(ctx, func() { _ = s.listener.Close() })
	defer stop()
	var connections errgroup.Group
	for {
		conn, err := s.listener.AcceptUnix()
		if err != nil {
			_ = connections.Wait() // each has told its own error
			if ctx.Err() != nil {
				return nil
			}
			return fmt.Errorf("accept a hook: %w", err)
		}
		connections.Go(func() error {
			if err := s.answer(ctx, conn, handle); err != nil {
				s.Log.Warn("hook not served", "error", err)
			}
			return nil
		})
	}
}

// answer serves one connection to its end.
func (s *Server) answer(ctx context.Context, conn *net.UnixConn, handle Handler) error {
	defer conn.Close()
	if err := s.admit(conn); err != nil {
		return errors.Join(err, hookwire.WriteAnswer(conn, hookwire.Answer{Detail: err.Error()}))
	}
	if err := conn.SetReadDeadline(time.Now().Add(requestTimeout)); err != nil {
		return err
	}
	in := bufio.NewReader(conn)
	request, err := hookwire.ReadRequest(in)
	if err != nil {
		return errors.Join(err, hookwire.WriteAnswer(conn, hookwire.Answer{Detail: err.Error()}))
	}
	if err := conn.SetReadDeadline(time.Time{}); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go watch(in, cancel)
	return hookwire.WriteAnswer(conn, handle(ctx, request))
}

// watch ends the request when the hook has gone away: a hook sends nothing more.
func watch(in *bufio.Reader, gone func()) {
	_, _ = in.ReadByte() // whatever comes, the conversation is over
	gone()
}

// admit asks the kernel who is at the other end (unix(7), SO_PEERCRED).
func (s *Server) admit(conn *net.UnixConn) error {
	uid, err := peer(conn)
	if err != nil {
		return fmt.Errorf("find out who asks: %w", err)
	}
	if uid == 0 || uid == uint32(os.Geteuid()) || (s.Allow != nil && s.Allow(uid)) {
		return nil
	}
	return fmt.Errorf("user %d may not ask here: run the hook as the owner of the data directory", uid)
}

func peer(conn *net.UnixConn) (uid uint32, err error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return 0, err
	}
	var credentials *unix.Ucred
	var askErr error
	err = raw.Control(func(fd uintptr) {
		credentials, askErr = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	})
	if err := errors.Join(err, askErr); err != nil {
		return 0, err
	}
	return credentials.Uid, nil
}
