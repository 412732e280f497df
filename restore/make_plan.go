package restore

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"lifeboat/internal/wal"
	"lifeboat/storage/catalog"
)

// PlanOptions are what a plan is made from besides the target.
type PlanOptions struct {
	Directory      string            // absolute
	Timeline       wal.TimelineID    // 0 for the latest one; for KindImmediate the backup's own
	Backup         string            // label; empty for the best one
	TablespaceMap  map[string]string // from a tablespace's location, or its name, to where it goes
	Action         string            // ActionPause, ActionPromote or ActionShutdown; empty means promote
	ArchiveModeOff bool
	Port           int    // of the restored server; 0 for what its configuration says
	FetchCommand   string // the text of restore_command
	Now            time.Time
}

// OptionError is a wish that cannot be carried out as it is written: wrong usage.
type OptionError struct{ Message string }

func (e *OptionError) Error() string { return e.Message }

func optionErrorf(format string, args ...any) error {
	return &OptionError{Message: fmt.Sprintf(format, args...)}
}

// MakePlan decides how to restore the cluster to the target. It only reads the repository: the inventory, the headers of
// the WAL that recovery needs, and for some targets that WAL itself. The errors are *OptionError, *UnreachableError,
// and whatever the repository says.
func MakePlan(ctx context.Context, c *catalog.Cluster, t Target, o PlanOptions) (Plan, error) {
	if o.Action == "" {
		o.Action = ActionPromote
	}
	if err := checkOptions(t, o); err != nil {
		return Plan{}, err
	}
	inv, err := c.Inventory(ctx)
	if err != nil {
		return Plan{}, fmt.Errorf("plan restore: %w", err)
	}
	p := &planner{cluster: c, inv: inv, target: t, options: o}
	for _, name := range inv.Unreached {
		p.notef("repository %s cannot be reached: what only it holds is not counted, and recovery that comes to the end of the WAL or promotes "+
			"stops until it can be asked; to do without it, restore from another one alone (--repository)", name)
	}
	if err := p.chooseTimeline(); err != nil {
		return Plan{}, err
	}
	chosen, err := p.choose(ctx)
	if err != nil {
		return Plan{}, fmt.Errorf("plan restore: %w", err)
	}
	return p.plan(chosen)
}

func checkOptions(t Target, o PlanOptions) error {
	if err := t.Validate(); err != nil {
		return &OptionError{Message: err.Error()}
	}
	switch o.Action {
	case ActionPause, ActionPromote, ActionShutdown:
	default:
		return optionErrorf("target action %q is none of pause, promote and shutdown", o.Action)
	}
	if !filepath.IsAbs(o.Directory) {
		return optionErrorf("target directory %q is not an absolute path", o.Directory)
	}
	if strings.ContainsAny(o.Directory+o.FetchCommand, "\n\r\x00") {
		return optionErrorf("target directory or restore command holds a line break")
	}
	return nil
}

// planner is one making of a plan.
type planner struct {
	cluster *catalog.Cluster
	inv     *catalog.Inventory
	target  Target
	options PlanOptions

	timeline wal.TimelineID
	history  wal.TimelineHistory
	notes    []string
}

func (p *planner) notef(format string, args ...any) {
	p.notes = append(p.notes, fmt.Sprintf(format, args...))
}

func (p *planner) unreachable(format string, args ...any) error {
	return unreachable(p.inv, p.target, p.timeline, fmt.Sprintf(format, args...))
}

// chooseTimeline takes the wished timeline, else the highest one with WAL.
func (p *planner) chooseTimeline() error {
	if len(p.inv.Backups) == 0 {
		return p.unreachable("cluster %s has no backup", p.cluster.Name())
	}
	p.timeline = p.options.Timeline
	if p.timeline == 0 {
		p.timeline = p.defaultTimeline()
	}
	history, ok := p.inv.History(p.timeline)
	if !ok {
		return p.unreachable("the history file of timeline %d is damaged", p.timeline)
	}
	p.history = history
	return nil
}

func (p *planner) defaultTimeline() wal.TimelineID {
	if p.target.Kind == KindImmediate {
		return p.immediateTimeline()
	}
	latest := wal.TimelineID(1)
	for _, run := range p.inv.Runs {
		latest = max(latest, run.Timeline)
	}
	return latest
}

// immediateTimeline is that of the backup, since such a recovery goes no further.
func (p *planner) immediateTimeline() wal.TimelineID {
	newest := p.inv.Backups[0]
	for _, b := range p.inv.Backups {
		if b.Label == p.options.Backup {
			return b.Timeline
		}
		if b.StopTime.After(newest.StopTime) {
			newest = b
		}
	}
	return newest.Timeline
}

// candidate is a backup that can be recovered along the timeline, and the run of WAL that such a recovery ends in.
type candidate struct {
	record catalog.Record
	run    catalog.WALRun
}

// candidates are the backups to choose from, the one with the latest end first.
func (p *planner) candidates() ([]candidate, error) {
	var found []candidate
	known := false
	for _, record := range p.inv.Backups {
		if p.options.Backup != "" && record.Label != p.options.Backup {
			continue
		}
		known = true
		if run, ok := p.inv.ReachFrom(record, p.timeline); ok {
			found = append(found, candidate{record: record, run: run})
		}
	}
	if !known {
		return nil, optionErrorf("cluster %s has no backup %q", p.cluster.Name(), p.options.Backup)
	}
	slices.SortStableFunc(found, func(a, b candidate) int { return cmp.Compare(b.record.StopLSN, a.record.StopLSN) })
	if len(found) == 0 {
		return nil, p.noCandidate()
	}
	return found, nil
}

func (p *planner) noCandidate() error {
	which := "no backup"
	if p.options.Backup != "" {
		which = "backup " + p.options.Backup + " does not have the WAL that it needs, or is on another branch, so it"
	}
	err := p.unreachable("%s can be recovered along timeline %d", which, p.timeline)
	for _, problem := range p.inv.Problems {
		err = errors.Join(err, problem.Err)
	}
	return err
}
