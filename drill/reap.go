package drill

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// nonceName is a variable in the environment of a scratch server and of what it starts, by which those that are left of
// a drill can be told. Its value is the drill's id.
const nonceName = "LIFEBOAT_DRILL"

// drillID is what catalog.NewID makes. Nothing else in a work directory is a drill's, or touched.
var drillID = regexp.MustCompile(`^\d{8}T\d{6}Z-[a-z2-7]{6}$`)

// Reap removes what dead drills left below the work directory: their servers and their files. It returns the ids of
// those drills. Living ones hold their lock and are left alone. What cannot be removed is an error, and does not keep
// the rest from being removed. The lock files of those whose evidence is missing stay, for [Finder.Settle].
func Reap(ctx context.Context, work string) ([]string, error) {
	var reaped []string
	err := eachDead(ctx, work, func(id string, n *note) (bool, error) {
		reaped = append(reaped, id)
		return n == nil, nil
	})
	return reaped, err
}

// killRounds bounds how often processes are looked for: what is killed may have started another just before.
const killRounds = 100

// killServers ends what still runs of a drill's server.
func killServers(dir, id string) error {
	if resolved, err := filepath.EvalSymlinks(dir); err == nil {
		dir = resolved
	}
	for range killRounds {
		pids, err := processesOf(dir, id)
		if err != nil {
			return fmt.Errorf("look for servers of drill %s: %w", id, err)
		}
		if len(pids) == 0 {
			return nil
		}
		for _, pid := range pids {
			if err := syscall.Kill(pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
				return fmt.Errorf("end process %d of drill %s: %w", pid, id, err)
			}
		}
		time.Sleep(20 * time.Millisecond)
	}
	return fmt.Errorf("processes of drill %s go on although they were killed", id)
}

// processesOf lists the processes of a drill's server, whose directory is given without links on its way. The postmaster and the commands that it starts have the drill's
// nonce in their environment. PostgreSQL's other processes write their titles over theirs, but work in the data
// directory.
func processesOf(dir, id string) ([]int, error) {
	processes, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		return nil, err
	}
	var pids []int
	for _, process := range processes {
		pid, err := strconv.Atoi(filepath.Base(process))
		if err != nil || pid == os.Getpid() {
			continue
		}
		if hasNonce(process, id) || isServerIn(process, dir) {
			pids = append(pids, pid)
		}
	}
	return pids, nil
}

// hasNonce is false also for processes that have ended, zombies among them, and those of other users.
func hasNonce(process, id string) bool {
	environment, err := os.ReadFile(process + "/environ")
	if err != nil {
		return false
	}
	for _, variable := range strings.Split(string(environment), "\x00") {
		if variable == nonceName+"="+id {
			return true
		}
	}
	return false
}

// isServerIn is true also for a process that is just ending: its title is gone before its place is.
func isServerIn(process, dir string) bool {
	at, err := os.Readlink(process + "/cwd")
	if err != nil || !strings.HasPrefix(at, dir+"/") {
		return false
	}
	title, err := os.ReadFile(process + "/cmdline")
	return err == nil && (len(title) == 0 || strings.Contains(string(title), "postgres"))
}
