package main

import (
	"time"

	"lifeboat/cmd/internal/config"
	"lifeboat/drill"
	"lifeboat/storage/catalog"
)

// schedulerView is all that the scheduler knows at one moment, for its pages and metrics. Nothing in it changes after it was
// handed out. The zero time means "never" in every field.
type schedulerView struct {
	Now        time.Time
	StaleAfter time.Duration // age from which on what was seen of a cluster proves nothing any more
	Clusters   []clusterView // by name
}

// clusterView is what is known of one cluster.
type clusterView struct {
	Name   string
	Config *config.Cluster

	Seen    time.Time // when the repository was last read
	Trouble string    // why it could not be read since; empty where it could

	Inventory *catalog.Inventory // nil: the repository was never read
	Drills    []drillView        // of the configuration, by name
	Results   []*drill.Result    // the newest, oldest first; without their plans
	Unread    []error            // evidence that cannot be read
}

// drillView is a drill of the configuration.
type drillView struct {
	Name     string
	Config   *config.Drill
	Next     time.Time     // by its schedule; zero: it has none, or it never comes
	Overdue  time.Time     // since when it ought to have run; zero: it is not overdue
	Running  time.Time     // since when; zero: it does not run on this machine
	Last     *drill.Result // nil: it has never run
	Passed   time.Time     // when it last began to end with pass or warn
	Deadline time.Duration
}

// viewedResults is how many results of each cluster a view has.
const viewedResults = 60
