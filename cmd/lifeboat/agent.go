package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"lifeboat/cmd/internal/config"
	"lifeboat/cmd/internal/hooksock"
	"lifeboat/cmd/internal/notify"
)

const (
	// collectAfter is by how much memory may grow, in percent, before what is no longer used is collected. Nearly all of it
	// is buffers, which cost nothing to look through.
	collectAfter = 25
	// stopGrace is how long what is under way may take when the agent is asked to stop.
	stopGrace = 30 * time.Second
	// beatInterval is how often the main loop shows that it goes round.
	beatInterval = time.Second
	// deadAfter is the age of a beat from which on the main loop counts as stuck.
	deadAfter = 15 * time.Second
)

func (a *app) agentCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "agent",
		Short: "Run beside a server: archive its WAL ahead of being asked, and make its scheduled backups and censuses, and expire",
		Long: "Answers the hooks of all clusters of the configuration, or of the one that --cluster names, on the socket\n" +
			"agent.socket, and shows metrics and its health on agent.listen. SIGTERM lets it finish what is under way\n" +
			"within 30 seconds; SIGHUP lets it read the configuration anew, and a bad one is refused. Run it as the user\n" +
			"that owns the data directory.",
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if !c.Flags().Changed("log-level") {
				a.logLevel = "info"
			}
			if err := a.settle(); err != nil {
				return err
			}
			return a.agent(c.Context())
		},
	}
}

// agent is the long-running process beside a server.
type agent struct {
	app      *app
	settings *config.Config // at the start: socket and address stay as they were
	notifier *notify.Notifier
	metrics  *agentMetrics

	// work is the context of what is under way: it outlives the request to stop by the grace.
	work  context.Context
	tasks errgroup.Group
	beat  atomic.Int64 // of the main loop, in nanoseconds

	mu       sync.Mutex
	clusters map[string]*tended
	config   string // path of the configuration in force
}

func (a *app) agent(ctx context.Context) error {
	settings, err := a.settings()
	if err != nil {
		return err
	}
	if a.clusterName != "" {
		if _, _, err := settings.Cluster(a.clusterName); err != nil {
			return err
		}
	}
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(collectAfter)
	}
	// The other commands stop when their terminal goes away; this one has none.
	signal.Reset(syscall.SIGHUP)
	reload := make(chan os.Signal, 1)
	signal.Notify(reload, syscall.SIGHUP)
	work, giveUp := context.WithCancel(context.WithoutCancel(ctx))
	defer giveUp()
	g := &agent{app: a, settings: settings, work: work, notifier: notify.New(os.Getenv, os.Getpid()), metrics: newAgentMetrics()}
	return g.run(ctx, reload, giveUp)
}

// run serves until ctx ends, or until one of the servers cannot go on.
func (g *agent) run(ctx context.Context, reload <-chan os.Signal, giveUp func()) error {
	hooks, err := hooksock.Listen(g.settings.Agent.Socket, hooksock.Options{Allow: g.allows, Log: g.app.log})
	if err != nil {
		return err
	}
	pages, err := g.listen()
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	g.tend(ctx, g.settings)
	serve := func(name string, what func(context.Context) error) {
		g.tasks.Go(func() error {
			if err := what(ctx); err != nil {
				stop(fmt.Errorf("%s: %w", name, err))
			}
			return nil
		})
	}
	serve("answer hooks", func(ctx context.Context) error { return hooks.Serve(ctx, g.answer) })
	serve("watchdog", func(ctx context.Context) error { return g.notifier.Watchdog(ctx, g.alive) })
	g.tell(g.notifier.Ready("serving"))
	g.app.log.Info("the agent serves", "socket", g.settings.Agent.Socket, "listen", pages.address(), "version", version())
	serve("show metrics", pages.serve)
	g.loop(ctx, reload)
	return g.stop(ctx, giveUp)
}

// loop is the main loop: it beats, and reads the configuration anew when asked.
func (g *agent) loop(ctx context.Context, reload <-chan os.Signal) {
	ticker := time.NewTicker(beatInterval)
	defer ticker.Stop()
	for {
		g.beat.Store(g.app.now().UnixNano())
		select {
		case <-ctx.Done():
			return
		case <-reload:
			g.reload(ctx)
		case <-ticker.C:
		}
	}
}

func (g *agent) alive() bool {
	return g.app.now().Sub(time.Unix(0, g.beat.Load())).Abs() < deadAfter
}

// stop waits for what is under way, at most as long as the grace.
func (g *agent) stop(ctx context.Context, giveUp func()) error {
	g.tell(g.notifier.Stopping())
	g.app.log.Info("the agent stops")
	timer := time.AfterFunc(stopGrace, giveUp)
	defer timer.Stop()
	_ = g.tasks.Wait() // each task has told its own error
	if cause := context.Cause(ctx); !errors.Is(cause, context.Canceled) {
		return cause
	}
	return nil
}

// reload takes the configuration as it is on disk now. One that is wrong is refused, and the old one stays.
func (g *agent) reload(ctx context.Context) {
	g.tell(g.notifier.Reloading())
	defer func() { g.tell(g.notifier.Ready("serving")) }()
	fresh := *g.app
	fresh.loaded = nil
	settings, err := fresh.settings()
	if err == nil && g.app.clusterName != "" {
		_, _, err = settings.Cluster(g.app.clusterName)
	}
	g.metrics.reloaded(err == nil, g.app.now())
	if err != nil {
		g.app.log.Error("the new configuration is refused, and the old one stays", keyError, err)
		return
	}
	if settings.Agent != g.settings.Agent {
		g.app.log.Warn("agent.socket and agent.listen take effect when the agent starts")
	}
	g.tend(ctx, settings)
	g.app.log.Info("the configuration was read anew")
}

// tend looks after the clusters as the settings say, in place of those before. What is under way there comes to its end.
func (g *agent) tend(ctx context.Context, settings *config.Config) {
	g.mu.Lock()
	defer g.mu.Unlock()
	before := g.clusters
	for _, old := range before {
		old.retire()
	}
	g.clusters, g.config = map[string]*tended{}, settings.Path
	for _, name := range settings.ClusterNames() {
		if g.app.clusterName != "" && name != g.app.clusterName {
			continue
		}
		t := newTended(g, settings, name, before[name])
		g.clusters[name] = t
		g.tasks.Go(func() error {
			t.run(ctx)
			return nil
		})
	}
}

// tendedNow are the clusters that are looked after now.
func (g *agent) tendedNow() map[string]*tended {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.clusters // never changed, only replaced
}

func (g *agent) tell(err error) {
	if err != nil {
		g.app.log.Warn("the service manager does not hear", keyError, err)
	}
}
