package main

import (
	"context"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"lifeboat/cmd/internal/config"
	"lifeboat/cmd/internal/hooksock"
)

// stopGrace is how long what is under way may take when the agent is asked to stop.
const stopGrace = 30 * time.Second

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
			if err := a.settleDaemon(c.Flags().Changed("log-level")); err != nil {
				return err
			}
			return a.agent(c.Context())
		},
	}
}

// agent is the long-running process beside a server.
type agent struct {
	*daemon
	settings *config.Config // at the start: socket and address stay as they were
	metrics  *agentMetrics

	mu       sync.Mutex
	clusters map[string]*tended
	config   string // path of the configuration in force
}

func (a *app) agent(ctx context.Context) error {
	settings, err := a.chosenSettings()
	if err != nil {
		return err
	}
	g := &agent{daemon: a.newDaemon(ctx, "agent"), settings: settings, metrics: newAgentMetrics()}
	defer g.giveUp()
	return g.run(ctx)
}

// run serves until ctx ends, or until one of the servers cannot go on.
func (g *agent) run(ctx context.Context) error {
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
	g.serve(ctx, stop, "answer hooks", func(ctx context.Context) error { return hooks.Serve(ctx, g.answer) })
	g.serve(ctx, stop, "watchdog", func(ctx context.Context) error { return g.notifier.Watchdog(ctx, g.alive) })
	g.tell(g.notifier.Ready("serving"))
	g.app.log.Info("the agent serves", "socket", g.settings.Agent.Socket, "listen", pages.address(), "version", version())
	g.serve(ctx, stop, "show metrics", pages.serve)
	g.loop(ctx, g.reload)
	return g.stop(ctx, stopGrace)
}

// reload takes the configuration as it is on disk now, unless that is wrong.
func (g *agent) reload(ctx context.Context) {
	settings := g.reread()
	if settings == nil {
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
		if !g.looksAfter(name) {
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
