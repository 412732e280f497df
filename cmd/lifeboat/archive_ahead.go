package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"lifeboat/cmd/internal/area"
	"lifeboat/cmd/internal/hooksock"
	"lifeboat/internal/hookwire"
	"lifeboat/internal/wal"
	"lifeboat/restore"
	"lifeboat/restore/ahead"
)

const (
	// aheadFiles and aheadBytes bound the area: so many segments, or fewer where they are large, but one.
	aheadFiles = 8
	aheadBytes = 512 << 20
	// aheadReserve is how many times as much as the area may grow to must be free: the server needs the disk more.
	aheadReserve = 4
	// aheadIdle is how long nobody must have asked for the prefetcher to end.
	aheadIdle = time.Minute
	// aheadTick is how often it looks whether it is still of use.
	aheadTick = time.Second
)

// prefetcher serves the fetch hooks of one recovery, until that has ended or stands still.
type prefetcher struct {
	app     *app
	data    string // the data directory
	place   *area.Area
	config  string // path of the configuration
	info    os.FileInfo
	fetcher *ahead.Fetcher
	use     *lastUse
	stop    context.CancelFunc
}

func (a *app) aheadCommand() *cobra.Command {
	return &cobra.Command{
		Use:    "archive-ahead DIRECTORY NAME",
		Short:  "Fetch the segments after NAME ahead of the recovery of a data directory (archive-get starts this)",
		Hidden: true,
		Args:   cobra.ExactArgs(2),
		RunE: func(c *cobra.Command, operands []string) error {
			if err := a.archiveAhead(c.Context(), operands[0], operands[1]); err != nil {
				a.explain(c.Context(), err)
			}
			return nil // a server that is the first process of its container may take another code for a crash of its own
		},
	}
}

// archiveAhead serves in the data directory's area, unless another process does. Nobody sees its errors: whoever asks
// in vain does the work itself and tells its own.
func (a *app) archiveAhead(ctx context.Context, data, name string) error {
	file, err := wal.ParseFileName(name)
	if err != nil {
		return usagef("%v", err)
	}
	place, err := area.Make(data)
	if errors.Is(err, area.ErrTaken) {
		return nil
	}
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	p := &prefetcher{app: a, data: data, place: place, config: a.settingsPath(), use: newLastUse(a.now), stop: stop}
	return errors.Join(p.run(ctx, file), p.tidy(), place.Remove())
}

// tidy removes what killed hooks have left where PostgreSQL gets its files (RestoreArchivedFile in xlogarchive.c): they
// would do so themselves when they fetch the next one, and that is done here.
func (p *prefetcher) tidy() error {
	directory := filepath.Join(p.data, "pg_wal")
	return errors.Join(restore.RemoveLeftovers(filepath.Join(directory, "RECOVERYXLOG")),
		restore.RemoveLeftovers(filepath.Join(directory, "RECOVERYHISTORY")))
}

func (p *prefetcher) run(ctx context.Context, asked wal.FileName) (err error) {
	if p.info, err = os.Stat(p.config); err != nil {
		return fmt.Errorf("look at the configuration: %w", err)
	}
	s, err := p.app.openKnown(ctx, fetching())
	if err != nil {
		return err
	}
	defer func() { p.app.owed(s).noteAway(s.cluster.Away()) }()
	server, err := hooksock.Listen(p.place.Socket(), hooksock.Options{Log: p.app.log})
	if err != nil {
		return err
	}
	p.fetcher = ahead.New(p.fetching(s))
	p.fetcher.LookAhead(asked)
	var group errgroup.Group
	group.Go(func() error {
		p.watch(ctx)
		return nil
	})
	err = errors.Join(server.Serve(ctx, p.answer), p.fetcher.Close())
	p.stop()
	return errors.Join(err, group.Wait())
}

func (p *prefetcher) fetching(s *scene) ahead.Options {
	size := s.cluster.Identity().WALSegmentSize
	files := max(1, min(aheadFiles, int(aheadBytes/int64(size))))
	return ahead.Options{
		Answer: func(ctx context.Context, name, dest string) (restore.Outcome, error) {
			return restore.Fetch(ctx, s.cluster, name, dest, restore.FetchOptions{Logger: p.app.log})
		},
		Get: func(ctx context.Context, name wal.FileName, path string) error {
			return restore.FetchAhead(ctx, s.cluster, name, path)
		},
		Room:        func() bool { return hasRoom(p.place.Path(), aheadReserve*uint64(files+1)*uint64(size)) },
		SegmentSize: size, Area: p.place.Path(), Files: files, Log: p.app.log,
	}
}

// hasRoom says whether an ordinary user may still write so many bytes to the file system of the path.
func hasRoom(path string, bytes uint64) bool {
	var stat unix.Statfs_t
	err := unix.Statfs(path, &stat)
	return err == nil && stat.Bavail*uint64(stat.Bsize) >= bytes
}

// answer serves one hook. Whatever it cannot serve ends it: the hook does the work itself then, and a new prefetcher that
// it starts knows nothing of what has gone wrong here.
func (p *prefetcher) answer(ctx context.Context, request hookwire.Request) hookwire.Answer {
	defer p.use.begin()()
	if request.Op != hookwire.Fetch || !p.place.IsHand(request.Path) {
		return declined("segments are fetched ahead here, for %s", p.data)
	}
	if !p.knows(request) {
		p.stop()
		return declined("segments are fetched ahead here with another configuration than that of now")
	}
	if err := p.place.Forget(); err != nil {
		p.app.log.Warn("files that killed hooks have left stay", keyError, err)
	}
	ctx, cancel := context.WithTimeout(ctx, fetchDeadline)
	defer cancel()
	outcome, err := p.fetcher.Fetch(ctx, request.Name, request.Path)
	switch outcome {
	case restore.Found:
		return hookwire.Answer{Outcome: hookwire.Done}
	case restore.Absent:
		return hookwire.Answer{Outcome: hookwire.Absent, Detail: err.Error()}
	}
	p.stop()
	return hookwire.Answer{Outcome: hookwire.Failed, Detail: err.Error()}
}

// knows says whether a hook has the configuration and the cluster of this process, and the file is still the same: another
// directory may have taken the place of the one that this process was started for.
func (p *prefetcher) knows(request hookwire.Request) bool {
	info, err := os.Stat(request.Config)
	return err == nil && request.Config == p.config && request.Cluster == p.app.clusterName &&
		os.SameFile(info, p.info) && info.ModTime().Equal(p.info.ModTime()) && info.Size() == p.info.Size()
}

// watch ends the prefetcher when nobody has asked for a while, or the server is gone.
func (p *prefetcher) watch(ctx context.Context) {
	defer p.stop()
	ticker := time.NewTicker(aheadTick)
	defer ticker.Stop()
	for p.use.idle() < aheadIdle && serverRuns(p.data) {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// startAhead starts a prefetcher for the recovery of the directory in which this process runs, as PostgreSQL does, when a
// segment has been fetched. Whether that succeeds concerns nobody: it only makes the next ones come sooner.
func (a *app) startAhead(name, destination string) {
	data, err := unix.Getwd()
	if err != nil {
		return
	}
	file, err := wal.ParseFileName(name)
	if err != nil || file.Kind != wal.Segment || filepath.Dir(destination) != "pg_wal" && filepath.Dir(destination) != filepath.Join(data, "pg_wal") {
		return
	}
	if !serverRuns(data) || area.Taken(data) {
		return
	}
	if err := a.detach(data, name); err != nil {
		a.log.Debug("nothing is fetched ahead", keyError, err)
	}
}
