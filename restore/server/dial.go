package server

import (
	"context"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"strconv"

	"github.com/jackc/pgx/v5/pgconn"
	"golang.org/x/sys/unix"
)

// dialInto connects to the socket of a caged server, which lies in a directory that whatever runs in the cage may write to. A
// link in its place, to the socket of another server, is not followed. The error is ErrNotListening where there is no
// socket, or nobody at it.
func dialInto(dir string) pgconn.DialFunc {
	path := filepath.Join(dir, ".s.PGSQL."+strconv.Itoa(defaultPort))
	return func(ctx context.Context, _, _ string) (net.Conn, error) {
		fd, err := openSocket(path)
		if err != nil {
			return nil, err
		}
		defer unix.Close(fd)
		var dialer net.Dialer
		conn, err := dialer.DialContext(ctx, "unix", "/proc/self/fd/"+strconv.Itoa(fd))
		if errors.Is(err, unix.ECONNREFUSED) {
			return nil, fmt.Errorf("%w: %w", ErrNotListening, err)
		}
		return conn, err
	}
}

// openSocket holds what lies at the path itself, and only if that is a socket.
func openSocket(path string) (int, error) {
	fd, err := unix.Open(path, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, fmt.Errorf("%w: %w", ErrNotListening, err)
	}
	var stat unix.Stat_t
	err = unix.Fstat(fd, &stat)
	if err == nil && stat.Mode&unix.S_IFMT != unix.S_IFSOCK {
		err = fmt.Errorf("%s is no socket", path)
	}
	if err != nil {
		unix.Close(fd)
		return -1, err
	}
	return fd, nil
}
