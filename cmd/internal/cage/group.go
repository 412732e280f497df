// Package cage holds processes to limits of the machine: control groups of cgroup v2, nice(2) and ioprio_set(2).
package cage

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// endPatience is how long what was killed in a group may take to be gone: a large server gives much memory back, and under the
// group's own limit of CPU time.
const endPatience = time.Minute

// Limits are what a process and all that it starts may take. Zero limits nothing.
type Limits struct {
	CPUPercent float64 // of one core
	Memory     int64   // in bytes
	IOWeight   int     // against others' 100
}

const (
	ownGroup  = "daemon" // where this process goes: a group with limits for others has no processes of its own
	cpuPeriod = 100_000  // microseconds
)

// Groups are control groups that this process may make, each for one process and what that starts.
type Groups struct {
	base   string
	limits Limits
}

// setting is one limit: the controller that it takes, its file, and what is written there.
type setting struct{ controller, file, value string }

func (l Limits) settings() []setting {
	var list []setting
	if l.CPUPercent > 0 {
		list = append(list, setting{"cpu", "cpu.max", fmt.Sprintf("%.0f %d", l.CPUPercent/100*cpuPeriod, cpuPeriod)})
	}
	if l.Memory > 0 {
		list = append(list, setting{"memory", "memory.max", strconv.FormatInt(l.Memory, 10)})
	}
	if l.IOWeight > 0 {
		list = append(list, setting{"io", "io.weight", fmt.Sprintf("default %d", l.IOWeight)})
	}
	return list
}

// Controllers are those that the limits need.
func (l Limits) Controllers() []string {
	var names []string
	for _, s := range l.settings() {
		names = append(names, s.controller)
	}
	return names
}

// Own is the directory of this process's control group of cgroup v2, by the text of its /proc/self/cgroup and the mounts that
// systemd makes below root, which is /sys/fs/cgroup.
func Own(root, self string) (string, error) {
	for line := range strings.Lines(self) {
		path, found := strings.CutPrefix(strings.TrimSpace(line), "0::")
		if !found {
			continue
		}
		for _, mount := range []string{root, filepath.Join(root, "unified")} {
			if _, err := os.Stat(filepath.Join(mount, "cgroup.procs")); err == nil {
				return filepath.Join(mount, path), nil
			}
		}
	}
	return "", errors.New("this process is in no control group of cgroup v2")
}

// Open makes groups below the directory of this process's own group, which must have been delegated to it (Delegate=yes of
// systemd): it has to be the only one there. What cannot be had is an error, and no group is made.
func Open(own string, pid int, limits Limits) (*Groups, error) {
	if err := checkControllers(own, limits); err != nil {
		return nil, err
	}
	if err := leaveOwn(own, pid); err != nil {
		return nil, fmt.Errorf("use control groups below %s, as Delegate=yes of systemd allows: %w", own, err)
	}
	if names := limits.Controllers(); len(names) > 0 {
		if err := write(filepath.Join(own, "cgroup.subtree_control"), "+"+strings.Join(names, " +")); err != nil {
			return nil, fmt.Errorf("limit %s in control groups below %s: %w", strings.Join(names, ", "), own, err)
		}
	}
	return &Groups{base: own, limits: limits}, nil
}

func checkControllers(own string, limits Limits) error {
	text, err := os.ReadFile(filepath.Join(own, "cgroup.controllers"))
	if err != nil {
		return fmt.Errorf("ask for the controllers of the control group: %w", err)
	}
	there := strings.Fields(string(text))
	for _, name := range limits.Controllers() {
		if !slices.Contains(there, name) {
			return fmt.Errorf("the control group %s has no controller %q: it has %q", own, name, there)
		}
	}
	return nil
}

// leaveOwn moves this process to a group below its own: only a group without processes can limit others. Processes of others are
// left where they are, and so is everything else then.
func leaveOwn(own string, pid int) error {
	text, err := os.ReadFile(filepath.Join(own, "cgroup.procs"))
	if err != nil {
		return err
	}
	processes := strings.Fields(string(text))
	for _, there := range processes {
		if there != strconv.Itoa(pid) {
			return fmt.Errorf("process %s is there, too", there)
		}
	}
	below := filepath.Join(own, ownGroup)
	if err := os.Mkdir(below, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	if len(processes) == 0 {
		return nil // it has been moved before
	}
	return write(filepath.Join(below, "cgroup.procs"), strconv.Itoa(pid))
}

// Group is the control group of one process and of what it starts.
type Group struct{ dir string }

// Admit makes a group of a name, with the limits, and moves a process there that has started nothing yet.
func (g *Groups) Admit(name string, pid int) (*Group, error) {
	group := &Group{dir: filepath.Join(g.base, name)}
	if err := os.Mkdir(group.dir, 0o755); err != nil {
		return nil, fmt.Errorf("make a control group: %w", err)
	}
	for _, s := range g.limits.settings() {
		if err := write(filepath.Join(group.dir, s.file), s.value); err != nil {
			return nil, errors.Join(fmt.Errorf("limit %s: %w", s.controller, err), os.Remove(group.dir))
		}
	}
	if err := write(filepath.Join(group.dir, "cgroup.procs"), strconv.Itoa(pid)); err != nil {
		return nil, errors.Join(fmt.Errorf("move a process into a control group: %w", err), os.Remove(group.dir))
	}
	return group, nil
}

// End kills what is left in the group, and removes it.
func (g *Group) End() error {
	if err := write(filepath.Join(g.dir, "cgroup.kill"), "1"); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("end a control group: %w", err)
	}
	for deadline := time.Now().Add(endPatience); ; { // what was killed takes a moment
		err := os.Remove(g.dir)
		if err == nil || errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("remove a control group: %w", err)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func write(path, value string) error {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE, 0o644)
	if err != nil {
		return err
	}
	_, err = file.WriteString(value)
	return errors.Join(err, file.Close())
}
