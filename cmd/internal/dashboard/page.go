// Package dashboard shows on a few read-only pages whether clusters can be recovered. It renders a [Page], a plain value that
// whoever looks into the repositories fills in, and serves it.
//
// What is not known is never shown as good: a cluster that was not looked at for too long, or whose drills are overdue, is
// unproven whatever its last drill said.
package dashboard

import (
	"time"

	"lifeboat/drill"
)

// Page is all that there is to see at one moment. The zero time means "never" in every field.
type Page struct {
	Now        time.Time
	StaleAfter time.Duration // age from which on what was seen of a cluster proves nothing any more
	Version    string
	Trouble    string // of the scheduler itself; empty: none
	Clusters   []Cluster
}

// Cluster is what is known of one cluster.
type Cluster struct {
	Name             string
	SystemIdentifier string

	Seen    time.Time // when its repository was last read
	Trouble string    // why it could not be read since; empty where it could

	Windows  []Window
	Gaps     []Gap
	Backups  []Backup // oldest first
	Problems []string // objects that cannot be understood, findings: each a sentence
	Doubts   []string // what could not be found out: each a sentence
	Drills   []Drill
	Runs     []Run // oldest first
	Unread   int   // drills whose evidence cannot be read

	MaxBackupAge time.Duration // the newest backup's promised age; 0: none
	WarnAt       float64       // percent of a promise from which on a drill warns; 0: not known
}

// Window is a stretch of time on one timeline every moment of which can be reached.
type Window struct {
	Timeline       uint32
	From, To       time.Time
	FromLSN, ToLSN string
}

// Gap is WAL that is missing.
type Gap struct {
	Timeline       uint32
	FromLSN, ToLSN string
	Since          time.Time // when it was noted; zero: only the hole shows it
	Why            string    // empty: unknown
	Mended         bool      // a backup was made behind it
}

// Backup is one base backup.
type Backup struct {
	Label, Type   string
	Finished      time.Time
	ClusterBytes  int64
	StoredBytes   int64
	DamagedPages  int
	Timeline      uint32
	ConsistentLSN string
}

// Drill is a drill of the configuration.
type Drill struct {
	Name, To string
	Schedule string    // as it is written; empty: runs by hand only
	Next     time.Time // by its schedule
	Running  time.Time // since when, on this machine; zero: it does not
	Due      time.Time // since when it ought to have begun; zero: it is not due
	Awaited  bool      // another scheduler is at it
	Last     *Run      // nil: it has never run
}

// Run is a drill that has run.
type Run struct {
	ID, Drill string
	Verdict   drill.Verdict
	Started   time.Time
	Took      time.Duration
	Target    string
	Rows      string
	Why       []string // what did not pass

	RestoredIn time.Duration // 0: the target was not reached
	Restore    Promise       // of the restore time
	Lost       Promise       // of the recovery point
}

// Promise is a documented target with what a drill measured.
type Promise struct {
	Measured    bool // false: it says nothing
	Target      string
	Actual      string
	UsedPercent float64
	Result      drill.Verdict
}

// patience is how long a drill that is due may wait for another one to end.
const patience = time.Hour

// Overdue says that the drill ought to run, and neither does nor is waiting its turn.
func (d *Drill) Overdue(now time.Time) bool {
	return !d.Due.IsZero() && now.Sub(d.Due) > patience && d.Running.IsZero() && !d.Awaited
}

// Cluster returns the cluster called name, or nil.
func (p *Page) Cluster(name string) *Cluster {
	for i := range p.Clusters {
		if p.Clusters[i].Name == name {
			return &p.Clusters[i]
		}
	}
	return nil
}

func (c *Cluster) newestBackup() *Backup {
	if len(c.Backups) == 0 {
		return nil
	}
	newest := &c.Backups[0]
	for i := range c.Backups {
		if c.Backups[i].Finished.After(newest.Finished) {
			newest = &c.Backups[i]
		}
	}
	return newest
}
