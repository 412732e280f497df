// Command lifeboat-wal is the hook that PostgreSQL runs for every WAL file:
//
//	archive_command = '/usr/local/bin/lifeboat-wal push %p'
//	restore_command = '/usr/local/bin/lifeboat-wal fetch %f %p'
//
// It asks the process that listens on a socket, the agent beside a primary or the prefetcher of a restore, and does the
// work by a process of its own, lifeboat, where nobody answers.
//
// It is kept apart from lifeboat so that it starts at once, links nothing that it does not need, and stands between
// PostgreSQL and whatever may happen to the process that does the work: a crash, a kill or a missing binary comes out
// as the exit code that keeps data safe.
//
// push exits 0 only when the file is durable, else between 1 and 125: PostgreSQL takes a code above 125 as the end of
// its archiver process. fetch exits 0, 1 (authoritatively absent) or 254 (unknown): PostgreSQL takes a code from 1 to
// 125 as the end of WAL and promotes, and one above as a reason to stop
// (https://www.postgresql.org/docs/current/continuous-archiving.html).
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"

	"lifeboat/internal/hookwire"
)

const (
	exitDone    = 0
	exitFailed  = 1   // of push; of fetch it means absent
	exitUnknown = 254 // of fetch: do not conclude anything
	highestPush = 125
)

// hook is one of the two things that PostgreSQL asks for.
type hook struct {
	name, command string
	operands      string
	count         int
	op            hookwire.Op
	failure       int                // what the hook exits with when the work could not be done at all
	translate     func(code int) int // from the worker's exit code to the hook's
}

var hooks = []hook{
	{name: "push", command: "archive-push", operands: "PATH", count: 1, op: hookwire.Push, failure: exitFailed, translate: pushCode},
	{name: "fetch", command: "archive-get", operands: "NAME DEST", count: 2, op: hookwire.Fetch, failure: exitUnknown, translate: fetchCode},
}

func pushCode(code int) int {
	if code < exitDone || code > highestPush {
		return exitFailed
	}
	return code
}

func fetchCode(code int) int {
	if code == exitDone || code == exitFailed {
		return code
	}
	return exitUnknown
}

func main() {
	os.Exit(run(os.Args[1:], os.Stderr))
}

func run(args []string, stderr io.Writer) int {
	if len(args) > 0 {
		if args[0] == receiveName {
			return receive(args[1:], stderr)
		}
		for _, h := range hooks {
			if h.name == args[0] {
				return h.run(args[1:], stderr)
			}
		}
	}
	say(stderr, "usage: lifeboat-wal push [--config FILE] [--cluster NAME] [--socket PATH] PATH\n"+
		"       lifeboat-wal fetch [--config FILE] [--cluster NAME] [--socket PATH] NAME DEST\n")
	return exitUnknown
}

func (h hook) run(args []string, stderr io.Writer) int {
	flags := flag.NewFlagSet("lifeboat-wal "+h.name, flag.ContinueOnError)
	flags.SetOutput(stderr)
	config := flags.String("config", "", "the configuration `FILE`")
	cluster := flags.String("cluster", "", "the cluster's `NAME` in it")
	socket := flags.String("socket", "", "`PATH` of the socket to ask first (else $LIFEBOAT_SOCKET, else "+defaultSocket+")")
	if err := flags.Parse(args); err != nil {
		return h.failure
	}
	if flags.NArg() != h.count {
		say(stderr, "lifeboat-wal %s: expects %s\n", h.name, h.operands)
		return h.failure
	}
	if code, answered := h.askFirst(*socket, *config, *cluster, flags.Args(), stderr); answered {
		return code
	}
	worker, err := findWorker()
	if err != nil {
		say(stderr, "lifeboat-wal %s: %v\n", h.name, err)
		return h.failure
	}
	command := []string{h.command}
	if *config != "" {
		command = append(command, "--config", *config)
	}
	if *cluster != "" {
		command = append(command, "--cluster", *cluster)
	}
	return h.work(worker, append(append(command, "--"), flags.Args()...), stderr)
}

// askFirst lets others do the work, whoever listens. A request to stop ends the process from here on as it does in work.
func (h hook) askFirst(socket, config, cluster string, operands []string, stderr io.Writer) (code int, answered bool) {
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, stopSignals()...)
	go func() {
		<-stop
		os.Exit(h.failure)
	}()
	if code, answered := h.askAhead(config, cluster, operands); answered {
		return code, true
	}
	return h.ask(socketPath(socket), config, cluster, operands, stderr)
}

func stopSignals() []os.Signal {
	return []os.Signal{syscall.SIGTERM, syscall.SIGINT, syscall.SIGQUIT, syscall.SIGHUP}
}

// say writes to the server's log, as far as that can be written to.
func say(stderr io.Writer, format string, args ...any) {
	_, _ = fmt.Fprintf(stderr, format, args...)
}

// findWorker looks for lifeboat beside this binary first, so that a pair that was installed together stays together.
func findWorker() (string, error) {
	if self, err := os.Executable(); err == nil {
		beside := filepath.Join(filepath.Dir(self), "lifeboat")
		if info, err := os.Stat(beside); err == nil && info.Mode().IsRegular() {
			return beside, nil
		}
	}
	path, err := exec.LookPath("lifeboat")
	if err != nil {
		return "", errors.New("lifeboat is neither beside this binary nor on the PATH: install both into one directory")
	}
	return path, nil
}

// work runs the worker to its end and translates how it ended. A request to stop is passed on and answered with the
// hook's failure, never with 128+15, which a restore would take as a request to shut down.
func (h hook) work(worker string, args []string, stderr io.Writer) int {
	cmd := exec.Command(worker, args...)
	cmd.Stdout, cmd.Stderr = os.Stdout, stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, stopSignals()...)
	if err := cmd.Start(); err != nil {
		say(stderr, "lifeboat-wal %s: %v\n", h.name, err)
		return h.failure
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = cmd.Wait() // ProcessState tells
	}()
	select {
	case <-ended:
	case <-stop:
		_ = cmd.Process.Kill() // an upload that is cut off leaves nothing visible, and PostgreSQL asks again
		<-ended
		return h.failure
	}
	if !cmd.ProcessState.Exited() {
		say(stderr, "lifeboat-wal %s: lifeboat was stopped by a signal: %v\n", h.name, cmd.ProcessState)
		return h.failure
	}
	return h.translate(cmd.ProcessState.ExitCode())
}
