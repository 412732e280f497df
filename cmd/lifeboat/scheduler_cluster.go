package main

import (
	"context"
	"errors"
	"maps"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"lifeboat/cmd/internal/config"
	"lifeboat/cmd/internal/schedule"
	"lifeboat/drill"
	"lifeboat/storage/catalog"
)

// attended is one cluster as the scheduler looks after it, under one configuration.
type attended struct {
	scheduler *scheduler
	app       *app // that the repository is opened in
	settings  *config.Config
	name      string
	config    *config.Cluster
	evidence  *evidenceBook // of the cluster, whatever the configuration
	drills    []*plannedDrill

	stopping context.Context // ends when the scheduler stops
	retired  context.Context // ends then, or when another configuration is in force
	retire   context.CancelFunc

	mu        sync.Mutex
	scene     *scene // nil until the repository is open
	seen      time.Time
	trouble   string
	inventory *catalog.Inventory
}

// plannedDrill is a drill that has a schedule.
type plannedDrill struct {
	name    string
	config  *config.Drill
	busy    sync.Mutex // held while it is attempted
	mu      sync.Mutex
	retryAt time.Time
	heldAt  time.Time // when it was last found to be for somebody else
	retries int
}

func newAttended(ctx context.Context, s *scheduler, settings *config.Config, name string, before *attended) *attended {
	own := *s.app
	own.loaded, own.clusterName = settings, name
	own.log = s.app.log.With(keyCluster, name)
	c := &attended{
		scheduler: s, app: own.unattended(), settings: settings, name: name, config: settings.Clusters[name], evidence: &evidenceBook{},
		stopping: ctx,
	}
	if before != nil {
		c.evidence = before.evidence
	}
	for _, drill := range slices.Sorted(maps.Keys(c.config.Drills)) {
		if configured := c.config.Drills[drill]; configured.Schedule.Schedule != nil {
			c.drills = append(c.drills, &plannedDrill{name: drill, config: configured})
		}
	}
	c.retired, c.retire = context.WithCancel(ctx)
	return c
}

// run looks after the cluster until the scheduler stops or another configuration takes over, and returns when no drill runs
// any more.
func (c *attended) run() {
	defer c.retire()
	c.rememberSights()
	if !c.open() {
		return
	}
	c.look(c.retired)
	var running errgroup.Group
	running.Go(func() error { c.keepLooking(); return nil })
	for pause(c.retired, jobPoll) {
		for _, d := range c.drills {
			c.startIfDue(&running, d)
		}
	}
	_ = running.Wait() // each has told its own error
}

// open opens the repository, which may take until the store is up. It is false where the cluster was retired before.
func (c *attended) open() bool {
	for told := ""; ; {
		opened, err := c.app.openKnown(c.retired, drilling())
		if err == nil {
			c.mu.Lock()
			defer c.mu.Unlock()
			c.scene = opened
			c.app.log.Info("drills run on their schedules", "repository", opened.repository.Location(), "drills", len(c.drills))
			return true
		}
		if c.retired.Err() != nil {
			return false
		}
		c.note(err)
		if err.Error() != told {
			c.app.log.Error("the cluster cannot be drilled", keyError, err, "hint", hintOf(err))
			told = err.Error()
		}
		if !pause(c.retired, openPause) {
			return false
		}
	}
}

// note keeps why the repository could not be read.
func (c *attended) note(err error) {
	c.scheduler.metrics.failed(c.name, err)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.trouble = err.Error()
}

func (c *attended) opened() *scene {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.scene
}

func (c *attended) health() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.scene == nil:
		return "waits for its repository"
	case c.trouble != "":
		return "its repository cannot be read"
	}
	return "drills"
}

// rememberSights notes the drills that are seen for the first time.
func (c *attended) rememberSights() {
	for _, d := range c.drills {
		if _, err := c.firstSight(d); err != nil {
			c.app.log.Warn("a drill that has never run may wait for longer", keyDrill, d.name, keyError, err)
		}
	}
}

func (c *attended) firstSight(d *plannedDrill) (time.Time, error) {
	return c.scheduler.sights.First(c.name, d.name, d.config.Schedule.Value, c.app.now())
}

// state says whether the drill is due, by what is known of its evidence.
func (c *attended) state(d *plannedDrill) schedule.State {
	now := c.app.now()
	first, _ := c.firstSight(d) // that it is not remembered has been told
	base := schedule.Base(runsOf(c.evidence.of(d.name)), first, now)
	return schedule.Judge(d.config.Schedule.Schedule, base.Local(), now) // a schedule without a zone is in the machine's
}

// keepLooking looks into the repository now and then.
func (c *attended) keepLooking() {
	ticker := time.NewTicker(viewInterval)
	defer ticker.Stop()
	for {
		select {
		case <-c.retired.Done():
			return
		case <-ticker.C:
		}
		c.look(c.retired)
	}
}

// look renews what is known of the repository. Where that is not possible the old stays, and its age tells.
func (c *attended) look(ctx context.Context) {
	if !c.drilling() { // whoever runs a drill settles it, and knows more of how it ended
		c.settle(ctx, nil)
	}
	err := c.lookOnce(ctx)
	if err != nil && ctx.Err() == nil {
		c.note(err)
		c.app.log.Warn("the repository cannot be looked at", keyError, err)
	}
}

// drilling says whether this process runs a drill of the cluster.
func (c *attended) drilling() bool {
	return slices.ContainsFunc(c.drills, func(d *plannedDrill) bool {
		free := d.busy.TryLock()
		if free {
			d.busy.Unlock()
		}
		return !free
	})
}

func (c *attended) lookOnce(ctx context.Context) error {
	began := c.app.now()
	cluster := c.opened().cluster
	inventory, err := cluster.Inventory(ctx)
	if err != nil {
		return err
	}
	if err := c.evidence.renew(ctx, cluster, c.drillNames()); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.seen, c.trouble, c.inventory = began, "", inventory
	return nil
}

func (c *attended) drillNames() []string {
	names := make([]string, 0, len(c.drills))
	for _, d := range c.drills {
		names = append(names, d.name)
	}
	return names
}

// finder looks after the drills that have died in the work directory.
func (c *attended) finder() drill.Finder {
	s := c.opened()
	return drill.Finder{
		Repository: s.repository, Cluster: s.cluster, WorkDirectory: c.settings.Scheduler.WorkDirectory,
		Log: c.app.log, Now: c.app.now, ToolVersion: version(),
	}
}

// settle stores the evidence of drills that have died. The one of this process may be among them: then told says how it ended.
// What cannot be settled stays for the next time, and keeps no drill from running.
func (c *attended) settle(ctx context.Context, told func(id string) error) {
	f := c.finder()
	f.Fate = told
	settled, err := f.Settle(ctx)
	for _, r := range settled {
		c.app.log.Warn("a drill has died, and its evidence was stored", keyDrill, r.Drill, keyID, r.ID, keyVerdict, r.Verdict)
	}
	if err != nil && ctx.Err() == nil {
		c.scheduler.metrics.failed(c.name, err)
		c.app.log.Warn("leavings of dead drills stay", keyError, err)
	}
}

// living are the drills of the cluster that run on this machine.
func (c *attended) living() map[string]drill.Begun {
	list, err := drill.Living(filepath.Clean(c.settings.Scheduler.WorkDirectory))
	if err != nil {
		c.app.log.Warn("which drills run is not known", keyError, err)
	}
	living := map[string]drill.Begun{}
	for _, b := range list {
		if b.Cluster == c.name {
			living[b.Drill] = b
		}
	}
	return living
}

var errDrillLives = errors.New("the drill is at work already")
