package drill

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"

	"lifeboat/restore"
	"lifeboat/restore/server"
	"lifeboat/storage/catalog"
	"lifeboat/verify/census"
)

// The keys of log attributes.
const (
	keyDrill = "drill"
	keyError = "error"
	keyStack = "stack"
)

// drill is one run: what it was asked for, what it has made so far, and what it has found.
type drill struct {
	Options
	result *Result
	checks *checklist
	clock  *stopwatch
	book   *notebook
	ended  error // what its context ended by

	scratch *scratch
	bin     string // of the server programs
	plan    restore.Plan
	stops   []stop
	census  *census.Census
	archive archive

	rowResults  []Verdict // of the databases compared so far
	unreachable error     // *restore.UnreachableError
}

// Run carries out one drill. Whatever happens in it ends in a Result, whose evidence is stored in the repository. Both a
// result and an error come back where the target cannot be reached (*restore.UnreachableError) and nothing worse was
// found, and an error alone where the options are wrong.
//
// When ctx ends, the drill stops, cleans up and is unproven. A drill that was killed leaves what the next Run or Reap
// on the same work directory removes.
func Run(ctx context.Context, o Options) (*Result, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	d := newDrill(o)
	ctx, cancel := d.limited(ctx)
	defer cancel()
	d.settleDead(ctx)
	d.stage(ctx, func() error { return d.perform(ctx) })
	d.checks.during(CheckRepository)
	d.stage(ctx, func() error { return d.verifyRepository(ctx) })
	d.checks.during(CheckLeavings)
	d.stage(ctx, d.cleanUp)
	d.finish(ctx)
	d.letGo()
	if d.result.Verdict != Unproven {
		return d.result, nil
	}
	return d.result, d.unreachable
}

func newDrill(o Options) *drill {
	started := o.Now()
	if o.ID == "" {
		o.ID = catalog.NewID(started)
	}
	d := &drill{Options: o, checks: newChecklist(), clock: &stopwatch{now: o.Now}, book: &notebook{now: o.Now}}
	d.Progress = func(phase string, done, total int64) {
		d.inPhase(phase)
		o.Progress(phase, done, total)
	}
	d.result = &Result{
		ID: o.ID, Ending: Ending{How: EndedFinished, DeadlineSeconds: o.Deadline.Seconds()}, Cluster: o.Cluster.Name(), Drill: o.Name, Started: started.UTC(), Policy: o.Targets,
		Target:      TargetReached{Kind: string(o.Target.Kind), Value: o.Target.Value()},
		Rows:        Rows{Comparison: string(census.None), Tables: []Table{}},
		Targets:     []Measured{},
		Damaged:     []string{},
		Environment: Environment{Lifeboat: o.ToolVersion, System: runtime.GOOS + "/" + runtime.GOARCH, Cores: runtime.NumCPU()},
	}
	return d
}

// stage runs a part of the drill. Whatever ends it decides the checks that it is at, and the next part goes on.
func (d *drill) stage(ctx context.Context, part func() error) {
	err := d.guarded(part)
	if err == nil {
		return
	}
	err = d.noteEnd(ctx, err)
	d.Log.Warn("the drill could not do all", keyError, err)
	d.checks.blame(err)
	var recovery *server.RecoveryError
	if errors.As(err, &recovery) {
		d.result.LogExcerpt = recovery.Log
	}
}

// guarded turns a panic into an error, so that a defect of the drill does not leave a server and a copy of production
// behind.
func (d *drill) guarded(part func() error) (err error) {
	defer func() {
		if value := recover(); value != nil {
			d.Log.Error("the drill is broken", keyError, value, keyStack, string(debug.Stack()))
			err = &panicError{value: value}
		}
	}()
	return part()
}

// perform goes through the drill's stages; an error ends it, and the checks that were not reached stay "not run".
func (d *drill) perform(ctx context.Context) error {
	d.checks.during(CheckRecovery)
	if err := d.prepare(ctx); err != nil {
		return err
	}
	d.judgeBackup()
	d.judgeRPO(ctx)
	d.checks.during(CheckBackup)
	if err := d.fetch(ctx); err != nil {
		return err
	}
	d.checks.during(CheckRecovery)
	return d.visitStops(ctx)
}

// prepare plans the restore to the drill's target and to each stop of the census, and finds what would hinder it,
// before anything is copied.
func (d *drill) prepare(ctx context.Context) error {
	defer d.clock.time(PhasePlan)()
	d.Progress(PhasePlan, 0, 0)
	var err error
	if d.scratch, err = newScratch(d.WorkDirectory, d.result.ID, d.Owner); err != nil {
		return err
	}
	if err := d.book.open(d.scratch.lock, d.result, d.Cluster.Identity().SystemIdentifier); err != nil {
		return err
	}
	d.checks.during(CheckPITR)
	if err := d.planTarget(ctx); err != nil {
		return err
	}
	if err := d.learnArchive(ctx); err != nil {
		return err
	}
	d.checks.during(CheckRecovery)
	if err := d.findServer(ctx); err != nil {
		return err
	}
	return d.prepareCensus(ctx)
}

// visitStops recovers to each stop in turn and does there what is to be done.
func (d *drill) visitStops(ctx context.Context) error {
	settings, err := d.sandbox()
	if err != nil {
		return err
	}
	for i := range d.stops {
		if err := d.visit(ctx, settings, &d.stops[i]); err != nil {
			return err
		}
		if err := d.book.keep(d.result); err != nil {
			return err
		}
	}
	d.explainRows()
	return nil
}

// cleanUp removes the scratch directory and says whether that worked.
func (d *drill) cleanUp() error {
	defer d.clock.time(PhaseCleanup)()
	d.Progress(PhaseCleanup, 0, 0)
	if d.scratch == nil {
		d.checks.set(CheckLeavings, Pass, "nothing was made")
		return nil
	}
	if err := d.scratch.clear(); err != nil {
		d.checks.set(CheckLeavings, Fail, "%s", words(err))
		return nil
	}
	d.checks.set(CheckLeavings, Pass, "the scratch server has ended, and its directory is gone")
	return nil
}

// finish judges, and stores the evidence also when ctx has ended.
func (d *drill) finish(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), evidencePatience)
	defer cancel()
	r := d.result
	r.Finished = d.Now().UTC()
	r.Phases = d.clock.phases()
	if plan, err := json.Marshal(d.plan); err == nil && d.plan.Backup.Label != "" {
		r.Plan = plan
	}
	d.checks.judgeDocumented()
	d.judge()
	if err := d.guarded(func() error { return d.storeEvidence(ctx) }); err != nil {
		d.keepLocally(err)
	}
}

// judge makes the verdict of all checks and targets.
func (d *drill) judge() {
	d.result.Checks = d.checks.list()
	parts := make([]Verdict, 0, len(d.result.Checks)+len(d.result.Targets))
	for _, c := range d.result.Checks {
		parts = append(parts, c.Result)
	}
	for _, t := range d.result.Targets {
		parts = append(parts, t.Result)
	}
	d.result.Verdict = Worst(parts...)
}

// sandbox writes the configuration that takes the place of the restored one.
func (d *drill) sandbox() ([][2]string, error) {
	files := map[string]string{}
	for name, text := range map[string]string{"postgresql.conf": "", "pg_hba.conf": accessText, "pg_ident.conf": ""} {
		path, err := d.scratch.write(name, text)
		if err != nil {
			return nil, fmt.Errorf("write the scratch server's configuration: %w", err)
		}
		files[name] = path
	}
	return sandboxSettings(files, d.plan.Record()), nil
}
