// Command peak runs a command and appends to a file how much memory the largest of its processes had at its peak, in
// bytes.
//
//	peak FILE COMMAND [ARGUMENT ...]
package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"
)

func main() {
	cmd := exec.Command(os.Args[2], os.Args[3:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	err := errors.Join(cmd.Run(), note(os.Args[1], cmd.ProcessState))
	if err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", os.Args[2], err)
		os.Exit(1)
	}
}

func note(path string, state *os.ProcessState) error {
	if state == nil {
		return nil // it never started
	}
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	usage := state.SysUsage().(*syscall.Rusage) // of what it has waited for, too
	_, err = fmt.Fprintln(file, usage.Maxrss<<10)
	return errors.Join(err, file.Close())
}
