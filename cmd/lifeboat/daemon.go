package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"runtime/debug"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"lifeboat/cmd/internal/config"
	"lifeboat/cmd/internal/notify"
)

const (
	// collectAfter is by how much memory may grow, in percent, before what is no longer used is collected. Nearly all of it
	// is buffers, which cost nothing to look through.
	collectAfter = 25
	// beatInterval is how often the main loop shows that it goes round.
	beatInterval = time.Second
	// deadAfter is the age of a beat from which on the main loop counts as stuck.
	deadAfter = 15 * time.Second
)

// daemon is what the long-running processes have in common: readiness, a main loop that shows that it lives, a
// configuration that is read anew when asked, and an end that lets what is under way finish.
type daemon struct {
	app      *app
	name     string // as its log says it
	notifier *notify.Notifier
	reloads  <-chan os.Signal
	reloaded *reloadMetrics

	// work is the context of what is under way: it outlives the request to stop by the grace.
	work   context.Context
	giveUp context.CancelFunc
	tasks  errgroup.Group
	beat   atomic.Int64 // of the main loop, in nanoseconds
}

// newDaemon makes this process a daemon. Its giveUp must be called at the end.
func (a *app) newDaemon(ctx context.Context, name string) *daemon {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(collectAfter)
	}
	// The other commands stop when their terminal goes away; this one has none.
	signal.Reset(syscall.SIGHUP)
	reload := make(chan os.Signal, 1)
	signal.Notify(reload, syscall.SIGHUP)
	d := &daemon{app: a, name: name, notifier: notify.New(os.Getenv, os.Getpid()), reloads: reload, reloaded: newReloadMetrics()}
	d.work, d.giveUp = context.WithCancel(context.WithoutCancel(ctx))
	return d
}

// settleDaemon checks the global flags of a daemon, whose log tells more than that of a command.
func (a *app) settleDaemon(levelGiven bool) error {
	if !levelGiven {
		a.logLevel = "info"
	}
	return a.settle()
}

// chosenSettings is the configuration, which must know the cluster that the flags name.
func (a *app) chosenSettings() (*config.Config, error) {
	settings, err := a.settings()
	if err == nil && a.clusterName != "" {
		_, _, err = settings.Cluster(a.clusterName)
	}
	return settings, err
}

// serve runs a part of the daemon until ctx ends. An error of it ends the daemon, by stop.
func (d *daemon) serve(ctx context.Context, stop context.CancelCauseFunc, name string, what func(context.Context) error) {
	d.tasks.Go(func() error {
		if err := what(ctx); err != nil {
			stop(fmt.Errorf("%s: %w", name, err))
		}
		return nil
	})
}

// loop is the main loop: it beats, and calls renew when the configuration is to be read anew.
func (d *daemon) loop(ctx context.Context, renew func(context.Context)) {
	ticker := time.NewTicker(beatInterval)
	defer ticker.Stop()
	for {
		d.beat.Store(d.app.now().UnixNano())
		select {
		case <-ctx.Done():
			return
		case <-d.reloads:
			renew(ctx)
		case <-ticker.C:
		}
	}
}

func (d *daemon) alive() bool {
	return d.app.now().Sub(time.Unix(0, d.beat.Load())).Abs() < deadAfter
}

// stop waits for what is under way, at most as long as the grace.
func (d *daemon) stop(ctx context.Context, grace time.Duration) error {
	d.tell(d.notifier.Stopping())
	d.app.log.Info("the " + d.name + " stops")
	timer := time.AfterFunc(grace, d.giveUp)
	defer timer.Stop()
	_ = d.tasks.Wait() // each task has told its own error
	if cause := context.Cause(ctx); !errors.Is(cause, context.Canceled) {
		return cause
	}
	return nil
}

// reread takes the configuration as it is on disk now, and is nil where that is wrong: the old one stays.
func (d *daemon) reread() *config.Config {
	d.tell(d.notifier.Reloading())
	defer func() { d.tell(d.notifier.Ready("serving")) }()
	fresh := *d.app
	fresh.loaded = nil
	settings, err := fresh.chosenSettings()
	d.reloaded.note(err == nil, d.app.now())
	if err != nil {
		d.app.log.Error("the new configuration is refused, and the old one stays", keyError, err)
		return nil
	}
	return settings
}

// looksAfter says whether a cluster of the configuration is this daemon's affair.
func (d *daemon) looksAfter(cluster string) bool {
	return d.app.clusterName == "" || d.app.clusterName == cluster
}

func (d *daemon) tell(err error) {
	if err != nil {
		d.app.log.Warn("the service manager does not hear", keyError, err)
	}
}
