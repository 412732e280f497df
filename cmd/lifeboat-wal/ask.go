package main

import (
	"bufio"
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"lifeboat/internal/hookwire"
)

const (
	defaultSocket = "/run/lifeboat/agent.sock"
	defaultConfig = "/etc/lifeboat/lifeboat.yaml"
)

// How long the hook waits for who listens: to take the call, and to end it. What takes longer than the latter is no
// longer believed to come, and PostgreSQL asks again.
const (
	dialTimeout   = time.Second
	answerTimeout = 5 * time.Minute
)

func socketPath(flag string) string {
	return cmp.Or(flag, os.Getenv("LIFEBOAT_SOCKET"), defaultSocket)
}

// ask lets who listens on the socket do the work. It is not answered where nobody listens, where the conversation breaks
// off, or where the other side declines: then the work is to be done here, which is harmless when it has been done.
func (h hook) ask(socket, config, cluster string, operands []string, stderr io.Writer) (code int, answered bool) {
	request, err := h.request(config, cluster, operands)
	if err != nil {
		return 0, false
	}
	answer, err := converse(socket, request)
	if err != nil {
		return 0, false
	}
	switch {
	case answer.Outcome == hookwire.Done && h.arrived(request):
		return exitDone, true
	case answer.Outcome == hookwire.Failed && h.op == hookwire.Push:
		say(stderr, "lifeboat-wal %s: %s\n", h.name, answer.Detail)
		return exitFailed, true
	case answer.Outcome == hookwire.Absent && h.op == hookwire.Fetch:
		return exitFailed, true
	}
	return 0, false
}

// arrived makes sure that a fetched file is there: to exit 0 without it would end recovery and promote.
func (h hook) arrived(request hookwire.Request) bool {
	if h.op != hookwire.Fetch {
		return true
	}
	info, err := os.Lstat(request.Path)
	return err == nil && info.Mode().IsRegular()
}

func (h hook) request(config, cluster string, operands []string) (hookwire.Request, error) {
	config, err := filepath.Abs(cmp.Or(config, os.Getenv("LIFEBOAT_CONFIG"), defaultConfig))
	if err != nil {
		return hookwire.Request{}, err
	}
	request := hookwire.Request{Op: h.op, Config: config, Cluster: cluster}
	if h.op == hookwire.Fetch {
		request.Name = operands[0]
	}
	request.Path, err = filepath.Abs(operands[len(operands)-1])
	return request, err
}

func converse(socket string, request hookwire.Request) (hookwire.Answer, error) {
	conn, err := dial(socket)
	if err != nil {
		return hookwire.Answer{}, fmt.Errorf("ask at %s: %w", socket, err)
	}
	defer conn.Close()
	if err := hookwire.WriteRequest(conn, request); err != nil {
		return hookwire.Answer{}, err
	}
	return hookwire.ReadAnswer(bufio.NewReader(conn))
}

// dial connects to a Unix socket, with the kernel's own timeouts (socket(7), SO_RCVTIMEO). Package net would do it too, but
// it takes longer to start than all the rest of this program, and where there is a C compiler links its library.
func dial(path string) (*os.File, error) {
	fd, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	conn := os.NewFile(uintptr(fd), path)
	for option, patience := range map[int]time.Duration{syscall.SO_SNDTIMEO: dialTimeout, syscall.SO_RCVTIMEO: answerTimeout} {
		timeout := syscall.NsecToTimeval(patience.Nanoseconds())
		err = errors.Join(err, syscall.SetsockoptTimeval(fd, syscall.SOL_SOCKET, option, &timeout))
	}
	if err == nil {
		err = syscall.Connect(fd, &syscall.SockaddrUnix{Name: path})
	}
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return conn, nil
}
