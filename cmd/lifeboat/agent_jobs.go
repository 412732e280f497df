package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"lifeboat/cmd/internal/config"
	"lifeboat/cmd/internal/term"
	"lifeboat/storage/catalog"
)

const (
	jobPoll = time.Second
	// jobLease is how long the agent of another machine waits for one that is gone. The work outlives an outage of the
	// store as long as this.
	jobLease = longPatience
	// A job that failed is tried again after the first of these times, then twice that, at most the second.
	firstRetry = time.Minute
	lastRetry  = time.Hour
	// heldRetry is when to look again at a lease that somebody else has.
	heldRetry = 30 * time.Second
)

// job is work that the agent does on a schedule.
type job struct {
	name     string
	schedule config.Schedule
	// eager makes the first run due at once where there has been none: without a backup nothing can be recovered.
	eager  bool
	newest func(ctx context.Context, cluster *catalog.Cluster) (time.Time, error) // when the last run began, by the repository
	run    func(ctx context.Context, a *app) error
	// urgent is true where the repository needs a run now, whatever the schedule; nil: never. It is asked at the start and
	// after WAL was lost.
	urgent func(ctx context.Context, cluster *catalog.Cluster) (bool, error)

	base    time.Time // the run that the next one follows; zero: not known yet
	retryAt time.Time
	retries int
}

func (t *tended) jobs() []*job {
	var list []*job
	for _, j := range []*job{
		{
			name: "backup", schedule: t.config.Backup.Schedule, eager: true,
			newest: func(ctx context.Context, cluster *catalog.Cluster) (time.Time, error) {
				inventory, err := cluster.Inventory(ctx)
				if err != nil {
					return time.Time{}, err
				}
				return newestBackup(inventory), nil
			},
			run:    func(ctx context.Context, a *app) error { return a.backup(ctx, "full") },
			urgent: lacksBackup,
		},
		{name: "census", schedule: t.config.Census.Schedule, newest: newestCensus, run: func(ctx context.Context, a *app) error { return a.census(ctx) }},
		t.expiryJob(),
	} {
		if j.schedule.Schedule != nil {
			list = append(list, j)
		}
	}
	return list
}

// unattended is the app as commands run in it that nobody watches: what they have to say is in the log.
func (a *app) unattended() *app {
	quiet := *a
	quiet.output, quiet.stdout, quiet.out = "json", io.Discard, term.New(io.Discard)
	return &quiet
}

// runJobs does what is due, one thing after the other, until ctx ends. What has begun comes to its end.
func (t *tended) runJobs(ctx context.Context) {
	defer close(t.turns.worked)
	if !await(ctx, t.before.worked) {
		return
	}
	jobs := t.jobs()
	for pause(ctx, jobPoll) {
		lost := t.lostWAL.Swap(false)
		for _, j := range jobs {
			if lost && j.urgent != nil {
				j.base, j.retryAt = time.Time{}, time.Time{} // the repository knows
			}
			if ctx.Err() == nil && !t.watch.now().standby && j.due(t.app.now()) {
				t.attempt(t.agent.work, j)
			}
		}
	}
}

// await is false when ctx ended first.
func await(ctx context.Context, turn <-chan struct{}) bool {
	select {
	case <-turn:
		return true
	case <-ctx.Done():
		return false
	}
}

// due says whether the job is to be tried now. A run that was missed is due until it was done.
func (j *job) due(now time.Time) bool {
	if now.Before(j.retryAt) {
		return false
	}
	return j.base.IsZero() || !j.after(j.base, now).After(now)
}

// after is when the run is due that follows one at base. One in the future, as after a step of the clock, does not put it
// off.
func (j *job) after(base, now time.Time) time.Time {
	if base.After(now) {
		base = now
	}
	next := j.schedule.Next(base.Local()) // a schedule without a zone is in the machine's
	if next.IsZero() {
		return now.AddDate(1, 0, 0) // there is no such day
	}
	return next
}

