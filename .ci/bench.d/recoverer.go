// Command recoverer asks for WAL files as PostgreSQL's recovery does: by a shell in the data directory, one after the other,
// each to the same place, from which it is taken before the next one is asked for (RestoreArchivedFile in xlogarchive.c). It
// stands in for the server, too: its number is in postmaster.pid. Then it appends a line to a file:
//
//	wall-clock seconds, processor seconds
//
// Processor seconds are those of all that the command has started, also of what it left running in the background, which
// is waited for when postmaster.pid is gone.
//
//	recoverer DATA_DIRECTORY RESULT COMMAND NAME...
package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

const asked = "pg_wal/RECOVERYXLOG"

func main() {
	if err := run(os.Args[1], os.Args[2], os.Args[3], os.Args[4:]); err != nil {
		fmt.Fprintln(os.Stderr, "recoverer:", err)
		os.Exit(1)
	}
}

func run(data, result, command string, names []string) error {
	// What is left in the background becomes a child of this process (prctl(2), PR_SET_CHILD_SUBREAPER).
	const setChildSubreaper = 36
	if _, _, errno := syscall.RawSyscall(syscall.SYS_PRCTL, setChildSubreaper, 1, 0); errno != 0 {
		return errno
	}
	pid := filepath.Join(data, "postmaster.pid")
	if err := os.WriteFile(pid, fmt.Appendf(nil, "%d\n%s\n", os.Getpid(), data), 0o600); err != nil {
		return err
	}
	start := time.Now()
	err := fetchAll(data, command, names)
	wall := time.Since(start)
	err = errors.Join(err, os.Remove(pid))
	waitForAll()
	return errors.Join(err, note(result, wall))
}

func fetchAll(data, command string, names []string) error {
	for _, name := range names {
		cmd := exec.Command("/bin/sh", "-c", strings.NewReplacer("%p", asked, "%f", name).Replace(command))
		cmd.Dir, cmd.Stdout, cmd.Stderr = data, os.Stdout, os.Stderr
		if err := cmd.Run(); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		info, err := os.Stat(filepath.Join(data, asked))
		if err != nil || info.Size() != 16<<20 {
			return fmt.Errorf("%s did not come: %w", name, err)
		}
		if err := os.Rename(filepath.Join(data, asked), filepath.Join(data, "pg_wal/replayed")); err != nil {
			return err
		}
	}
	return nil
}

func waitForAll() {
	for {
		if _, err := syscall.Wait4(-1, nil, 0, nil); errors.Is(err, syscall.ECHILD) {
			return
		}
	}
}

func note(path string, wall time.Duration) error {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_CHILDREN, &usage); err != nil {
		return err
	}
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	children := time.Duration(usage.Utime.Nano() + usage.Stime.Nano()).Seconds()
	_, err = fmt.Fprintf(file, "%.3f %.3f\n", wall.Seconds(), children)
	return errors.Join(err, file.Close())
}
