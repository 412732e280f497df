package main

import (
	"maps"
	"slices"
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
	Name      string
	Config    *config.Drill
	Next      time.Time     // by its schedule; zero: it has none, or it never comes
	Overdue   time.Time     // since when it ought to have run; zero: it is not overdue
	Running   time.Time     // since when; zero: it does not run on this machine
	Elsewhere bool          // another scheduler is at it
	Last      *drill.Result // nil: it has never run
	Passed    time.Time     // when it last began to end with pass or warn
	Deadline  time.Duration
}

// viewedResults is how many results of each cluster a view has.
const viewedResults = 60

// staleAfter is the age from which on what was seen of a repository proves nothing: some looks have failed.
const staleAfter = 4 * viewInterval

// view is what the scheduler knows now.
func (s *scheduler) view() schedulerView {
	v := schedulerView{Now: s.app.now(), StaleAfter: staleAfter}
	clusters := s.attendedNow()
	for _, name := range slices.Sorted(maps.Keys(clusters)) {
		v.Clusters = append(v.Clusters, clusters[name].view())
	}
	return v
}

func (c *attended) view() clusterView {
	c.mu.Lock()
	v := clusterView{Name: c.name, Config: c.config, Seen: c.seen, Trouble: c.trouble, Inventory: c.inventory}
	c.mu.Unlock()
	v.Results, v.Unread = c.evidence.newest(viewedResults)
	living := c.living()
	planned := map[string]*plannedDrill{}
	for _, d := range c.drills {
		planned[d.name] = d
	}
	for _, name := range slices.Sorted(maps.Keys(c.config.Drills)) {
		v.Drills = append(v.Drills, c.drillView(name, planned[name], living[name]))
	}
	return v
}

// drillView is what is known of a drill. One that was not planned runs by hand only.
func (c *attended) drillView(name string, planned *plannedDrill, living drill.Begun) drillView {
	configured := c.config.Drills[name]
	results := c.evidence.of(name)
	v := drillView{
		Name: name, Config: configured, Running: living.Started, Passed: lastPassed(results), Deadline: time.Duration(configured.Deadline),
	}
	if len(results) > 0 {
		v.Last = results[len(results)-1]
	}
	if planned != nil && c.known() {
		state := c.state(planned)
		v.Next, v.Overdue = state.Next, state.Overdue
		v.Elsewhere = planned.elsewhere(c.app.now())
	}
	return v
}
