package sandbox

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"syscall"

	"golang.org/x/sys/unix"
)

// MissingError says that the system does not give what a sandbox is made of.
type MissingError struct {
	What string
	Err  error
}

func (e *MissingError) Error() string { return e.What + ": " + e.Err.Error() }

func (e *MissingError) Unwrap() error { return e.Err }

// Namespaces are those that a sandboxed program has of its own.
func Namespaces() []string { return []string{"user", "mount", "network", "pid", "ipc", "uts"} }

const cloneFlags = unix.CLONE_NEWUSER | unix.CLONE_NEWNS | unix.CLONE_NEWNET | unix.CLONE_NEWPID | unix.CLONE_NEWIPC | unix.CLONE_NEWUTS

// builderRights are what the process that makes the root needs in its own namespaces; nothing outside obeys them.
var builderRights = []uintptr{unix.CAP_SYS_ADMIN, unix.CAP_SETPCAP, unix.CAP_SYS_RESOURCE}

// Wrapped is a command that will run, or runs, in a sandbox.
type Wrapped struct {
	job    job
	spec   [2]*os.File // read by the child; its end tells the child that the parent has ended
	status [2]*os.File // written by the child
}

// Wrap changes a command that has not been started so that it runs in the sandbox, as the same user as without it. Its
// environment, directory "/" and standard streams are the program's. Started must be called after its start, and Close
// when it has ended, or was not started.
//
// The command's process is then the first of the sandbox: a SIGINT, SIGTERM, SIGQUIT or SIGHUP goes on to the program, a
// SIGKILL ends everything inside, and it ends as the program does. It dies with the thread that starts it, and with this process.
func (s Spec) Wrap(cmd *exec.Cmd) (*Wrapped, error) {
	attr := syscall.SysProcAttr{}
	if cmd.SysProcAttr != nil {
		attr = *cmd.SysProcAttr
	}
	w := &Wrapped{job: job{Spec: s, UID: os.Geteuid(), GID: os.Getegid(), Program: cmd.Path, Args: cmd.Args}}
	if attr.Credential != nil {
		w.job.UID, w.job.GID = int(attr.Credential.Uid), int(attr.Credential.Gid)
		attr.GidMappingsEnableSetgroups = true // its other groups are dropped
	}
	if err := w.openPipes(); err != nil {
		return nil, fmt.Errorf("make the sandbox: %w", err)
	}
	attr.Cloneflags, attr.AmbientCaps, attr.Pdeathsig = cloneFlags, builderRights, syscall.SIGKILL
	attr.UidMappings = []syscall.SysProcIDMap{{ContainerID: w.job.UID, HostID: w.job.UID, Size: 1}}
	attr.GidMappings = []syscall.SysProcIDMap{{ContainerID: w.job.GID, HostID: w.job.GID, Size: 1}}
	cmd.SysProcAttr, cmd.Path, cmd.Args, cmd.Dir = &attr, self, []string{builderName}, "/"
	cmd.ExtraFiles = []*os.File{w.spec[0], w.status[1]} // specFD, statusFD
	return w, nil
}

// self is this very program, wherever it lies and whoever may reach it there.
const self = "/proc/self/exe"

func (w *Wrapped) openPipes() (err error) {
	if w.spec[0], w.spec[1], err = os.Pipe(); err != nil {
		return err
	}
	if w.status[0], w.status[1], err = os.Pipe(); err != nil {
		return errors.Join(err, w.Close())
	}
	return nil
}

// Started waits until the program runs. start is what the start of the command has returned. What could not be had is a
// *MissingError.
func (w *Wrapped) Started(start error) error {
	if start != nil {
		return notStarted(start)
	}
	err := errors.Join(w.spec[0].Close(), w.status[1].Close(), json.NewEncoder(w.spec[1]).Encode(w.job))
	said, reading := io.ReadAll(io.LimitReader(w.status[0], maxStatus))
	switch {
	case string(said) == statusRuns:
		return errors.Join(err, reading)
	case len(said) > 0:
		return &MissingError{What: "the sandbox could not be made", Err: errors.New(string(said))}
	}
	return &MissingError{What: "the sandbox could not be made", Err: errors.Join(errors.New("the process that makes it ended"), err, reading)}
}

// notStarted tells what the errors of clone(2) mean here, and of executing this program as another user.
func notStarted(err error) error {
	switch {
	case errors.Is(err, unix.EACCES):
		return &MissingError{What: "the server's user may not run this program", Err: err}
	case errors.Is(err, unix.EPERM), errors.Is(err, unix.ENOSPC), errors.Is(err, unix.EUSERS), errors.Is(err, unix.EINVAL):
		return &MissingError{What: "no namespaces", Err: err}
	}
	return err
}

// Close lets go of the sandbox, whose program ends if it still runs.
func (w *Wrapped) Close() error {
	for _, file := range []*os.File{w.spec[0], w.spec[1], w.status[0], w.status[1]} {
		if file != nil {
			_ = file.Close() // some are closed already
		}
	}
	return nil
}
