package sandbox

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

// The names by which this program knows, when it starts, that it is a part of a sandbox.
const (
	builderName = "lifeboat: sandbox"
	initName    = "lifeboat: sandbox init"
)

// What the parent has opened for the inside.
const (
	specFD   = 3
	statusFD = 4
)

// statusRuns is what the inside says when the program has been started, and nothing else; other words say why it was not.
const statusRuns = "runs"

// maxStatus bounds the words, in bytes.
const maxStatus = 4 << 10

// exitSandbox is the exit code where no program was started.
const exitSandbox = 125

// Enter is called first of all by every program that starts sandboxes. Where the process was started as a part of one, it is
// that and does not return.
func Enter() {
	switch os.Args[0] {
	case builderName:
		os.Exit(report(becomeInit()))
	case initName:
		os.Exit(runInit(os.Args[1:]))
	}
}

// report tells the parent why there will be no program.
func report(err error) int {
	_, _ = os.NewFile(statusFD, "status").WriteString(err.Error()) // without words it is as bad
	return exitSandbox
}

// becomeInit makes the root, gives up all rights, and becomes the first process of the sandbox. It returns only what went
// wrong. Rights belong to threads: the one that has none any more is the one that goes on.
func becomeInit() error {
	runtime.LockOSThread()
	var j job
	if err := json.NewDecoder(os.NewFile(specFD, "spec")).Decode(&j); err != nil {
		return err
	}
	program, err := os.Open(self)
	if err != nil {
		return err
	}
	if err := build(j); err != nil {
		return err
	}
	if err := errors.Join(closeInherited(), dropRights()); err != nil {
		return err
	}
	args := []string{initName}
	if j.Program != "" {
		args = append(append(args, j.Program), j.Args...)
	}
	return execute(program, args, os.Environ())
}

// closeInherited keeps files out that whoever started the parent has left open. It takes Linux 5.11 (close_range(2)).
func closeInherited() error {
	if err := unix.CloseRange(statusFD+1, math.MaxInt32, unix.CLOSE_RANGE_CLOEXEC); err != nil {
		return fmt.Errorf("close inherited files: %w", err)
	}
	return nil
}
