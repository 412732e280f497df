package server

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sync/errgroup"
)

// Mode is one of PostgreSQL's ways to shut down
// (https://www.postgresql.org/docs/current/server-shutdown.html).
type Mode syscall.Signal

// The modes.
const (
	Fast      = Mode(syscall.SIGINT)  // sessions are ended and a checkpoint is written
	Immediate = Mode(syscall.SIGQUIT) // everything ends at once, as in a crash
)

type command struct {
	program    string
	args, env  []string
	log        *os.File
	credential *syscall.Credential
	pdeathsig  syscall.Signal
	cage       Cage // may be nil
}

// process is one run of a postmaster.
type process struct {
	cmd   *exec.Cmd
	group errgroup.Group // its one member waits for the end
	done  chan struct{}  // closed when the postmaster has ended
	err   error          // how it ended; read after done
}

// startProcess starts a postmaster in a session of its own, so that no terminal's signals reach it. The kernel sends
// the parent-death signal when the thread that started the child ends, hence one thread starts it and then waits.
func startProcess(c command) (*process, error) {
	cmd := exec.Command(c.program, c.args...)
	cmd.Dir, cmd.Env = "/", c.env
	cmd.Stdout, cmd.Stderr = c.log, c.log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Pdeathsig: c.pdeathsig, Credential: c.credential}
	caged, err := c.enclose(cmd)
	if err != nil {
		return nil, err
	}
	p := &process{cmd: cmd, done: make(chan struct{})}
	started := make(chan error)
	p.group.Go(func() error {
		runtime.LockOSThread() // never unlocked: the thread ends with this function
		err := start(cmd, caged)
		started <- err
		if err == nil {
			p.err = cmd.Wait()
			if caged != nil {
				_ = caged.Close() // it is empty
			}
			close(p.done)
		}
		return err
	})
	if err := <-started; err != nil {
		return nil, err
	}
	return p, nil
}

func (c command) enclose(cmd *exec.Cmd) (Caged, error) {
	if c.cage == nil {
		return nil, nil
	}
	return c.cage.Wrap(cmd)
}

func (p *process) pid() int { return p.cmd.Process.Pid }

// Stop asks the server to shut down and waits for its end. When ctx ends first the error wraps its cause, and the
// server may still be running: Kill is the last resort. A server that has ended is no error.
func (s *Server) Stop(ctx context.Context, mode Mode) error {
	err := s.process.cmd.Process.Signal(syscall.Signal(mode))
	if err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("stop PostgreSQL: %w", err)
	}
	select {
	case <-s.process.done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("stop PostgreSQL: process %d still runs: %w", s.PID(), context.Cause(ctx))
	}
}

// Kill ends the postmaster and its children with SIGKILL and waits for the postmaster's end. The postmaster is frozen
// first, so that it starts no more of them.
func (s *Server) Kill() error {
	postmaster := s.process.cmd.Process
	if err := postmaster.Signal(syscall.SIGSTOP); errors.Is(err, os.ErrProcessDone) {
		return nil
	}
	victims := append(children(postmaster.Pid), postmaster.Pid)
	for _, pid := range victims {
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
			return fmt.Errorf("kill PostgreSQL: process %d: %w", pid, err)
		}
	}
	<-s.process.done
	return nil
}

// children lists the processes whose parent is the given one: proc_pid_stat(5), fields 1 and 4.
func children(parent int) []int {
	paths, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return nil
	}
	var found []int
	for _, path := range paths {
		stat, err := os.ReadFile(path)
		if err != nil {
			continue // ended meanwhile
		}
		fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(path)))
		if err == nil && len(fields) > 1 && fields[1] == strconv.Itoa(parent) {
			found = append(found, pid)
		}
	}
	return found
}
