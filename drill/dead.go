package drill

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"strings"
	"syscall"
	"time"

	"lifeboat/storage"
	"lifeboat/storage/catalog"
)

// Finder looks after the drills of a cluster that have died in a work directory.
type Finder struct {
	Repository    *catalog.Repository
	Cluster       *catalog.Cluster
	WorkDirectory string
	Log           *slog.Logger
	Now           func() time.Time
	ToolVersion   string

	// Fate tells of a drill, by its id, how it ended, where the finder knows: nil asks nobody, and a nil error is no news.
	// A *DeadlineError says that it was killed at its deadline.
	Fate func(id string) error
}

// Settle removes what dead drills left, those of other clusters included, and stores the evidence of this cluster's: each is
// unproven, or failed where its promised restore time was over. The lock file of a drill stays until its evidence is in the
// repository, so that no drill that began is forgotten, and none has two. Evidence that drills kept since the repository was away
// is delivered. It returns the results that it made.
func (f Finder) Settle(ctx context.Context) ([]*Result, error) {
	var settled []*Result
	err := eachDead(ctx, f.WorkDirectory, func(id string, n *note) (bool, error) {
		if n == nil {
			return true, nil
		}
		if !f.owns(n) {
			return false, nil
		}
		r, err := f.bury(ctx, n)
		if err == nil && r != nil {
			settled = append(settled, r)
		}
		return err == nil, err
	})
	return settled, errors.Join(err, f.deliver(ctx))
}

func (f Finder) owns(n *note) bool {
	return n.Result.Cluster == f.Cluster.Name() && n.SystemIdentifier == f.Cluster.Identity().SystemIdentifier
}

// bury stores the evidence of a dead drill, unless that was the last that it did itself: then there is no result.
func (f Finder) bury(ctx context.Context, n *note) (*Result, error) {
	return f.Bury(ctx, n.Result, n.fate(f.fate(n.Result.ID), f.Now()))
}

func (f Finder) fate(id string) error {
	if f.Fate == nil {
		return nil
	}
	return f.Fate(id)
}

// fate says what became of a drill, and in which phase.
func (n *note) fate(known error, now time.Time) error {
	phase, spent := n.at(now)
	var late *DeadlineError
	switch {
	case errors.As(known, &late):
		return &DeadlineError{Deadline: late.Deadline, Phase: phase, Spent: spent, Killed: true}
	case known != nil:
		return &DeathError{Phase: phase, Why: known.Error()}
	}
	return &DeathError{Phase: phase}
}

// Bury stores the evidence of a drill that could not do that itself. What is known of it says the result, and why it ended the
// error. Where there is evidence of its id already, nothing is stored, and there is no result.
func (f Finder) Bury(ctx context.Context, known *Result, why error) (*Result, error) {
	_, err := Load(ctx, f.Cluster, known.ID)
	if err == nil {
		return nil, nil
	}
	if !errors.Is(err, storage.ErrNotFound) {
		return nil, fmt.Errorf("is there evidence of drill %s: %w", known.ID, err)
	}
	d := newDrill(Options{
		Repository: f.Repository, Cluster: f.Cluster, Name: known.Drill, Targets: known.Policy, WorkDirectory: f.WorkDirectory,
		Log: f.Log, Now: f.Now, ToolVersion: f.ToolVersion, ID: known.ID, Progress: func(string, int64, int64) {},
	})
	d.takeOver(known, why)
	if err := d.guarded(func() error { return d.storeEvidence(ctx) }); errors.Is(err, storage.ErrExists) {
		return d.result, d.storeAlone(ctx)
	} else if err != nil {
		return nil, err
	}
	return d.result, nil
}

