package main

import (
	"bufio"
	"cmp"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"lifeboat/internal/hookwire"
)

const (
	defaultSocket = "/run/lifeboat/agent.sock"
	defaultConfig = "/etc/lifeboat/lifeboat.yaml"
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
	conn, err := hookwire.Dial(socket)
	if err != nil {
		return hookwire.Answer{}, fmt.Errorf("ask at %s: %w", socket, err)
	}
	defer conn.Close()
	if err := hookwire.WriteRequest(conn, request); err != nil {
		return hookwire.Answer{}, err
	}
	return hookwire.ReadAnswer(bufio.NewReader(conn))
}
