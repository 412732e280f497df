package drill

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"time"

	"lifeboat/internal/wal"
	"lifeboat/restore"
	"lifeboat/storage/catalog"
)

// Targets are the documented promises that a drill is held against.
type Targets = Policy

// Options say what to drill and how.
type Options struct {
	Repository *catalog.Repository
	Others     map[string]OtherRepository // by name: where the cluster has copies
	Cluster    *catalog.Cluster
	Name       string         // of the drill in the configuration
	Target     restore.Target // where to recover to
	Timeline   wal.TimelineID // 0: the latest
	Backup     string         // label; empty: the best one for the target

	WorkDirectory string         // absolute; scratch instances live below it
	PostgresBin   string         // of the server programs; empty: found for the backup's version
	FetchCommand  string         // the restore_command
	HookConfig    []byte         // what it reads, see restore.ExecOptions
	Owner         *restore.Owner // whom the instance runs as when this process is root; nil: this process's own user

	Targets Targets

	// Production tells what was committed and is not archived; nil: it cannot be asked.
	Production func(ctx context.Context, timeline wal.TimelineID, archived wal.LSN) (ProductionState, error)

	ID        string        // of the drill, as catalog.NewID makes it; empty: a new one
	Deadline  time.Duration // how long it may take; 0: for ever
	DiskLimit int64         // bytes that all drills in the work directory may take together; 0: what there is

	Progress    func(phase string, done, total int64)
	Log         *slog.Logger
	Now         func() time.Time
	ToolVersion string
}

// OtherRepository is one that holds a copy of the cluster.
type OtherRepository struct {
	*catalog.Repository
	Err error // why it could not be opened
}

// ProductionState is what production has that the archive does not.
type ProductionState struct {
	FirstUnarchived time.Time // commit time of the first transaction that is not archived; zero: there is none
}

func (o *Options) check() error {
	switch {
	case o.Repository == nil || o.Cluster == nil:
		return errors.New("drill: no repository")
	case !filepath.IsAbs(o.WorkDirectory):
		return fmt.Errorf("drill: the work directory %q is not an absolute path", o.WorkDirectory)
	case o.ID != "" && !drillID.MatchString(o.ID):
		return fmt.Errorf("drill: %q is not the id of a drill", o.ID)
	case o.Log == nil || o.Now == nil:
		return errors.New("drill: no log or clock")
	}
	if o.Progress == nil {
		o.Progress = func(string, int64, int64) {}
	}
	return errors.Join(o.Targets.check(), o.Target.Validate())
}

// check makes sure that every target is one that can be kept.
func (p Policy) check() error {
	switch {
	case p.RowsPercent < 0:
		return errors.New("drill: the target for rows is below zero")
	case p.RestorePerTerabyte <= 0 || p.RPO <= 0 || p.MaxBackupAge <= 0:
		return errors.New("drill: a target for a length of time is not above zero")
	case p.WarnAtPercent <= 0 || p.WarnAtPercent > 100:
		return errors.New("drill: the share of a target that a warning starts at is not between 0 and 100 %")
	}
	return nil
}
