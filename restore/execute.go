package restore

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path"
	"time"

	"lifeboat/storage/catalog"
)

// ExecOptions say how a plan is carried out.
type ExecOptions struct {
	Workers  int      // that copy at the same time; below one means four
	Progress Progress // may be nil
	Logger   *slog.Logger
	Clock    func() time.Time // to measure Result.Effort; nil measures nothing
	Owner    *Owner           // of everything that is made; nil for this process's own user

	// Config is put at ConfigPath, for the restore_command to read. Empty for none.
	Config []byte

	// Volatile makes nothing durable: for a directory that is thrown away before the machine could crash.
	Volatile bool

	// SetAside are bytes in the data directory's file system that the caller has taken for this restore, and gives back as
	// Progress tells of more bytes.
	SetAside int64

	// OnlyOwnSettings leaves out what the restored postgresql.auto.conf says.
	OnlyOwnSettings bool
}

// Result is what a restore has brought.
type Result struct {
	Directory    string `json:"directory"`
	Backup       string `json:"backup"`
	Files        int64  `json:"files"`
	Directories  int64  `json:"directories"`
	BytesWritten int64  `json:"bytes_written"` // of files, holes included
	Effort       Effort `json:"effort"`        // of copying
}

const defaultWorkers = 4

// Execute carries the plan out. When it returns nil the directory is complete and durable, and PostgreSQL started on it
// recovers to the plan's target. On an error, the end of ctx included, everything that was made is removed again and
// directories that were there before are empty as before. A process that is killed leaves directories on which no server
// starts, and which the same plan clears.
//
// Refused before anything is written: directories that are not empty (*NotEmptyError), or at work (*BusyError); an index
// that asks for what must not be (*ContentError); too little space (*SpaceError). A backup that is removed from the repository
// meanwhile is a *GoneError.
func Execute(ctx context.Context, c *catalog.Cluster, p Plan, o ExecOptions) (Result, error) {
	index, err := c.OpenIndex(ctx, p.record)
	if err != nil {
		return Result{}, fmt.Errorf("restore backup %s: %w", p.Backup.Label, unlessGone(ctx, c, p.Backup.Label, err))
	}
	r := &restorer{plan: p, options: o, index: index, meter: &meter{report: o.Progress}}
	if err := r.run(ctx); err != nil {
		return Result{}, fmt.Errorf("restore backup %s: %w", p.Backup.Label, errors.Join(unlessGone(ctx, c, p.Backup.Label, err), r.abandon()))
	}
	r.close()
	o.Logger.Info("restored", "backup", p.Backup.Label, "directory", p.Directory, "files", r.meter.now.Files, "bytes", r.meter.now.Bytes)
	return Result{
		Directory: p.Directory, Backup: p.Backup.Label, Files: r.meter.now.Files,
		Directories: int64(len(r.layout.directories)), BytesWritten: r.meter.now.Bytes, Effort: r.effort,
	}, nil
}

// restorer is one execution of a plan.
type restorer struct {
	plan    Plan
	options ExecOptions
	index   *catalog.Index
	meter   *meter
	layout  *layout
	sites   []*site // the data directory first, then the tablespaces of the plan
	effort  Effort  // of copying
}

func (r *restorer) run(ctx context.Context) error {
	r.meter.begin(PhaseCheck)
	if err := r.prepare(ctx); err != nil {
		return err
	}
	r.meter.begin(PhaseCopy)
	if err := r.makeDirectories(); err != nil {
		return err
	}
	workers := r.options.Workers
	if workers < 1 {
		workers = defaultWorkers
	}
	files := &copier{
		index: r.index, layout: r.layout, sites: r.sites, meter: r.meter,
		effort: effortMeter{clock: r.options.Clock}, durable: !r.options.Volatile,
	}
	if err := files.run(ctx, workers); err != nil {
		return err
	}
	r.effort = files.effort.sum
	r.meter.begin(PhaseSync)
	return r.finish(ctx)
}

// prepare does all that can be refused before a byte of the backup is written.
func (r *restorer) prepare(ctx context.Context) error {
	var err error
	if r.layout, err = survey(ctx, r.index, r.plan.Tablespaces); err != nil {
		return err
	}
	if !r.layout.hasLabel && r.plan.record.BackupLabel == "" {
		return &ContentError{Path: backupLabelPath, Reason: "is missing, and without it the cluster would start as if it had crashed"}
	}
	r.meter.change(func(p *RestoreProgress) { p.BytesTotal, p.FilesTotal = r.layout.bytes, r.layout.files })
	if err := r.openSites(); err != nil {
		return err
	}
	return r.checkSpace()
}

func (r *restorer) openSites() error {
	m := mark{Note: markNote, Cluster: r.plan.Cluster, Backup: r.plan.Backup.Label, Directory: r.plan.Directory}
	paths := []string{r.plan.Directory}
	for _, space := range r.plan.Tablespaces {
		paths = append(paths, space.Target)
	}
	for i, path := range paths {
		s, err := openSite(path, r.options.Owner, m)
		if err != nil {
			return err
		}
		s.need = r.layout.need[i]
		r.sites = append(r.sites, s)
	}
	return nil
}

// checkSpace adds up what goes to the same file system, with room for recovery to work in.
func (r *restorer) checkSpace() error {
	const segmentsInUse = 3
	r.sites[0].need += segmentsInUse * int64(r.plan.record.WALSegmentSize)
	needs := map[uint64]int64{}
	for _, s := range r.sites {
		device, free, err := s.free()
		if err != nil {
			return err
		}
		if s == r.sites[0] {
			needs[device] -= r.options.SetAside
		}
		needs[device] += s.need
		if needs[device] > free {
			return &SpaceError{Path: s.path, Need: needs[device], Free: free}
		}
	}
	return nil
}

func (r *restorer) makeDirectories() error {
	for _, d := range r.layout.directories {
		if d.path == "." {
			continue
		}
		s := r.sites[d.site]
		err := s.root.MkdirAll(path.Dir(d.path), 0o700)
		if err == nil {
			err = errors.Join(s.root.Mkdir(d.path, 0o700), s.root.Chmod(d.path, d.mode|0o700))
		}
		if err == nil && s.owner != nil {
			err = s.root.Chown(d.path, s.owner.UID, s.owner.GID)
		}
		if err != nil {
			return fmt.Errorf("create directory %s: %w", d.path, err)
		}
	}
	return nil
}

// close lets go of finished directories.
func (r *restorer) close() {
	for _, s := range r.sites {
		_ = s.root.Close() // all that was written is durable
	}
}

// abandon removes all that was made. It does not listen to any context.
func (r *restorer) abandon() error {
	var problems []error
	for _, s := range r.sites {
		problems = append(problems, s.abandon())
	}
	return errors.Join(problems...)
}
