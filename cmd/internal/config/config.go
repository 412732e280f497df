// Package config reads Lifeboat's configuration file: YAML, decoded strictly, with every mistake named by line and
// column. The other packages take plain options; only the commands know this file.
package config

import (
	"time"

	"github.com/robfig/cron/v3"
)

// Config is the whole file.
type Config struct {
	Repository Repository          `yaml:"repository"`
	Clusters   map[string]*Cluster `yaml:"clusters"`

	// Repositories are several places that each hold a copy, the nearest first, in place of Repository, which then is
	// the nearest one of them.
	Repositories []*Repository `yaml:"repositories"`

	Agent     Agent     `yaml:"agent"`
	Scheduler Scheduler `yaml:"scheduler"`

	// StateDirectory is where this machine remembers what it has seen of the repository. It may be lost without harm.
	StateDirectory Text `yaml:"state_directory"`

	// Path is the absolute path of the file it was read from.
	Path string `yaml:"-"`
}

// Cluster is one PostgreSQL cluster: its server, its schedules and its documented targets.
type Cluster struct {
	Repositories  []Text            `yaml:"repositories"` // names, the nearest first; all where empty
	Connection    string            `yaml:"connection"`
	DataDirectory string            `yaml:"data_directory"`
	WAL           WAL               `yaml:"wal"`
	Backup        Backup            `yaml:"backup"`
	Retention     Retention         `yaml:"retention"`
	Census        Census            `yaml:"census"`
	Heartbeat     Heartbeat         `yaml:"heartbeat"`
	Verify        Verify            `yaml:"verify"`
	Drills        map[string]*Drill `yaml:"drills"`
	Targets       Targets           `yaml:"targets"`
	Policy        Policy            `yaml:"policy"`
}

// WAL says how WAL reaches the repository.
type WAL struct {
	Stream   bool     `yaml:"stream"`
	Copies   int      `yaml:"copies"` // in how many repositories a file must be durable before it counts as archived
	Interval Duration `yaml:"interval"`

	// Of streaming: where WAL must be before the server is told that it is durable, and how many bytes may wait for the
	// repository on this machine.
	Durable     Durable     `yaml:"durable"`
	SpoolLimit  Size        `yaml:"spool_limit"`
	Compression Compression `yaml:"compression"`
}

// Backup is the schedule of base backups.
type Backup struct {
	Schedule  Schedule `yaml:"schedule"`
	FullEvery Duration `yaml:"full_every"`
}

// Retention says what expiry keeps, and when the agent runs it.
type Retention struct {
	Keep         Duration `yaml:"keep"`
	MinimumFull  int      `yaml:"minimum_full"`
	KeepEvidence Duration `yaml:"keep_evidence"` // of drills; for ever where it is left out
	KeepDumps    Duration `yaml:"keep_dumps"`    // that drills made; as long as Keep where it is left out
	Schedule     Schedule `yaml:"schedule"`      // after each backup of the agent where it is left out
}

// Census is the schedule of censuses, and up to which size a table is read.
type Census struct {
	Schedule        Schedule `yaml:"schedule"`
	FingerprintUpTo Size     `yaml:"fingerprint_up_to"` // of a larger table so much is fingerprinted, and no more
	CountUpTo       Size     `yaml:"count_up_to"`       // a larger table is counted in that part only
}

// Heartbeat says how often the agent makes a small commit and looks for it in the repository: never where it is zero.
type Heartbeat struct {
	Interval Duration `yaml:"interval"`
}

// Drill is one named drill: when it runs and to which target.
type Drill struct {
	Schedule Schedule `yaml:"schedule"`
	To       Text     `yaml:"to"`
	Deadline Duration `yaml:"deadline"` // DefaultDeadline where it is left out
	Policy   Policy   `yaml:"policy"`   // what differs from the cluster's
	Timeline Timeline `yaml:"timeline"`
	Dump     Dump     `yaml:"dump"`
}

// Targets are the documented promises that drills measure against.
type Targets struct {
	Rows               Percent  `yaml:"rows"`
	RestorePerTerabyte Duration `yaml:"restore_per_terabyte"`
	RPO                Duration `yaml:"rpo"`
	WarnAt             Percent  `yaml:"warn_at"`
}

// Agent is where the agent listens.
type Agent struct {
	Socket string `yaml:"socket"`
	Listen string `yaml:"listen"`
}

// DefaultSocket is where hooks ask that are not told otherwise.
const DefaultSocket = "/run/lifeboat/agent.sock"

// The targets of the runbook: rows within 1 %, 1 TB restored in 2 h, at most 60 s lost, a warning from 70 % on.
const (
	defaultRows       = Percent(1)
	defaultPerTB      = Duration(2 * time.Hour)
	defaultRPO        = Duration(60 * time.Second)
	defaultRPOStream  = Duration(5 * time.Second)
	defaultWarnAt     = Percent(70)
	defaultInterval   = Duration(time.Second)
	defaultSpoolLimit = Size(10 << 30)
	defaultScratch    = "/var/lib/lifeboat/scratch"
	defaultState      = "/var/lib/lifeboat/state"
	defaultMinimum    = 2
	defaultKeep       = Duration(14 * 24 * time.Hour)
	quarterlySchedule = "0 6 1 1,4,7,10 *"
)

func defaults() *Config {
	return &Config{
		Agent:     Agent{Socket: DefaultSocket, Listen: "127.0.0.1:9870"},
		Scheduler: defaultScheduler(),

		StateDirectory: Text{Value: defaultState},
	}
}

// fill sets what a cluster left out to the documented default.
func (c *Cluster) fill() {
	setDefault(&c.WAL.Interval, defaultInterval)
	setDefault(&c.WAL.Copies, 1)
	setDefault(&c.WAL.SpoolLimit, defaultSpoolLimit)
	setDefault(&c.WAL.Compression, Zstd)
	setDefault(&c.Retention.Keep, defaultKeep)
	setDefault(&c.Retention.MinimumFull, defaultMinimum)
	setDefault(&c.Verify.AssertionTimeout, defaultAssertionTimeout)
	setDefault(&c.Targets.Rows, defaultRows)
	setDefault(&c.Targets.RestorePerTerabyte, defaultPerTB)
	setDefault(&c.Targets.WarnAt, defaultWarnAt)
	rpo := defaultRPO
	if c.WAL.Stream {
		rpo = defaultRPOStream
	}
	setDefault(&c.Targets.RPO, rpo)
	c.fillDrills()
}

// fillDrills adds the two built-in drills where the file does not define drills of these names.
func (c *Cluster) fillDrills() {
	if c.Drills == nil {
		c.Drills = map[string]*Drill{}
	}
	builtin := map[string]*Drill{
		"nightly":   {To: Text{Value: "latest"}},
		"quarterly": {To: Text{Value: "1h ago"}, Schedule: builtinSchedule(quarterlySchedule)},
	}
	for name, d := range builtin {
		if c.Drills[name] == nil {
			c.Drills[name] = d
		}
	}
	for _, d := range c.Drills {
		if d.To.Value == "" {
			d.To.Value = "latest"
		}
		setDefault(&d.Deadline, DefaultDeadline)
	}
}

// builtinSchedule is a schedule that no file names. A line that is none would never come; a test sees to that.
func builtinSchedule(line string) Schedule {
	parsed, err := cron.ParseStandard(line)
	if err != nil {
		return Schedule{}
	}
	return Schedule{Text: Text{Value: line}, Schedule: parsed}
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}
