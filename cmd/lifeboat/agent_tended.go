package main

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"lifeboat/archive"
	"lifeboat/archive/ship"
	"lifeboat/archive/stream"
	"lifeboat/cmd/internal/config"
)

// The keys of the agent's log lines.
const (
	keyCluster = "cluster"
	keyError   = "error"
	keyFile    = "file"
	keyJob     = "job"
	keyLSN     = "lsn"

	keyRepository = "repository"
)

const (
	// openPause is how long the agent waits before it tries again to open a repository, or to find a data directory.
	openPause = 5 * time.Second
	// payInterval is how soon a repository gets what it is owed once a push has found it back.
	payInterval = 10 * time.Second
	// payUnasked is how often that is tried although no push has: an idle server pushes nothing.
	payUnasked = time.Minute
)

// tended is one cluster as the agent looks after it, under one configuration.
type tended struct {
	agent    *agent
	app      *app // that commands run in
	settings *config.Config
	name     string
	config   *config.Cluster
	counts   *counts // of the cluster, whatever the configuration

	retired context.Context // ends when another configuration is in force, or the agent stops
	retire  context.CancelFunc
	before  turns // of the one that this one replaces
	turns   turns

	watch watch
	view  view
	pulse heartbeat

	evidence evidenceBook
	shop     atomic.Pointer[shop]            // nil until the repository is open and the data directory known
	flow     atomic.Pointer[stream.Receiver] // nil while no WAL is received
	owing    atomic.Bool                     // a push has found all repositories there again

	lostWAL atomic.Bool // a gap was entered into the ledger
	emptied bool        // the repository has all of the spool; of the goroutine that receives
}

// turns tell the next one under another configuration when to begin what only one may do at a time.
type turns struct {
	worked   chan struct{} // closed when no job runs any more
	streamed chan struct{} // closed when no WAL is received any more
}

func newTurns() turns { return turns{worked: make(chan struct{}), streamed: make(chan struct{})} }

// over is true of a turn that is over.
func over(turn <-chan struct{}) bool {
	select {
	case <-turn:
		return true
	default:
		return false
	}
}

// overTurns are those of nobody.
func overTurns() turns {
	t := newTurns()
	close(t.worked)
	close(t.streamed)
	return t
}

// shop is what it takes to archive.
type shop struct {
	scene     *scene
	directory string // data directory
	intake    *archive.Intake
	shipper   *ship.Shipper
}

func newTended(g *agent, settings *config.Config, name string, before *tended) *tended {
	own := *g.app
	own.loaded, own.clusterName = settings, name
	own.log = g.app.log.With(keyCluster, name)
	t := &tended{
		agent: g, app: own.unattended(), settings: settings, name: name, config: settings.Clusters[name], before: overTurns(),
		counts: g.metrics.cluster(name), turns: newTurns(),
	}
	if before != nil {
		t.before = before.turns
	}
	t.retired, t.retire = context.WithCancel(context.Background())
	return t
}

// run looks after the cluster until the agent stops or another configuration takes over, and returns when nothing is
// under way any more.
func (t *tended) run(ctx context.Context) {
	stop := context.AfterFunc(ctx, t.retire)
	defer stop()
	defer t.retire()
	var group errgroup.Group
	group.Go(func() error { t.watch.run(t.retired, t); return nil })
	opened := t.open()
	if !opened {
		close(t.turns.worked)
		close(t.turns.streamed)
	}
	if opened {
		tasks := []func(context.Context){t.payOwed, t.keepView, t.keepFilled, t.keepSynced, t.runJobs, t.stream, t.beats, t.readBeats}
		for _, task := range tasks {
			group.Go(func() error { task(t.retired); return nil })
		}
		<-t.retired.Done()
		t.shop.Load().shipper.Close(t.agent.work)
	}
	_ = group.Wait() // the tasks have told their errors
}

// open opens the repository and finds the data directory, which may take until the store and the server are up. It is
// false where the cluster was retired before.
func (t *tended) open() bool {
	for told := ""; ; {
		s, err := t.openOnce()
		if err == nil {
			t.shop.Store(s)
			t.app.log.Info("archiving goes through the agent", "repository", s.scene.repository.Location())
			return true
		}
		if t.retired.Err() != nil {
			return false
		}
		t.counts.failed(err)
		if err.Error() != told {
			t.app.log.Error("the agent is not ready: hooks work by themselves", keyError, err, "hint", hintOf(err))
			told = err.Error()
		}
		if !pause(t.retired, openPause) {
			return false
		}
	}
}

func (t *tended) openOnce() (*shop, error) {
	s, err := t.app.openKnown(t.retired, pushing())
	if err != nil {
		return nil, err
	}
	directory := t.directory()
	if directory == "" {
		if over(t.before.streamed) {
			t.emptySpool(t.retired, &shop{scene: s})
		}
		return nil, errors.New("the data directory is not known before the server answers: name it as data_directory")
	}
	opened := &shop{scene: s, directory: directory, intake: archive.NewIntake(s.cluster.Identity().WALSegmentSize)}
	opened.shipper = ship.New(ship.Options{
		Push: func(ctx context.Context, path string) error { return t.push(ctx, opened, path) }, DataDirectory: directory,
		Clock: t.app.now, Log: t.app.log,
	})
	return opened, nil
}

// directory is the configured data directory, or what the server has said; empty as long as nothing is known.
func (t *tended) directory() string {
	if t.config.DataDirectory != "" {
		return t.config.DataDirectory
	}
	return t.watch.now().directory
}

// push makes a file durable in as many repositories as the configuration asks for.
func (t *tended) push(ctx context.Context, in *shop, path string) error {
	result, err := t.store(ctx, in, path, "")
	t.counts.pushed(result, err)
	if err != nil {
		return err
	}
	t.noteCopies(in.scene, result)
	return nil
}

// store is archive.Push, once for the file that both streaming and a hook bring. The data directory is that of a file which
// does not lie in its pg_wal.
func (t *tended) store(ctx context.Context, in *shop, path, dataDirectory string) (archive.PushResult, error) {
	return archive.Push(ctx, in.scene.cluster, path, archive.PushOptions{
		Clock: t.app.now, Store: t.app.storeOptions(in.scene), DataDirectory: dataDirectory, Intake: in.intake,
	})
}

// noteCopies notes what repositories that were away are owed.
func (t *tended) noteCopies(s *scene, result archive.PushResult) {
	if len(s.copies) == 0 || len(result.Copies) == 0 {
		return
	}
	t.app.owed(s).note(result.Name, result.Copies)
	if allThere(result.Copies) {
		t.owing.Store(true)
	}
}

// payOwed brings repositories that are back all that they are owed, out of the way of the hooks.
func (t *tended) payOwed(ctx context.Context) {
	tried := t.app.now()
	for pause(ctx, payInterval) {
		if !t.owing.Swap(false) && t.app.now().Sub(tried).Abs() < payUnasked {
			continue
		}
		tried = t.app.now()
		for t.app.pay(ctx, t.shop.Load().scene) {
			tried = t.app.now()
		}
	}
}

// pause is false when ctx ended first.
func pause(ctx context.Context, length time.Duration) bool {
	timer := time.NewTimer(length)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}
