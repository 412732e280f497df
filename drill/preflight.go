package drill

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"

	"lifeboat/restore/server"
)

// AccessError says that the scratch server could not run where the drill wants it to, or not as whom.
type AccessError struct {
	Why string
	Err error // may be nil
}

func (e *AccessError) Error() string {
	if e.Err == nil {
		return e.Why
	}
	return fmt.Sprintf("%s: %v", e.Why, e.Err)
}

func (e *AccessError) Unwrap() error { return e.Err }

// findServer finds the server programs before anything is copied, and tries whether the user whom they will run as can
// run them and enter the scratch directory.
func (d *drill) findServer(ctx context.Context) error {
	bin, err := server.FindBinaries(ctx, d.major(), d.PostgresBin)
	if err == nil && d.isolated() {
		bin, err = filepath.EvalSymlinks(bin) // no link leads out of the sandbox
	}
	if err != nil {
		return err
	}
	if d.Owner == nil && os.Geteuid() == 0 || d.Owner != nil && d.Owner.UID == 0 {
		return &AccessError{Why: "PostgreSQL does not run as root: give the work directory " + d.WorkDirectory + " to another user"}
	}
	trial := exec.CommandContext(ctx, filepath.Join(bin, "postgres"), "--version")
	trial.Dir = d.scratch.dir
	d.bin = bin
	program := trial.Path
	if err := d.try(trial); err != nil && ctx.Err() == nil {
		return &AccessError{Why: fmt.Sprintf("%s cannot run %s in %s: make both open to that user", d.user(), program, d.WorkDirectory), Err: err}
	}
	return context.Cause(ctx)
}

// canEnter finds out whether the server's user can enter the scratch directory.
func (d *drill) canEnter(ctx context.Context) error {
	shell := exec.CommandContext(ctx, "/bin/sh", "-c", ":")
	shell.Dir, shell.SysProcAttr = d.scratch.dir, asUser(d.credential())
	shell.Env = []string{nonceName + "=" + d.result.ID}
	if err := shell.Run(); err != nil && ctx.Err() == nil {
		return &AccessError{Why: fmt.Sprintf("%s cannot enter %s: make it open to that user", d.user(), d.WorkDirectory), Err: err}
	}
	return context.Cause(ctx)
}

// try runs a program as the server will run.
func (d *drill) try(trial *exec.Cmd) error {
	if d.isolated() {
		return runCaged(d.sandboxSpec(), trial, d)
	}
	trial.Env = []string{nonceName + "=" + d.result.ID}
	trial.SysProcAttr = asUser(d.credential())
	return trial.Run()
}

func (d *drill) user() string {
	if d.Owner == nil {
		return "this user"
	}
	return fmt.Sprintf("user %d", d.Owner.UID)
}

// major is the major version of the drilled backup's server.
func (d *drill) major() int { return d.plan.Record().PostgresVersion / 10000 }

func (d *drill) credential() *syscall.Credential {
	if d.Owner == nil {
		return nil
	}
	return &syscall.Credential{Uid: uint32(d.Owner.UID), Gid: uint32(d.Owner.GID)}
}

// errWALGone says that the repository changed between two looks at it.
var errWALGone = errors.New("the WAL that the plan needs is no longer there")
