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
	deadline := time.Now().Add(10 * time.Second)
	for _, pid := range pids {
		for running(pid) {
			if time.Now().After(deadline) {
				return fmt.Errorf("process %d outlives SIGKILL", pid)
			}
			time.Sleep(time.Millisecond)
		}
	}
	return nil
}

// running is false for zombies, which nobody but their new parent can take away.
func running(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return false
	}
	return !bytes.HasPrefix(stat[bytes.LastIndexByte(stat, ')')+1:], []byte(" Z"))
}

// removeSharedMemory removes the System V segment that a killed server leaves behind. Its id is the second
// number on line 7 of postmaster.pid (src/include/utils/pidfile.h); a clean shutdown removes that file.
func removeSharedMemory(dataDir string) {
	text, err := os.ReadFile(filepath.Join(dataDir, "postmaster.pid"))
	if err != nil {
		return
	}
	lines := strings.Split(string(text), "\n")
	if len(lines) < 7 {
		return
	}
	var key, id int
	if n, _ := fmt.Sscan(lines[6], &key, &id); n == 2 {
		_, _ = unix.SysvShmCtl(id, unix.IPC_RMID, nil) // gone already is fine
	}
}
