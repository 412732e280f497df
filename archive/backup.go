package archive

import (
	"context"
	"fmt"
	"hash/crc32"
	"log/slog"
	"runtime"
	"time"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"

	"lifeboat/internal/control"
	"lifeboat/storage/catalog"
)

const (
	defaultWALTimeout = 10 * time.Minute
	cleanTimeout      = time.Minute // for removing the leavings of a failed backup
	maxWorkers        = 8           // by default
)

// BackupOptions say what to back up, and how.
type BackupOptions struct {
	Cluster       *catalog.Cluster
	Connect       func(context.Context) (*pgx.Conn, error) // to any database of the server; called once
	DataDirectory string                                   // empty: the server is asked
	Label         string                                   // of the backup; empty: a new one
	Host          string                                   // where this runs, for people
	Tool          string                                   // name and version of this program, for the record
	Workers       int                                      // files read at the same time; below one: by the number of processors
	// FastCheckpoint makes the server's checkpoint at the start as fast as it can; otherwise it takes the time that
	// checkpoint_completion_target gives it, and disturbs less.
	FastCheckpoint bool
	WALTimeout     time.Duration // how long to wait for each segment of WAL; zero: ten minutes
	Progress       Progress      // may be nil
	Logger         *slog.Logger
	Clock          func() time.Time
}

func (o BackupOptions) withDefaults() BackupOptions {
	if o.Workers < 1 {
		o.Workers = min(maxWorkers, max(2, runtime.NumCPU()))
	}
	if o.WALTimeout == 0 {
		o.WALTimeout = defaultWALTimeout
	}
	if o.Label == "" {
		o.Label = catalog.NewLabel(o.Clock(), typeFull)
	}
	return o
}

// typeFull is the type of a backup that holds every file.
const typeFull = "full"

// Backup takes a full base backup of a running primary by reading its data directory, and returns the backup's record.
// When it returns nil, all of the backup is durable, its record too, and all the WAL that it needs is in the
// repository, read back and verified. Otherwise there is no record, and what was stored is removed as far as possible;
// the next backup removes the rest.
//
// One session on the server lasts from start to stop; if it is lost, so is the backup. It holds a lock, so that a
// cluster has one backup at a time. Memory does not grow with the cluster.
//
// Damaged pages do not end the backup: they are listed in its record and logged. Mistakes that the operator mends are
// *OperatorError.
func Backup(ctx context.Context, options BackupOptions) (catalog.Record, error) {
	b := &baseBackup{BackupOptions: options.withDefaults(), progress: newTracker(options.Progress)}
	b.progress.phase(PhaseConnect)
	var err error
	if b.session, err = openSession(ctx, b.Connect); err != nil {
		return catalog.Record{}, err
	}
	defer b.session.close(ctx)
	if err := b.prepare(ctx); err != nil {
		return catalog.Record{}, err
	}
	if err := b.take(ctx); err != nil {
		return catalog.Record{}, fmt.Errorf("backup %s: %w", b.Label, err)
	}
	return b.record, nil
}

// baseBackup is one backup on its way.
type baseBackup struct {
	BackupOptions
	session     *session
	progress    *tracker
	server      serverFacts
	control     control.Control
	tablespaces []tablespace
	names       map[uint32]string // of tablespaces
	writer      *catalog.BackupWriter
	manifest    *manifestSpool
	stopped     backupStop
	record      catalog.Record
}

// prepare checks all that can be checked beforehand, takes the lock, and removes what dead backups left.
func (b *baseBackup) prepare(ctx context.Context) error {
	if err := b.checkServer(ctx); err != nil {
		return err
	}
	if err := b.checkDirectory(ctx); err != nil {
		return err
	}
	if err := b.session.lock(ctx); err != nil {
		return err
	}
	return b.removeLeavings(ctx)
}

// removeLeavings deletes backups that were started and have no record. The lock says that nobody works on them.
func (b *baseBackup) removeLeavings(ctx context.Context) error {
	inventory, err := b.Cluster.Inventory(ctx)
	if err != nil {
		return fmt.Errorf("look for unfinished backups: %w", err)
	}
	if len(inventory.Unreached) > 0 {
		b.Logger.Warn("unfinished backups are left, since a repository that may have their records cannot be reached", "repositories", inventory.Unreached)
		return nil
	}
	for _, label := range inventory.Unfinished {
		b.Logger.Info("removing an unfinished backup", "label", label)
		if err := b.Cluster.RemoveUnfinished(ctx, label); err != nil {
			return fmt.Errorf("remove unfinished backup %s: %w", label, err)
		}
	}
	return nil
}

