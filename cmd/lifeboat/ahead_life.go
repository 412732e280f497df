package main

import (
	"bufio"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"time"
)

// detach starts a prefetcher that outlives this process, in a session of its own and far from the server's streams and
// directories: nothing waits for it.
func (a *app) detach(data, name string) error {
	program, err := os.Executable()
	if err != nil {
		return err
	}
	config, err := filepath.Abs(a.settingsPath())
	if err != nil {
		return err
	}
	args := []string{"archive-ahead", "--config", config}
	if a.clusterName != "" {
		args = append(args, "--cluster", a.clusterName)
	}
	cmd := exec.Command(program, append(args, "--", data, name)...)
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return err
	}
	return cmd.Process.Release()
}

// serverRuns says whether a PostgreSQL runs on the data directory: the first line of its postmaster.pid is its number.
func serverRuns(data string) bool {
	file, err := os.Open(filepath.Join(data, "postmaster.pid"))
	if err != nil {
		return false
	}
	defer file.Close()
	lines := bufio.NewScanner(file)
	if !lines.Scan() {
		return false
	}
	pid, err := strconv.Atoi(lines.Text())
	return err == nil && pid > 0 && !errors.Is(syscall.Kill(pid, 0), syscall.ESRCH)
}

// lastUse knows for how long nothing has been asked. It is safe for concurrent use.
type lastUse struct {
	now func() time.Time

	mu    sync.Mutex
	users int
	ended time.Time // of the last use
}

func newLastUse(now func() time.Time) *lastUse { return &lastUse{now: now, ended: now()} }

// begin counts a use until the function that it returns is called.
func (u *lastUse) begin() (end func()) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.users++
	return func() {
		u.mu.Lock()
		defer u.mu.Unlock()
		u.users--
		u.ended = u.now()
	}
}

func (u *lastUse) idle() time.Duration {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.users > 0 {
		return 0
	}
	return u.now().Sub(u.ended)
}
