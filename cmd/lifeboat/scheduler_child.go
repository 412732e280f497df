package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"

	"lifeboat/cmd/internal/cage"
	"lifeboat/drill"
)

// child is a drill as a process of its own.
type child struct {
	program  string
	args     []string
	id       string
	deadline time.Duration
	grace    time.Duration // from the deadline, or the request to stop, to its being killed
	groups   *cage.Groups  // nil: it has no control group of its own
	stderr   io.Writer
}

// childEnd is how a child ended.
type childEnd struct {
	code   int    // exit code; below zero where it was killed
	words  string // the last that it said on standard error
	killed error  // why this process killed it; nil: it did not
}

// err says how the child ended, for the evidence of a drill that left none itself.
func (f childEnd) err() error {
	switch {
	case f.killed != nil:
		return f.killed
	case f.code < 0:
		return errors.New("it was killed, and left no evidence")
	}
	return fmt.Errorf("it ended with exit code %d, and left no evidence: %s", f.code, f.words)
}

// run runs the child to its end. When ctx ends the child is asked to stop.
func (c child) run(ctx context.Context) (childEnd, error) {
	said := &lastWords{to: c.stderr}
	cmd := exec.Command(c.program, c.args...)
	cmd.Env, cmd.Stderr = childEnvironment(os.Environ()), said
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.WaitDelay = c.grace
	word, err := cmd.StdinPipe()
	if err != nil {
		return childEnd{}, fmt.Errorf("start a drill: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return childEnd{}, fmt.Errorf("start a drill: %w", err)
	}
	leave, err := c.admit(cmd.Process.Pid)
	if err == nil {
		_, err = io.WriteString(word, "go\n")
	}
	if err != nil {
		err = errors.Join(err, cmd.Process.Kill())
	}
	killed := c.watch(ctx, cmd)
	err = errors.Join(err, leave())
	return childEnd{code: cmd.ProcessState.ExitCode(), words: said.String(), killed: killed}, err
}

// admit gives the child a control group before it works.
func (c child) admit(pid int) (leave func() error, err error) {
	if c.groups == nil {
		return func() error { return nil }, nil
	}
	group, err := c.groups.Admit("drill-"+c.id, pid)
	if err != nil {
		return func() error { return nil }, err
	}
	return group.End, nil
}

// watch waits for the child's end, and brings it about when its time is over. It returns why it killed the child.
func (c child) watch(ctx context.Context, cmd *exec.Cmd) error {
	ended := make(chan struct{})
	var waiting sync.WaitGroup
	waiting.Go(func() {
		defer close(ended)
		_ = cmd.Wait() // how it ended is in its state
	})
	defer waiting.Wait()
	late := time.NewTimer(c.deadline + c.grace)
	defer late.Stop()
	select {
	case <-ended:
		return nil
	case <-late.C:
		return errors.Join(&drill.DeadlineError{Deadline: c.deadline, Killed: true}, killAll(cmd))
	case <-ctx.Done():
	}
	_ = cmd.Process.Signal(syscall.SIGTERM) // it may have ended just now
	stuck := time.NewTimer(c.grace)
	defer stuck.Stop()
	select {
	case <-ended:
		return nil
	case <-stuck.C:
		return errors.Join(fmt.Errorf("it was asked to stop, did not within %s, and was killed", c.grace), killAll(cmd))
	}
}

// killAll kills the child and what it started in its process group.
func killAll(cmd *exec.Cmd) error {
	if err := syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
		return err
	}
	return nil
}

// childEnvironment leaves out what the service manager said to this process alone.
func childEnvironment(own []string) []string {
	var list []string
	for _, variable := range own {
		name, _, _ := strings.Cut(variable, "=")
		if name != "NOTIFY_SOCKET" && !strings.HasPrefix(name, "WATCHDOG_") {
			list = append(list, variable)
		}
	}
	return list
}

// lastWords passes on what is written, and remembers the last line.
type lastWords struct {
	to io.Writer

	mu   sync.Mutex
	last []byte
}

const lastWordsLimit = 1000 // bytes

func (w *lastWords) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.last = append(w.last, p...)
	w.last = w.last[max(0, len(w.last)-lastWordsLimit):]
	return w.to.Write(p)
}

func (w *lastWords) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	lines := bytes.Split(bytes.TrimSpace(w.last), []byte("\n"))
	return strings.TrimPrefix(string(lines[len(lines)-1]), "lifeboat: ")
}
