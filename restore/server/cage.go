package server

import (
	"errors"
	"os/exec"
)

// Cage gives a server surroundings of its own, in which it runs as the first program. It sees its directories at the same
// paths as outside, and its standard streams are the same.
type Cage interface {
	// Wrap changes a command before it is started.
	Wrap(cmd *exec.Cmd) (Caged, error)
}

// Caged is a command in a cage.
type Caged interface {
	// Started is called with what the start of the command has returned, and waits until the program runs.
	Started(start error) error
	// Close is called when the command has ended, or has not started.
	Close() error
}

// start starts a command, caged or not. Where it fails nothing of it is left.
func start(cmd *exec.Cmd, caged Caged) error {
	err := cmd.Start()
	if caged == nil {
		return err
	}
	started := caged.Started(err)
	if started == nil {
		return nil
	}
	if err == nil {
		_, _ = cmd.Process.Kill(), cmd.Wait() // it has not become what it was to be
	}
	return errors.Join(started, caged.Close())
}
