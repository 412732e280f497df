package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	"lifeboat/drill"
	"lifeboat/storage/catalog"
)

// The keys of the scheduler's log lines, beside the agent's.
const (
	keyDrill   = "drill"
	keyID      = "id"
	keyVerdict = "verdict"
)

// startIfDue starts a drill that is due, if there is room for one more.
func (c *attended) startIfDue(running *errgroup.Group, d *plannedDrill) {
	if c.app.now().Before(d.retry()) || !d.busy.TryLock() {
		return
	}
	if c.retired.Err() != nil || !c.known() || !c.state(d).Due || !c.scheduler.slots.take() {
		d.busy.Unlock()
		return
	}
	running.Go(func() error {
		defer d.busy.Unlock()
		defer c.scheduler.slots.give()
		c.attempt(d)
		return nil
	})
}

// known says whether the repository's evidence has been read: before that everything would seem due.
func (c *attended) known() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return !c.seen.IsZero()
}

func (d *plannedDrill) retry() time.Time {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.retryAt
}

// elsewhere says whether the drill was found to be for somebody else when it was last attempted, which is not long ago.
func (d *plannedDrill) elsewhere(now time.Time) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return !d.heldAt.IsZero() && now.Sub(d.heldAt).Abs() < 3*heldRetry
}

// attempt runs a drill if this scheduler is the one to do it.
func (c *attended) attempt(d *plannedDrill) {
	err := c.tryDrill(c.scheduler.work, d)
	now := c.app.now()
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case err == nil:
		d.retries, d.retryAt = 0, time.Time{}
	case errors.Is(err, catalog.ErrLeaseHeld), errors.Is(err, errDrillLives):
		d.retryAt, d.heldAt = now.Add(heldRetry), now
		c.app.log.Debug("a drill is for somebody else", keyDrill, d.name, keyError, err)
	default:
		wait := min(firstRetry<<min(d.retries, 10), lastRetry)
		d.retries, d.retryAt = d.retries+1, now.Add(wait)
		c.scheduler.metrics.failed(c.name, err)
		c.app.log.Error("a drill could not be run", keyDrill, d.name, keyError, err, "hint", hintOf(err), "again_in", wait)
	}
}

// tryDrill holds the drill's lease while it runs, and looks again when it has it: somebody else may have run it meanwhile.
func (c *attended) tryDrill(ctx context.Context, d *plannedDrill) error {
	return c.app.exclusively(ctx, c.opened(), "drill-"+d.name, jobLease, func(ctx context.Context) error {
		c.settle(ctx, nil)
		if err := c.lookOnce(ctx); err != nil {
			return err
		}
		if !c.state(d).Due || c.stopping.Err() != nil {
			return nil
		}
		if _, lives := c.living()[d.name]; lives {
			return errDrillLives
		}
		return c.runDrill(ctx, d)
	})
}

// runDrill runs a drill to its end, and sees to it that there is evidence.
func (c *attended) runDrill(ctx context.Context, d *plannedDrill) error {
	began := c.app.now()
	id := catalog.NewID(began)
	c.app.log.Info("a drill begins", keyDrill, d.name, keyID, id)
	until, stop := context.WithCancel(ctx)
	defer stop()
	defer context.AfterFunc(c.stopping, stop)()
	ended, err := c.childOf(d, id).run(until)
	if err != nil {
		c.app.log.Warn("a drill was not held as it should have been", keyDrill, d.name, keyID, id, keyError, err)
	}
	result, err := c.evidenceOf(ctx, d, id, began, ended)
	if err != nil {
		return fmt.Errorf("drill %s: evidence: %w", id, err)
	}
	c.scheduler.metrics.ended(c.name, d.name, result)
	c.app.log.Info("a drill has ended", keyDrill, d.name, keyID, id, keyVerdict, result.Verdict, "took", result.Finished.Sub(result.Started).Round(time.Millisecond))
	return c.lookOnce(ctx)
}

func (c *attended) childOf(d *plannedDrill, id string) child {
	return child{
		program: c.scheduler.program, id: id, deadline: time.Duration(d.config.Deadline), grace: c.scheduler.grace,
		groups: c.scheduler.groups, stderr: c.app.stderr,
		args: []string{
			"--config", c.settings.Path, "--cluster", c.name, "--output", "json", "--log-level", c.app.logLevel, "--log-format", c.app.logFormat,
			"drill", "run", d.name, "--id", id, "--supervised", "--scheduler", "lifeboat",
		},
	}
}

// evidenceOf is the evidence of a drill that has ended. Where it left none, this process stores it.
func (c *attended) evidenceOf(ctx context.Context, d *plannedDrill, id string, began time.Time, ended childEnd) (*drill.Result, error) {
	c.settleEnded(ctx, id, ended)
	known := &drill.Result{
		ID: id, Cluster: c.name, Drill: d.name, Started: began.UTC(), Policy: c.app.drillTargets(c.config),
		Target: drill.TargetReached{Value: d.config.To.Value},
	}
	if _, err := c.finder().Bury(ctx, known, beforeItBegan(ended)); err != nil {
		return nil, err
	}
	return drill.Load(ctx, c.opened().cluster, id)
}

// settleEnded clears what a drill left that has ended. A process that it was about to start when it was killed may hold its lock
// for another moment.
func (c *attended) settleEnded(ctx context.Context, id string, ended childEnd) {
	for range 20 {
		c.settle(ctx, func(found string) error {
			if found == id {
				return ended.err()
			}
			return nil
		})
		if !c.finder().Waits(id) || !pause(ctx, 100*time.Millisecond) {
			return
		}
	}
}

// beforeItBegan says why a drill ended that has left nothing at all.
func beforeItBegan(ended childEnd) error {
	const phase = "its beginning"
	var late *drill.DeadlineError
	if errors.As(ended.killed, &late) {
		return &drill.DeadlineError{Deadline: late.Deadline, Phase: phase, Spent: late.Deadline, Killed: true}
	}
	return &drill.DeathError{Phase: phase, Why: ended.err().Error()}
}
