package drill

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"lifeboat/internal/hookwire"
	"lifeboat/internal/wal"
	"lifeboat/restore"
	"lifeboat/restore/ahead"
)

// socketFile is the name of the socket on which a sandboxed server asks for WAL.
const socketFile = "socket"

const (
	// requestPatience is how long who asks for WAL may take to say which.
	requestPatience = 10 * time.Second
	// fetchPatience bounds one fetch, so that an outage is reported rather than waited out in silence.
	fetchPatience = 2 * time.Minute
	// askers bounds how many are served at the same time; PostgreSQL's recovery is one.
	askers = 4
	// aheadFiles and aheadBytes bound what is fetched ahead; aheadReserve times as much must be free.
	aheadFiles   = 8
	aheadBytes   = 512 << 20
	aheadReserve = 4
)

// walHand hands WAL to a sandboxed server: it fetches a file into a directory that nothing inside can see, and gives the
// opened file away over a socket. Nothing outside ever writes where the inside can.
type walHand struct {
	d        *drill
	listener *net.UnixListener
	fetcher  *ahead.Fetcher
	stop     context.CancelFunc
	group    errgroup.Group
	count    atomic.Int64
}

// handOutWAL begins to serve the sandboxed server, until the drill cleans up or ctx ends.
func (d *drill) handOutWAL(ctx context.Context) error {
	listener, err := listenIn(d.scratch.path(socketName))
	if err != nil {
		return fmt.Errorf("listen for the sandboxed server: %w", err)
	}
	h := &walHand{d: d, listener: listener, fetcher: ahead.New(d.fetchAhead())}
	ctx, h.stop = context.WithCancel(ctx)
	d.hand = h
	h.group.Go(func() error { return h.serve(ctx) })
	return nil
}

// listenIn listens in a directory whose path may be longer than that of a socket.
func listenIn(dir string) (*net.UnixListener, error) {
	at, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	defer at.Close()
	path := filepath.Join("/proc/self/fd", strconv.Itoa(int(at.Fd())), socketFile)
	listener, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		return nil, err
	}
	listener.SetUnlinkOnClose(false) // that path may lead elsewhere by then
	if err := os.Chmod(path, 0o666); err != nil {
		return nil, errors.Join(err, listener.Close())
	}
	return listener, nil
}

func (d *drill) fetchAhead() ahead.Options {
	size := d.Cluster.Identity().WALSegmentSize
	files := max(1, min(aheadFiles, int(aheadBytes/int64(size))))
	spool := d.scratch.path(spoolName)
	return ahead.Options{
		Answer: func(ctx context.Context, name, dest string) (restore.Outcome, error) {
			return restore.Fetch(ctx, d.Cluster, name, dest, restore.FetchOptions{Timeout: fetchPatience, Logger: d.Log})
		},
		Get: func(ctx context.Context, name wal.FileName, path string) error {
			return restore.FetchAhead(ctx, d.Cluster, name, path)
		},
		Room:        func() bool { return hasRoom(spool, aheadReserve*uint64(files+1)*uint64(size)) },
		SegmentSize: size, Area: spool, Files: files, Log: d.Log,
	}
}

// hasRoom says whether an ordinary user may still write so many bytes to the file system of the path.
func hasRoom(path string, bytes uint64) bool {
	var stat unix.Statfs_t
	err := unix.Statfs(path, &stat)
	return err == nil && stat.Bavail*uint64(stat.Bsize) >= bytes
}

// serve answers until ctx ends. However it ends, nobody can connect any more.
func (h *walHand) serve(ctx context.Context) error {
	defer context.AfterFunc(ctx, func() { _ = h.listener.Close() })()
	defer h.listener.Close()
	var connections errgroup.Group
	connections.SetLimit(askers)
	for {
		conn, err := h.listener.AcceptUnix()
		if err != nil {
			err = errors.Join(err, connections.Wait())
			if ctx.Err() != nil {
				return nil
			}
			return fmt.Errorf("serve WAL to the sandboxed server: %w", err)
		}
		connections.Go(func() error {
			if err := h.answer(ctx, conn); err != nil {
				h.d.Log.Warn("the sandboxed server was not served", keyError, err)
			}
			return nil
		})
	}
}

// answer serves one connection to its end.
func (h *walHand) answer(ctx context.Context, conn *net.UnixConn) error {
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	impatience := time.AfterFunc(requestPatience, func() { _ = conn.Close() })
	request, err := hookwire.ReadRequest(bufio.NewReader(conn))
	impatience.Stop()
	if err == nil && request.Op != hookwire.Hand {
		err = fmt.Errorf("a %s is not served here", request.Op)
	}
	if err != nil {
		return errors.Join(err, hookwire.WriteAnswer(conn, hookwire.Answer{Outcome: hookwire.Declined, Detail: err.Error()}))
	}
	file, outcome, err := h.fetch(ctx, request.Name)
	switch outcome {
	case restore.Found:
		return errors.Join(sendFile(conn, file), file.Close())
	case restore.Absent:
		return hookwire.WriteAnswer(conn, hookwire.Answer{Outcome: hookwire.Absent, Detail: err.Error()})
	}
	return hookwire.WriteAnswer(conn, hookwire.Answer{Outcome: hookwire.Failed, Detail: err.Error()})
}

// sendFile answers with the file, of which the other side gets a descriptor of its own.
func sendFile(conn *net.UnixConn, file *os.File) error {
	var line bytes.Buffer
	if err := hookwire.WriteAnswer(&line, hookwire.Answer{Outcome: hookwire.Done}); err != nil {
		return err
	}
	_, _, err := conn.WriteMsgUnix(line.Bytes(), unix.UnixRights(int(file.Fd())), nil)
	return err
}

// fetch brings a file, of which only the open one is left.
func (h *walHand) fetch(ctx context.Context, name string) (*os.File, restore.Outcome, error) {
	path := filepath.Join(h.d.scratch.path(spoolName), "hand-"+strconv.FormatInt(h.count.Add(1), 10))
	outcome, err := h.fetcher.Fetch(ctx, name, path)
	if outcome != restore.Found {
		return nil, outcome, err
	}
	file, err := os.Open(path)
	if err == nil {
		err = os.Remove(path)
	}
	if err != nil {
		return nil, restore.Unknown, err
	}
	return file, restore.Found, nil
}

// close ends the service. It does nothing for a nil hand.
func (h *walHand) close() error {
	if h == nil {
		return nil
	}
	h.stop()
	return errors.Join(h.group.Wait(), h.fetcher.Close())
}
