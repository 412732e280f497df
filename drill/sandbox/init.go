package sandbox

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// execute becomes an opened program. Its path may not be seen any more, and there may be no /proc (execveat(2)).
func execute(program *os.File, args, env []string) error {
	argv, err := syscall.SlicePtrFromStrings(args)
	if err != nil {
		return err
	}
	envv, err := syscall.SlicePtrFromStrings(env)
	if err != nil {
		return err
	}
	empty := []byte{0}
	_, _, errno := unix.Syscall6(unix.SYS_EXECVEAT, program.Fd(), uintptr(unsafe.Pointer(&empty[0])),
		uintptr(unsafe.Pointer(&argv[0])), uintptr(unsafe.Pointer(&envv[0])), unix.AT_EMPTY_PATH, 0)
	return fmt.Errorf("start the first process: %w", errno)
}

// runInit is the first process: it starts the program, whose path and arguments are given, and lives as long as that. It has
// to reap what others leave, too. It ends early when the parent has: the end of the parent's pipe says so.
func runInit(program []string) int {
	unix.CloseOnExec(specFD)
	unix.CloseOnExec(statusFD)
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGQUIT, syscall.SIGHUP)
	pid := 0
	if len(program) > 0 {
		var err error
		pid, err = syscall.ForkExec(program[0], program[1:], &syscall.ProcAttr{Dir: "/", Env: os.Environ(), Files: []uintptr{0, 1, 2}})
		if err != nil {
			return report(fmt.Errorf("start %s: %w", program[0], err))
		}
	}
	status := os.NewFile(statusFD, "status")
	_, err := status.WriteString(statusRuns)
	if errors.Join(err, status.Close()) != nil || pid == 0 {
		return 0
	}
	go passOn(signals, pid)
	go endWithParent()
	return reapUntil(pid)
}

func passOn(signals <-chan os.Signal, pid int) {
	for s := range signals {
		if number, ok := s.(syscall.Signal); ok {
			_ = syscall.Kill(pid, number) // it may have ended
		}
	}
}

func endWithParent() {
	_, _ = io.Copy(io.Discard, os.NewFile(specFD, "parent"))
	os.Exit(exitSandbox)
}

// reapUntil collects what has ended until that is the program, and returns its exit code as a shell would tell it.
func reapUntil(pid int) int {
	for {
		var status syscall.WaitStatus
		ended, err := syscall.Wait4(-1, &status, 0, nil)
		switch {
		case errors.Is(err, syscall.EINTR):
		case err != nil:
			return exitSandbox
		case ended != pid:
		case status.Signaled():
			return 128 + int(status.Signal())
		default:
			return status.ExitStatus()
		}
	}
}
