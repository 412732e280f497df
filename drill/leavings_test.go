package drill_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// wantNoLeavings wants no file in a work directory and no process that has to do with it.
func wantNoLeavings(t testing.TB, work string) {
	t.Helper()
	if found := leavings(work); len(found) > 0 {
		t.Errorf("left behind: %s", strings.Join(found, ", "))
	}
}

// leavings lists what a drill has left: files in its work directory, and processes that work there, or see a mount of something
// there, as those of a sandbox do.
func leavings(work string) []string {
	files, _ := filepath.Glob(filepath.Join(work, "*"))
	return append(files, processesOf(work)...)
}

// processesOf leaves out those that have no memory any more, and so no command line: they have been killed, and can do nothing.
func processesOf(dir string) []string {
	var found []string
	processes, _ := filepath.Glob("/proc/[0-9]*")
	for _, process := range processes {
		if filepath.Base(process) == "self" {
			continue
		}
		line, err := os.ReadFile(filepath.Join(process, "cmdline"))
		at, _ := os.Readlink(filepath.Join(process, "cwd"))
		mounts, _ := os.ReadFile(filepath.Join(process, "mountinfo"))
		if err == nil && len(line) > 0 && (strings.HasPrefix(at, dir+"/") || strings.Contains(string(mounts), dir+"/")) {
			found = append(found, filepath.Base(process)+" "+strings.ReplaceAll(string(line), "\x00", " "))
		}
	}
	return found
}
