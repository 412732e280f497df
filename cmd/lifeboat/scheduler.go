package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/spf13/cobra"

	"lifeboat/cmd/internal/cage"
	"lifeboat/cmd/internal/config"
	"lifeboat/cmd/internal/schedule"
)

const (
	// drillGrace is how long a drill that has been asked to stop, or whose deadline has come, may take to end its server, clean up
	// and store its evidence, before it is killed.
	drillGrace = 30 * time.Second
	// schedulerGrace is how long the scheduler waits for its drills, and for the evidence of those that it killed.
	schedulerGrace = drillGrace + 30*time.Second
)

func (a *app) schedulerCommand() *cobra.Command {
	var try bool
	c := &cobra.Command{
		Use:   "scheduler",
		Short: "Run the drills of all clusters on their schedules",
		Long: "Runs the drills of all clusters of the configuration, or of the one that --cluster names, when their schedules say so,\n" +
			"and shows a dashboard, metrics and its health on scheduler.listen. Several schedulers may share a repository: each drill that is due\n" +
			"runs once. SIGTERM lets running drills stop and store their evidence; SIGHUP lets it read the configuration anew, and a\n" +
			"bad one is refused. It needs no access to production.",
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if err := a.settleDaemon(c.Flags().Changed("log-level")); err != nil {
				return err
			}
			if try {
				return a.tryNotifications(c.Context())
			}
			return a.scheduler(c.Context())
		},
	}
	c.Flags().BoolVar(&try, "test-notifications", false, "send one message to all whom scheduler.notify names, and end")
	return c
}

// scheduler is the long-running process that drills.
type scheduler struct {
	*daemon
	settings *config.Config // at the start: the address stays as it was
	metrics  *schedulerMetrics
	sights   *schedule.Sights
	program  string // this one, of which each drill is a process
	grace    time.Duration
	groups   *cage.Groups // nil: the limits that need control groups are not in force
	slots    slots
	herald   *herald

	mu       sync.Mutex
	clusters map[string]*attended
}

func (a *app) scheduler(ctx context.Context) error {
	settings, err := a.chosenSettings()
	if err != nil {
		return err
	}
	program, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find the program that drills: %w", err)
	}
	s := &scheduler{
		daemon: a.newDaemon(ctx, "scheduler"), settings: settings, metrics: newSchedulerMetrics(), program: program, grace: drillGrace,
		herald: a.newHerald(settings),
		sights: schedule.NewSights(filepath.Join(settings.StateDirectory.Value, "drills.json")),
	}
	defer s.giveUp()
	return s.run(ctx)
}

// run serves until ctx ends, or until its pages cannot go on.
func (s *scheduler) run(ctx context.Context) error {
	pages, err := s.listen()
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	s.confine(cgroupRoot)
	s.attend(ctx, s.settings)
	s.serve(ctx, stop, "watchdog", func(ctx context.Context) error { return s.notifier.Watchdog(ctx, s.alive) })
	s.tell(s.notifier.Ready("serving"))
	s.app.log.Info("the scheduler serves", "listen", pages.address(), "version", version())
	s.serve(ctx, stop, "show pages", pages.serve)
	s.serve(ctx, stop, "notify", func(ctx context.Context) error { return s.herald.run(ctx, s.inForce) })
	s.loop(ctx, s.reload)
	return s.stop(ctx, schedulerGrace)
}

func (s *scheduler) listen() (*pages, error) {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(s.metrics.registry(s), promhttp.HandlerOpts{}))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { s.showHealth(w, s.health()) })
	return s.listenDashboard(mux)
}

func (s *scheduler) health() []string {
	lines := []string{}
	for name, c := range s.attendedNow() {
		lines = append(lines, "cluster "+name+": "+c.health())
	}
	return lines
}

// reload takes the configuration as it is on disk now, unless that is wrong. Drills that run go on.
func (s *scheduler) reload(ctx context.Context) {
	settings := s.reread()
	if settings == nil {
		return
	}
	if settings.Scheduler.Listen != s.settings.Scheduler.Listen || cageOf(settings) != cageOf(s.settings) {
		s.app.log.Warn("scheduler.listen, cpu_limit, memory_limit and io_priority take effect when the scheduler starts")
	}
	s.attend(ctx, settings)
	s.app.log.Info("the configuration was read anew")
}

// attend looks after the clusters as the settings say, in place of those before.
func (s *scheduler) attend(ctx context.Context, settings *config.Config) {
	s.mu.Lock()
	defer s.mu.Unlock()
	before := s.clusters
	for _, old := range before {
		old.retire()
	}
	s.slots.allow(int(settings.Scheduler.Parallel))
	s.clusters = map[string]*attended{}
	for _, name := range settings.ClusterNames() {
		if !s.looksAfter(name) {
			continue
		}
		c := newAttended(ctx, s, settings, name, before[name])
		s.clusters[name] = c
		s.tasks.Go(func() error {
			c.run()
			return nil
		})
	}
}

// attendedNow are the clusters that are looked after now.
func (s *scheduler) attendedNow() map[string]*attended {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.clusters // never changed, only replaced
}

// slots are how many drills may run at the same time.
type slots struct {
	mu          sync.Mutex
	limit, used int
}

func (s *slots) allow(limit int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.limit = limit
}

// take is false where as many run as may.
func (s *slots) take() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.used >= s.limit {
		return false
	}
	s.used++
	return true
}

func (s *slots) give() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.used--
}
