// Command archiver hands the WAL files that wait below a data directory to a command, as PostgreSQL's archiver does: by a
// shell, one after the other, each only when the one before is done, which is noted in archive_status (pgarch.c). Then it
// appends a line to a file:
//
//	wall-clock seconds, processor seconds, peak memory of the agent in bytes
//
// Processor seconds are those of all that the command has started, also of what it left running in the background, which
// is waited for; and those of the agent, if one is named.
//
//	archiver [-agent PID] DATA_DIRECTORY RESULT COMMAND
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

func main() {
	pid := flag.Int("agent", 0, "process whose work counts, too")
	flag.Parse()
	if err := run(agent(*pid), flag.Arg(0), flag.Arg(1), flag.Arg(2)); err != nil {
		fmt.Fprintln(os.Stderr, "archiver:", err)
		os.Exit(1)
	}
}

func run(a agent, data, result, command string) error {
	// What is left in the background becomes a child of this process (prctl(2), PR_SET_CHILD_SUBREAPER).
	const setChildSubreaper = 36
	if _, _, errno := syscall.RawSyscall(syscall.SYS_PRCTL, setChildSubreaper, 1, 0); errno != 0 {
		return errno
	}
	ready, err := filepath.Glob(data + "/pg_wal/archive_status/*.ready") // sorted
	if err != nil {
		return err
	}
	before, err := a.processor()
	if err != nil {
		return err
	}
	start := time.Now()
	for _, path := range ready {
		if err := archive(data, path, command); err != nil {
			return err
		}
	}
	wall := time.Since(start)
	waitForAll()
	return note(a, before, wall, result)
}

func archive(data, ready, command string) error {
	name := strings.TrimSuffix(filepath.Base(ready), ".ready")
	cmd := exec.Command("/bin/sh", "-c", strings.NewReplacer("%p", "pg_wal/"+name, "%f", name).Replace(command))
	cmd.Dir, cmd.Stdout, cmd.Stderr = data, os.Stdout, os.Stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return os.Rename(ready, strings.TrimSuffix(ready, ".ready")+".done")
}

func waitForAll() {
	for {
		if _, err := syscall.Wait4(-1, nil, 0, nil); errors.Is(err, syscall.ECHILD) {
			return
		}
	}
}

func note(a agent, before float64, wall time.Duration, result string) error {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_CHILDREN, &usage); err != nil {
		return err
	}
	after, err := a.processor()
	if err != nil {
		return err
	}
	children := time.Duration(usage.Utime.Nano() + usage.Stime.Nano()).Seconds()
	file, err := os.OpenFile(result, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(file, "%.3f %.3f %d\n", wall.Seconds(), children+after-before, a.peak())
	return errors.Join(err, file.Close())
}

// agent is a process that works for the command, or zero.
type agent int

// processor is how many seconds it has worked (proc(5), stat).
func (a agent) processor() (float64, error) {
	if a == 0 {
		return 0, nil
	}
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", a))
	if err != nil {
		return 0, err
	}
	fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+2:]))
	const utime, ticks = 11, 100
	var sum int
	for _, field := range fields[utime : utime+4] {
		n, err := strconv.Atoi(field)
		if err != nil {
			return 0, err
		}
		sum += n
	}
	return float64(sum) / ticks, nil
}

// peak is the most memory that it had, in bytes; zero where that is not known.
func (a agent) peak() int {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", a)) // none: zero
	_, rest, _ := strings.Cut(string(text), "VmHWM:")
	var kilobytes int
	_, _ = fmt.Sscan(rest, &kilobytes) // none: zero
	return kilobytes << 10
}