// take runs the backup from its start on the server to its record.
func (b *baseBackup) take(ctx context.Context) error {
	scan, err := b.start(ctx)
	if err != nil {
		return err
	}
	b.writer, err = b.Cluster.StartBackup(ctx, catalog.StartedBackup{
		Label: b.Label, Type: typeFull, Started: b.Clock().UTC(), Host: b.Host,
	})
	if err != nil {
		return err
	}
	err = b.write(ctx, scan)
	if err != nil {
		b.writer.Abort()
		b.clean(ctx)
	}
	return err
}

// clean removes what a failed backup stored, also where it failed because ctx has ended.
func (b *baseBackup) clean(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanTimeout)
	defer cancel()
	if err := b.Cluster.RemoveUnfinished(ctx, b.Label); err != nil {
		b.Logger.Warn("leavings of the failed backup stay until the next one", "label", b.Label, "error", err)
	}
}

// start begins the backup on the server and says what to read.
func (b *baseBackup) start(ctx context.Context) (*scanner, error) {
	b.progress.phase(PhaseStart)
	started, err := b.session.start(ctx, "lifeboat "+b.Label, b.FastCheckpoint)
	if err != nil {
		return nil, err
	}
	b.record.StartLSN, b.record.StartTime = started.lsn, started.at
	if err := b.checkLive(ctx, started.lsn); err != nil {
		return nil, err
	}
	if b.names, err = b.session.tablespaceNames(ctx); err != nil {
		return nil, err
	}
	b.tablespaces, err = findTablespaces(ctx, b.DataDirectory)
	return &scanner{
		root:        b.DataDirectory,
		version:     tablespaceVersion(b.session.major(), b.control.CatalogVersion),
		tablespaces: b.tablespaces,
		logger:      b.Logger,
	}, err
}

// write stores everything, the record last.
func (b *baseBackup) write(ctx context.Context, scan *scanner) error {
	manifest, err := newManifestSpool(b.session.major(), b.server.identity.SystemIdentifier)
	if err != nil {
		return err
	}
	defer manifest.close()
	b.manifest = manifest
	if err := b.copy(ctx, scan); err != nil {
		return err
	}
	b.progress.phase(PhaseFinish)
	if b.stopped, err = b.session.stop(ctx); err != nil {
		return err
	}
	if err := b.finish(ctx); err != nil {
		return err
	}
	b.progress.phase(PhaseWAL)
	if err := b.awaitWAL(ctx); err != nil {
		return err
	}
	if err := b.session.alive(ctx); err != nil {
		return err
	}
	return b.writer.Commit(ctx, b.record)
}

// copy reads the data directory while the session is watched.
func (b *baseBackup) copy(ctx context.Context, scan *scanner) error {
	b.progress.phase(PhaseScan)
	files, bytes, err := count(ctx, scan)
	if err != nil {
		return err
	}
	b.progress.totals(files, bytes)
	b.progress.phase(PhaseCopy)
	pages := &pageCheck{
		enabled:          b.server.dataChecksums,
		start:            b.record.StartLSN,
		blocksPerSegment: b.control.BlocksPerSegment,
		logger:           b.Logger,
	}
	c := &copier{
		writer: b.writer, manifest: b.manifest, pages: pages, progress: b.progress,
		table: crc32.MakeTable(crc32.Castagnoli),
	}
	group, ctx := errgroup.WithContext(ctx)
	done := make(chan struct{})
	group.Go(func() error { return b.session.watch(ctx, watchInterval, done) })
	group.Go(func() error {
		defer close(done)
		return c.run(ctx, scan, b.Workers)
	})
	err = group.Wait()
	b.record.DamagedPages = pages.damaged
	return err
}

func (b *baseBackup) awaitWAL(ctx context.Context) error {
	w := walWait{cluster: b.Cluster, session: b.session, progress: b.progress, limit: b.WALTimeout}
	if err := w.segments(ctx, b.record.Timeline, b.record.StartLSN, b.record.StopLSN); err != nil {
		return err
	}
	return w.history(ctx, b.record.Timeline, b.DataDirectory, b.Clock)
}
