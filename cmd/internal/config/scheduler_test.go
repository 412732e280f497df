package config

import (
	"testing"
	"time"
)

func TestTheSchedulersLimitsAreRead(t *testing.T) {
	t.Parallel()
	read := func(scheduler, drill string) (Scheduler, *Drill) {
		t.Helper()
		c, err := Parse("f.yaml", []byte("repository: {url: file:///r}\nclusters: {main: {drills: {nightly: {"+drill+"}}}}\nscheduler: {"+scheduler+"}\n"))
		if err != nil {
			t.Fatal(err)
		}
		return c.Scheduler, c.Clusters["main"].Drills["nightly"]
	}
	s, d := read("parallel: 3, nice: 0, io_priority: idle, cpu_limit: 250%, memory_limit: 4GiB, disk_limit: 1TB", "deadline: 4h")
	if s.Parallel != 3 || s.Nice != 0 || s.IOPriority != IOIdle || s.CPULimit != 250 || s.MemoryLimit != 4<<30 || s.DiskLimit != 1e12 {
		t.Errorf("%+v", s)
	}
	if time.Duration(d.Deadline) != 4*time.Hour {
		t.Errorf("deadline: %v", d.Deadline)
	}
	s, d = read("", "")
	if s.Parallel != 1 || s.Nice != 10 || s.IOPriority != IOBestEffort || s.CPULimit != 0 || s.MemoryLimit != 0 || s.DiskLimit != 0 || d.Deadline != DefaultDeadline {
		t.Errorf("by default: %+v, %+v", s, d)
	}
}
