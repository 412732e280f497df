package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"

	"golang.org/x/sync/errgroup"
)

// Relay is a socket through which other programs of PostgreSQL reach a server. Whatever runs in a caged server may put
// something else in the place of the server's own socket, and such programs would follow it to another server.
type Relay struct {
	dir      *os.File
	listener net.Listener
	dial     func(ctx context.Context) (net.Conn, error)
	group    errgroup.Group
	cancel   context.CancelFunc
}

// relayFD is the number that the relay's directory has in a program.
const relayFD = 3

// Relay listens in a directory that is private to the user of the programs, and that the server does not see. It ends by
// Close, or with ctx.
func (s *Server) Relay(ctx context.Context, directory string) (*Relay, error) {
	dir, err := os.Open(directory)
	if err != nil {
		return nil, fmt.Errorf("relay to the server: %w", err)
	}
	path := fmt.Sprintf("/proc/self/fd/%d/.s.PGSQL.%d", dir.Fd(), defaultPort) // the directory's own may be too long for a socket
	listener, err := net.Listen("unix", path)
	if err == nil {
		err = os.Chmod(path, 0o666) // who may enter the directory
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("relay to the server: %w", err), dir.Close())
	}
	r := &Relay{dir: dir, listener: listener, dial: s.dial}
	ctx, r.cancel = context.WithCancel(ctx)
	context.AfterFunc(ctx, func() { _ = listener.Close() })
	r.group.Go(func() error { return r.accept(ctx) })
	return r, nil
}

// Files are those that a program must have as its further ones (see exec.Cmd.ExtraFiles) to reach the relay.
func (r *Relay) Files() []*os.File { return []*os.File{r.dir} }

// Host is the server's address for a program that has the relay's files.
func (r *Relay) Host() string { return "/proc/self/fd/" + strconv.Itoa(relayFD) }

// Port goes with Host.
func (r *Relay) Port() int { return defaultPort }

// Close ends the relay, and all connections through it.
func (r *Relay) Close() error {
	r.cancel()
	_ = r.group.Wait() // that it was closed
	return r.dir.Close()
}

func (r *Relay) accept(ctx context.Context) error {
	for {
		client, err := r.listener.Accept()
		if err != nil {
			return err
		}
		r.group.Go(func() error {
			r.forward(ctx, client)
			return nil // a connection that breaks off is its program's affair
		})
	}
}

// forward connects a program with the server until both have ended.
func (r *Relay) forward(ctx context.Context, client net.Conn) {
	defer client.Close()
	server, err := r.dial(ctx)
	if err != nil {
		return
	}
	defer server.Close()
	stop := context.AfterFunc(ctx, func() { _, _ = client.Close(), server.Close() })
	defer stop()
	var both errgroup.Group
	both.Go(func() error { return pass(server, client) })
	both.Go(func() error { return pass(client, server) })
	_ = both.Wait()
}

// pass hands on what one side says, and that it has ended.
func pass(to, from net.Conn) error {
	_, err := io.Copy(to, from)
	if half, ok := to.(interface{ CloseWrite() error }); ok {
		err = errors.Join(err, half.CloseWrite())
	}
	return err
}

// dial connects to the server's own socket.
func (s *Server) dial(ctx context.Context) (net.Conn, error) {
	if s.options.Cage != nil {
		return dialInto(s.options.SocketDir)(ctx, "", "")
	}
	dir, port, err := s.socket()
	if err != nil {
		return nil, err
	}
	var dialer net.Dialer
	return dialer.DialContext(ctx, "unix", fmt.Sprintf("%s/.s.PGSQL.%d", dir, port))
}