// takeOver makes the result of a dead drill from what is known of it.
func (d *drill) takeOver(known *Result, why error) {
	fresh := d.result
	d.result = known
	r := d.result
	r.Finished = d.Now().UTC()
	r.Targets, r.Damaged, r.Phases = fresh.Targets, fresh.Damaged, d.clock.phases()
	if r.Rows.Tables == nil {
		r.Rows.Tables = fresh.Rows.Tables
	}
	if r.Rows.Comparison == "" {
		r.Rows.Comparison = fresh.Rows.Comparison
	}
	if r.Environment.Lifeboat == "" {
		r.Environment = fresh.Environment
	}
	d.noteDeath(why)
	d.checks.during(CheckRecovery)
	d.checks.blame(why)
	d.checks.set(CheckLeavings, Pass, "what it left was removed by who found it")
	d.checks.judgeDocumented()
	d.judge()
}

func (d *drill) noteDeath(why error) {
	var late *DeadlineError
	var death *DeathError
	d.result.Ending.How = EndedDied
	switch {
	case errors.As(why, &late):
		d.result.Ending = Ending{How: EndedDeadline, Phase: late.Phase, DeadlineSeconds: late.Deadline.Seconds()}
		d.judgeLate(late.Phase)
	case errors.As(why, &death):
		d.result.Ending.Phase = death.Phase
	}
}

// storeAlone stores the evidence without files: the drill died when it had stored one of them, which cannot be replaced.
func (d *drill) storeAlone(ctx context.Context) error {
	body, err := json.Marshal(d.result)
	if err != nil {
		return fmt.Errorf("write the result as JSON: %w", err)
	}
	return d.Cluster.PutEvidence(ctx, d.result.ID, nil, body)
}

// eachDead removes what dead drills left, and their lock files where done says so, which is called with the lock held.
func eachDead(ctx context.Context, work string, done func(id string, n *note) (bool, error)) error {
	ids, err := lockedIDs(work)
	if err != nil {
		return fmt.Errorf("look for leavings of drills: %w", err)
	}
	var problems []error
	for _, id := range ids {
		if ctx.Err() != nil {
			break
		}
		if err := endOne(work, id, done); err != nil {
			problems = append(problems, fmt.Errorf("leavings of drill %s: %w", id, err))
		}
	}
	return errors.Join(append(problems, ctx.Err())...)
}

func endOne(work, id string, done func(id string, n *note) (bool, error)) error {
	lock, err := takeFreeLock(lockPath(work, id))
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, errLocked) {
		return nil
	}
	if err != nil {
		return err
	}
	defer func() { _ = releaseLock(lock) }()
	if err := clearAway(work, id); err != nil {
		return err
	}
	if forget, err := done(id, readNote(lock)); err != nil || !forget {
		return err
	}
	return removeLock(work, id)
}

// lockedIDs are the drills that have a lock file in a work directory.
func lockedIDs(work string) ([]string, error) {
	entries, err := os.ReadDir(work)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	var ids []string
	for _, entry := range entries {
		if id, isLock := strings.CutSuffix(entry.Name(), lockSuffix); isLock && drillID.MatchString(id) {
			ids = append(ids, id)
		}
	}
	return ids, nil
}

// Begun is a drill that lives.
type Begun struct {
	ID, Cluster, Drill string
	Started            time.Time
	Phase              string
	PID                int
	reserved           int64
}

// Living are the drills that are at work in a work directory. One that is just beginning may be missing.
func Living(work string) ([]Begun, error) {
	ids, err := lockedIDs(work)
	if err != nil {
		return nil, fmt.Errorf("look for living drills: %w", err)
	}
	var living []Begun
	for _, id := range ids {
		if n := livingNote(lockPath(work, id)); n != nil {
			living = append(living, Begun{
				ID: id, Cluster: n.Result.Cluster, Drill: n.Result.Drill, Started: n.Result.Started, Phase: n.Phase, PID: n.PID, reserved: n.Reserved,
			})
		}
	}
	return living, nil
}

func livingNote(path string) *note {
	lock, err := os.Open(path)
	if err != nil {
		return nil
	}
	defer func() { _ = releaseLock(lock) }()
	if syscall.Flock(int(lock.Fd()), syscall.LOCK_SH|syscall.LOCK_NB) == nil {
		return nil // nobody holds it
	}
	return readNote(lock)
}
