package pgtest

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// The signals by which the postmaster shuts down:
// https://www.postgresql.org/docs/current/server-shutdown.html
const (
	fastShutdown      = syscall.SIGINT
	immediateShutdown = syscall.SIGQUIT
)

// server is one run of a postmaster.
type server struct {
	process *os.Process
	done    chan struct{} // closed when the postmaster has ended
	err     error         // how it ended; read after done
}

// startServer starts a postmaster that shuts down at once when this test process dies. The kernel sends that
// signal when the thread that started the postmaster ends, so one thread does nothing but start it and wait.
func startServer(cmd *exec.Cmd, logPath string) (*server, error) {
	log, err := os.OpenFile(logPath, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o644)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr.Pdeathsig = immediateShutdown
	s := &server{done: make(chan struct{})}
	started := make(chan error)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine
		err := cmd.Start()
		s.process = cmd.Process
		started <- err
		if err == nil {
			s.err = cmd.Wait()
			close(s.done)
		}
	}()
	if err := <-started; err != nil {
		return nil, err
	}
	return s, nil
}

// stop sends a shutdown signal and waits for the end.
func (s *server) stop(signal syscall.Signal, limit time.Duration) error {
	if err := s.process.Signal(signal); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	select {
	case <-s.done:
		return nil
	case <-time.After(limit):
		return fmt.Errorf("still running %v after %v", limit, signal)
	}
}

// kill ends the postmaster and all of its children with SIGKILL. The postmaster is frozen first, so that it
// neither starts more of them nor notices.
func (s *server) kill() error {
	if err := s.process.Signal(syscall.SIGSTOP); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	if err := s.awaitFrozen(); err != nil {
		return err
	}
	children := childrenOf(s.process.Pid)
	if err := s.process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	for _, pid := range children {
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
			return err
		}
	}
	<-s.done
	return awaitGone(children)
}

// awaitFrozen waits until the postmaster stands still: a fork that was under way when it was told so is made yet, and its
// child would be missed.
func (s *server) awaitFrozen() error {
	return await("the postmaster does not freeze", func() bool {
		return ended(s.process.Pid) || stateOf(s.process.Pid) == "T"
	})
}

// patience bounds what the kernel may take on a busy machine.
const patience = time.Minute

func await(fault string, reached func() bool) error {
	deadline := time.Now().Add(patience)
	for !reached() {
		if time.Now().After(deadline) {
			return errors.New(fault)
		}
		time.Sleep(time.Millisecond)
	}
	return nil
}

// childrenOf lists the processes whose parent is the given one: proc_pid_stat(5), fields 1 and 4.
func childrenOf(parent int) []int {
	var children []int
	for _, path := range glob("/proc/[0-9]*/stat") {
		stat, err := os.ReadFile(path)
		if err != nil {
			continue // ended meanwhile
		}
		afterName := stat[bytes.LastIndexByte(stat, ')')+1:]
		fields := strings.Fields(string(afterName))
		pid, pidErr := strconv.Atoi(filepath.Base(filepath.Dir(path)))
		if pidErr == nil && len(fields) > 1 && fields[1] == strconv.Itoa(parent) {
			children = append(children, pid)
		}
	}
	return children
}

// awaitGone waits until the kernel has taken the killed processes away: until then they hold PostgreSQL's
// shared memory, and the next server would refuse to start.
func awaitGone(pids []int) error {
	for _, pid := range pids {
		if err := await(fmt.Sprintf("process %d outlives SIGKILL", pid), func() bool { return ended(pid) }); err != nil {
			return err
		}
	}
	return nil
}

// ended is true of zombies, too, which nobody but their new parent can take away.
func ended(pid int) bool {
	state := stateOf(pid)
	return state == "" || state == "Z" || state == "X"
}

// stateOf is a process's state, a letter (proc_pid_stat(5), field 3), or nothing where there is no such process.
func stateOf(pid int) string {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return ""
	}
	return string(stat[bytes.LastIndexByte(stat, ')')+2:][:1])
}

// awaitDetached waits until no process uses the shared memory of a killed server any more. A command that a child has just
// begun to start is no child of the server's, and shares the child's memory until it executes its program.
func awaitDetached(dataDir string) error {
	id, found := sharedMemory(dataDir)
	if !found {
		return nil
	}
	return await(fmt.Sprintf("shared memory %d outlives its server", id), func() bool {
		var segment unix.SysvShmDesc
		_, err := unix.SysvShmCtl(id, unix.IPC_STAT, &segment)
		return err != nil || segment.Nattch == 0
	})
}

// removeSharedMemory removes the System V segment that a killed server leaves behind.
func removeSharedMemory(dataDir string) {
	if id, found := sharedMemory(dataDir); found {
		_, _ = unix.SysvShmCtl(id, unix.IPC_RMID, nil) // gone already is fine
	}
}

// sharedMemory is the id of a server's System V segment: the second number on line 7 of postmaster.pid
// (src/include/utils/pidfile.h). A clean shutdown removes that file.
func sharedMemory(dataDir string) (id int, found bool) {
	text, err := os.ReadFile(filepath.Join(dataDir, "postmaster.pid"))
	if err != nil {
		return 0, false
	}
	lines := strings.Split(string(text), "\n")
	if len(lines) < 7 {
		return 0, false
	}
	var key int
	n, _ := fmt.Sscan(lines[6], &key, &id)
	return id, n == 2
}
