package main

import (
	"os"

	"lifeboat/cmd/internal/cage"
	"lifeboat/cmd/internal/config"
)

const cgroupRoot = "/sys/fs/cgroup"

// The weights of io.weight that go with the I/O priorities; that of everything else is 100.
const (
	weightBestEffort = 20
	weightIdle       = 1
)

// cageOf are the limits that control groups hold a drill to.
func cageOf(settings *config.Config) cage.Limits {
	return cage.Limits{CPUPercent: float64(settings.Scheduler.CPULimit), Memory: int64(settings.Scheduler.MemoryLimit)}
}

func withWeight(l cage.Limits, p config.IOPriority) cage.Limits {
	switch p {
	case config.IOBestEffort:
		l.IOWeight = weightBestEffort
	case config.IOIdle:
		l.IOWeight = weightIdle
	case config.IONormal:
	}
	return l
}

// confine takes the control groups that the limits need. The weight of I/O is taken where it can be had beside, since
// ioprio_set(2) does something of the kind already. What was asked for and cannot be had is told, here and by a metric.
func (s *scheduler) confine(root string) {
	limits := cageOf(s.settings)
	s.metrics.limits(s.settings, false)
	groups, err := openGroups(root, withWeight(limits, s.settings.Scheduler.IOPriority))
	if err != nil && len(limits.Controllers()) > 0 {
		groups, err = openGroups(root, limits)
	}
	switch {
	case err == nil:
		s.groups = groups
		s.metrics.limits(s.settings, true)
	case len(limits.Controllers()) > 0:
		s.app.log.Error("scheduler.cpu_limit and memory_limit are not in force", keyError, err)
	default:
		s.app.log.Debug("drills have no control groups of their own", keyError, err)
	}
}

func openGroups(root string, limits cage.Limits) (*cage.Groups, error) {
	self, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return nil, err
	}
	own, err := cage.Own(root, string(self))
	if err != nil {
		return nil, err
	}
	return cage.Open(own, os.Getpid(), limits)
}
