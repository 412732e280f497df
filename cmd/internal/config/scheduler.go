package config

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/goccy/go-yaml/ast"
)

// Scheduler is where drills run, and what they may take of the machine.
type Scheduler struct {
	WorkDirectory string `yaml:"work_directory"`
	PostgresBin   string `yaml:"postgres_bin"`
	Listen        string `yaml:"listen"`

	Isolation   Isolation  `yaml:"isolation"`    // of the scratch server from all else
	Parallel    Count      `yaml:"parallel"`     // drills at the same time
	Nice        Nice       `yaml:"nice"`         // of what a drill runs
	IOPriority  IOPriority `yaml:"io_priority"`  // of what a drill runs
	CPULimit    CPUShare   `yaml:"cpu_limit"`    // of one drill; zero: none
	MemoryLimit Size       `yaml:"memory_limit"` // of one drill; zero: none
	DiskLimit   Size       `yaml:"disk_limit"`   // of all scratch directories together; zero: none

	Notify Notify `yaml:"notify"`
}

// DefaultDeadline is how long a drill may take that the configuration gives no deadline.
const DefaultDeadline = Duration(6 * time.Hour)

func defaultScheduler() Scheduler {
	return Scheduler{WorkDirectory: defaultScratch, Listen: "127.0.0.1:9871", Parallel: 1, Nice: 10, IOPriority: IOBestEffort, Notify: Notify{Remind: defaultRemind}}
}

// Count is a whole number above zero.
type Count int

// UnmarshalYAML implements yaml.NodeUnmarshaler.
func (c *Count) UnmarshalYAML(node ast.Node) error {
	return within(node, 1, 1000, "a number from 1 on, such as 2", (*int)(c))
}

// Nice is a scheduling priority as nice(2) has it: 0 is that of everything else, 19 the least.
type Nice int

// UnmarshalYAML implements yaml.NodeUnmarshaler.
func (n *Nice) UnmarshalYAML(node ast.Node) error {
	return within(node, 0, 19, "a number from 0, as everything else, to 19, after everything else", (*int)(n))
}

func within(node ast.Node, least, most int, wanted string, field *int) error {
	value, err := scalar(node)
	if err != nil {
		return err
	}
	number, err := strconv.Atoi(strings.TrimSpace(value))
	if err != nil || number < least || number > most {
		return at(node, fmt.Errorf("%q is not %s", value, wanted))
	}
	*field = number
	return nil
}

// IOPriority is when a drill's reads and writes have their turn, see ioprio_set(2).
type IOPriority string

// The I/O priorities.
const (
	IONormal     IOPriority = "normal"      // as everything else
	IOBestEffort IOPriority = "best effort" // after everything else, but never starved
	IOIdle       IOPriority = "idle"        // when nobody else wants the disk
)

// UnmarshalYAML implements yaml.NodeUnmarshaler.
func (p *IOPriority) UnmarshalYAML(node ast.Node) error {
	value, err := scalar(node)
	if err != nil {
		return err
	}
	switch IOPriority(value) {
	case IONormal, IOBestEffort, IOIdle:
		*p = IOPriority(value)
		return nil
	}
	return at(node, fmt.Errorf("%q is not an I/O priority: write normal, best effort or idle", value))
}

// CPUShare is a share of CPU time in percent of one core: 200% are two.
type CPUShare float64

// UnmarshalYAML implements yaml.NodeUnmarshaler.
func (c *CPUShare) UnmarshalYAML(node ast.Node) error {
	value, err := scalar(node)
	if err != nil {
		return err
	}
	number, found := strings.CutSuffix(strings.TrimSpace(value), "%")
	parsed, err := strconv.ParseFloat(strings.TrimSpace(number), 64)
	if !found || err != nil || !(parsed >= 1 && parsed <= 1e6) {
		return at(node, fmt.Errorf("%q is not a share of CPU time: write percents of one core from 1%% on, such as 200%% for two cores", value))
	}
	*c = CPUShare(parsed)
	return nil
}