// attempt does a job if this server and this agent are the ones to do it.
func (t *tended) attempt(ctx context.Context, j *job) {
	err := t.tryJob(ctx, j)
	now := t.app.now()
	switch {
	case err == nil:
		j.retries, j.retryAt = 0, time.Time{}
	case errors.Is(err, errStandby), errors.Is(err, catalog.ErrLeaseHeld):
		j.retryAt = now.Add(heldRetry)
		t.app.log.Debug("a job is for somebody else", keyJob, j.name, keyError, err)
	default:
		wait := min(firstRetry<<min(j.retries, 10), lastRetry)
		j.retries, j.retryAt = j.retries+1, now.Add(wait)
		t.counts.failed(err)
		t.app.log.Error("a job failed", keyJob, j.name, keyError, err, "hint", hintOf(err), "again_in", wait)
	}
}

var errStandby = errors.New("the server is a standby")

func (t *tended) tryJob(ctx context.Context, j *job) error {
	scene := t.shop.Load().scene
	cluster := scene.cluster
	if base, due, err := t.isDue(ctx, j, cluster); err != nil || !due {
		j.base = base
		return err
	}
	if err := t.mustBePrimary(ctx); err != nil {
		return err
	}
	return t.app.exclusively(ctx, scene, "agent-"+j.name, jobLease, func(ctx context.Context) error {
		base, due, err := t.isDue(ctx, j, cluster) // somebody else may have done it meanwhile
		if err != nil || !due {
			j.base = base
			return err
		}
		return t.runJob(ctx, j)
	})
}

// isDue compares the schedule with what the repository says of the last run.
func (t *tended) isDue(ctx context.Context, j *job, cluster *catalog.Cluster) (base time.Time, due bool, err error) {
	newest, err := j.newest(ctx, cluster)
	if err != nil {
		return j.base, false, err
	}
	if newest.IsZero() && j.base.IsZero() {
		return t.app.now(), j.eager, nil
	}
	if newest.Before(j.base) {
		newest = j.base
	}
	if j.urgent != nil {
		if urgent, err := j.urgent(ctx, cluster); err != nil || urgent {
			return newest, urgent, err
		}
	}
	now := t.app.now()
	return newest, !j.after(newest, now).After(now), nil
}

// lacksBackup is true where WAL was lost behind the start of the newest backup: what came after the loss cannot be reached
// before there is another one. Only the ledger counts, since WAL that is on its way looks like a gap, too.
func lacksBackup(ctx context.Context, cluster *catalog.Cluster) (bool, error) {
	inventory, err := cluster.Inventory(ctx)
	if err != nil {
		return false, err
	}
	var newest catalog.Record
	for _, b := range inventory.Backups {
		if b.StartTime.After(newest.StartTime) {
			newest = b
		}
	}
	for _, gap := range inventory.Gaps() {
		if gap.Why != "" && (gap.Timeline > newest.Timeline || gap.Timeline == newest.Timeline && gap.To > newest.StartLSN) {
			return true, nil
		}
	}
	return false, nil
}

// mustBePrimary asks the server anew: what it was a second ago is not enough to work on.
func (t *tended) mustBePrimary(ctx context.Context) error {
	conn, err := connector(t.config)(ctx, "")
	if err != nil {
		return fmt.Errorf("ask the server whether it is a standby: %w", err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	state, err := askState(ctx, conn)
	if err == nil && state.standby {
		err = errStandby
	}
	return err
}

func (t *tended) runJob(ctx context.Context, j *job) error {
	begun := t.app.now()
	t.counts.jobBegins(j.name)
	t.app.log.Info("a job begins", keyJob, j.name)
	err := j.run(ctx, t.app)
	if told := (*codeError)(nil); errors.As(err, &told) {
		t.app.log.Error("the backup stands, but the server has damaged pages", keyJob, j.name)
		err = nil
	}
	took := t.app.now().Sub(begun)
	t.counts.jobEnded(j.name, err, took)
	if err == nil {
		j.base = begun
		t.app.log.Info("a job is done", keyJob, j.name, "took", took.Round(time.Millisecond))
	}
	t.look(ctx)
	return err
}

// holder names this process to people.
func holder() string {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	return fmt.Sprintf("%s, process %d", host, os.Getpid())
}
