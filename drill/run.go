package drill

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"runtime"
	"time"

	"lifeboat/restore"
	"lifeboat/restore/server"
	"lifeboat/storage/catalog"
	"lifeboat/verify/census"
)

// drill is one run: what it was asked for, what it has made so far, and what it has found.
type drill struct {
	Options
	result *Result
	checks *checklist
	clock  *stopwatch

	scratch *scratch
	plan    restore.Plan
	stops   []stop
	census  *census.Census
	newest  catalog.Record // of all backups
	run     catalog.WALRun // that recovery ends in

	rowResults  []Verdict // of the databases compared so far
	unreachable error     // *restore.UnreachableError
}

// Run carries out one drill. Whatever happens in it ends in a Result, whose evidence is stored in the repository; both a
// result and an error come back where the target cannot be reached (*restore.UnreachableError), and an error alone where
// the options are wrong.
//
// When ctx ends, the drill stops, cleans up and is unproven. A drill that was killed leaves what the next Run or Reap
// on the same work directory removes.
func Run(ctx context.Context, o Options) (*Result, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	d := newDrill(o)
	if reaped, err := Reap(ctx, o.WorkDirectory); err != nil {
		o.Log.Warn("leavings of dead drills", "error", err)
	} else if len(reaped) > 0 {
		o.Log.Info("removed the leavings of dead drills", "drills", reaped)
	}
	if err := d.perform(ctx); err != nil {
		d.checks.blame(err)
		d.explain(err)
	}
	d.cleanUp()
	d.finish(ctx)
	return d.result, d.unreachable
}

func newDrill(o Options) *drill {
	started := o.Now()
	d := &drill{Options: o, checks: newChecklist(), clock: &stopwatch{now: o.Now}}
	d.result = &Result{
		ID: catalog.NewID(started), Cluster: o.Cluster.Name(), Drill: o.Name, Started: started.UTC(), Policy: o.Targets,
		Target:      TargetReached{Kind: string(o.Target.Kind), Value: o.Target.Value()},
		Rows:        Rows{Comparison: string(census.None), Tables: []Table{}},
		Damaged:     []string{},
		Environment: Environment{Lifeboat: o.ToolVersion, System: runtime.GOOS + "/" + runtime.GOARCH, Cores: runtime.NumCPU()},
	}
	return d
}

// perform goes through the drill's stages; an error ends it, and the checks that were not reached stay "not run".
func (d *drill) perform(ctx context.Context) error {
	d.checks.during(CheckRepository, CheckRecovery)
	if err := d.makePlans(ctx); err != nil {
		return err
	}
	d.judgeBackup()
	d.judgeRPO(ctx)
	d.checks.during(CheckBackup)
	if err := d.fetch(ctx); err != nil {
		return errors.Join(err, d.verifyRepository(ctx))
	}
	d.checks.during(CheckRecovery)
	if err := d.visitStops(ctx); err != nil {
		return errors.Join(err, d.verifyRepository(ctx))
	}
	d.judgeRestoreTime()
	return d.verifyRepository(ctx)
}

// makePlans plans the restore to the drill's target and to each stop of the census, before anything is written.
func (d *drill) makePlans(ctx context.Context) error {
	defer d.clock.time(PhasePlan)()
	d.Progress(PhasePlan, 0, 0)
	var err error
	if d.scratch, err = newScratch(d.WorkDirectory, d.result.ID, d.Owner); err != nil {
		return err
	}
	if err := d.planTarget(ctx); err != nil {
		var unreachable *restore.UnreachableError
		if errors.As(err, &unreachable) {
			d.unreachable = err
		}
		return err
	}
	if err := d.learnArchive(ctx); err != nil {
		return err
	}
	if err := d.chooseCensus(ctx); err != nil {
		return err
	}
	return d.planStops(ctx)
}

// fetch copies the backup into the scratch directory.
func (d *drill) fetch(ctx context.Context) error {
	defer d.clock.time(PhaseFetch)()
	var copying time.Time
	result, err := restore.Execute(ctx, d.Cluster, d.plan, restore.ExecOptions{
		Owner: d.Owner, Config: d.HookConfig, OnlyOwnSettings: true, Logger: d.Log,
		Progress: func(p restore.RestoreProgress) {
			if p.Phase == restore.PhaseCopy && copying.IsZero() {
				copying = d.Now()
			}
			if p.Phase == restore.PhaseSync && d.clock.copied == 0 {
				d.clock.copied = d.Now().Sub(copying)
			}
			d.Progress(PhaseFetch, p.Bytes, p.BytesTotal)
		},
	})
	if err != nil {
		return err
	}
	d.clock.addBytes(PhaseFetch, result.BytesWritten)
	return nil
}

// visitStops recovers to each stop in turn and does there what is to be done.
func (d *drill) visitStops(ctx context.Context) error {
	bin, err := server.FindBinaries(ctx, d.plan.Record().PostgresVersion/10000, d.PostgresBin)
	if err != nil {
		return err
	}
	settings, err := d.sandbox()
	if err != nil {
		return err
	}
	for i := range d.stops {
		if err := d.visit(ctx, bin, settings, &d.stops[i]); err != nil {
			return fmt.Errorf("recovery to %s: %w", d.stops[i].plan.Target.StopLSN, err)
		}
	}
	if d.census == nil {
		d.checks.set(CheckRows, Unproven, "no census lies in what this drill can reach: take one with 'lifeboat census' and drill again")
		d.result.Rows.Why = "there is no census to compare with"
	}
	return nil
}

// sandbox writes the configuration that takes the place of the restored one.
func (d *drill) sandbox() ([][2]string, error) {
	files := map[string]string{}
	for name, text := range map[string]string{"postgresql.conf": "", "pg_hba.conf": accessText, "pg_ident.conf": ""} {
		path, err := d.scratch.write(name, text, d.Owner)
		if err != nil {
			return nil, fmt.Errorf("write the scratch server's configuration: %w", err)
		}
		files[name] = path
	}
	return sandboxSettings(files, d.plan.Record()), nil
}

// cleanUp removes the scratch directory and says whether that worked.
func (d *drill) cleanUp() {
	defer d.clock.time(PhaseCleanup)()
	d.Progress(PhaseCleanup, 0, 0)
	if d.scratch == nil {
		d.checks.set(CheckLeavings, Pass, "nothing was made")
		return
	}
	if err := d.scratch.remove(); err != nil {
		d.checks.set(CheckLeavings, Fail, "%v", err)
		return
	}
	d.checks.set(CheckLeavings, Pass, "the scratch instance and its directory are gone")
}

// explain keeps what the operator needs of an error beside the checks' details.
func (d *drill) explain(err error) {
	d.Log.Warn("the drill ended early", "error", err)
	var recovery *server.RecoveryError
	if errors.As(err, &recovery) {
		d.result.LogExcerpt = recovery.Log
	}
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
	d.checks.set(CheckDocumented, Pass, "every check that did not pass says why, and the evidence is in the repository")
	d.judge()
	if err := d.storeEvidence(ctx); err != nil {
		d.checks.set(CheckDocumented, Unproven, "the evidence could not be stored: %v", err)
		r.Evidence = ""
		d.judge()
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
