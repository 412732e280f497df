package cage

import (
	"fmt"
	"syscall"

	"golang.org/x/sys/unix"
)

// IOClass is when reads and writes have their turn, see ioprio_set(2).
type IOClass int

// The classes.
const (
	IOUnchanged IOClass = 0
	IOLast      IOClass = 2<<13 | 7 // the best-effort class, at its lowest level
	IOIdle      IOClass = 3 << 13
)

const (
	ioPriorityOfGroup = 2  // IOPRIO_WHO_PGRP
	unbiased          = 20 // the system call gives 20 less the nice value: getpriority(2)
)

// Lower gives this process's group, all its threads and whatever they start from now on, a lower priority. Its own process
// group is the one to lower: setpriority(2) of a process would change one thread alone. A group that has that priority already, or a
// lower one, keeps it: few may raise it.
func Lower(nice int, io IOClass) error {
	before, err := syscall.Getpriority(syscall.PRIO_PGRP, 0)
	if err != nil {
		return fmt.Errorf("ask for the scheduling priority: %w", err)
	}
	if nice > unbiased-before {
		if err := syscall.Setpriority(syscall.PRIO_PGRP, 0, nice); err != nil {
			return fmt.Errorf("lower the scheduling priority: %w", err)
		}
	}
	if io == IOUnchanged {
		return nil
	}
	if _, _, errno := unix.Syscall(unix.SYS_IOPRIO_SET, ioPriorityOfGroup, 0, uintptr(io)); errno != 0 {
		return fmt.Errorf("lower the I/O priority: %w", errno)
	}
	return nil
}
