package drill

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Ending says how a drill came to its end.
type Ending struct {
	How             string  `json:"how"`   // one of the Ended constants; empty in the evidence of old versions
	Phase           string  `json:"phase"` // that it was in, where it did not finish
	DeadlineSeconds float64 `json:"deadline_seconds"`
}

// How a drill can end.
const (
	EndedFinished = "finished" // it did all that it could
	EndedStopped  = "stopped"  // somebody asked it to
	EndedDeadline = "deadline" // it stopped itself, or was killed, when its time was over
	EndedDied     = "died"     // without a word
)

// DeadlineError is the cause of the end of a drill that has taken too long.
type DeadlineError struct {
	Deadline time.Duration
	Phase    string        // that it was in
	Spent    time.Duration // in that phase
	Killed   bool          // it did not stop by itself
}

func (e *DeadlineError) Error() string {
	text := fmt.Sprintf("the drill's deadline of %s came in the phase %q, which had taken %s", spell(e.Deadline), e.Phase, spell(e.Spent))
	if e.Killed {
		text += ", and it did not stop: it was killed at its deadline"
	}
	return text
}

// Unwrap makes it what the end of a context at a deadline is.
func (e *DeadlineError) Unwrap() error { return context.DeadlineExceeded }

// DeathError says that a drill ended without a word.
type DeathError struct {
	Phase string // that it was in
	Why   string // empty: not known
}

func (e *DeathError) Error() string {
	why := e.Why
	if why == "" {
		why = "it was killed, it crashed, or the machine was restarted"
	}
	return fmt.Sprintf("the drill died in the phase %q: %s", e.Phase, why)
}

// limited gives the drill the time that it has.
func (d *drill) limited(ctx context.Context) (context.Context, context.CancelFunc) {
	if d.Deadline <= 0 {
		return context.WithCancel(ctx)
	}
	return context.WithTimeoutCause(ctx, d.Deadline, &DeadlineError{Deadline: d.Deadline})
}

// noteEnd notes how the drill ended if its context did, and gives the error that says so.
func (d *drill) noteEnd(ctx context.Context, err error) error {
	if ctx.Err() == nil || verdictOf(err) == Fail {
		return err
	}
	if d.ended == nil {
		d.ended = d.endedBy(context.Cause(ctx))
	}
	return d.ended
}

func (d *drill) endedBy(cause error) error {
	phase, spent := d.book.at()
	d.result.Ending.Phase = phase
	if late := (*DeadlineError)(nil); errors.As(cause, &late) {
		d.result.Ending.How = EndedDeadline
		d.judgeLate(phase)
		return &DeadlineError{Deadline: late.Deadline, Phase: phase, Spent: spent}
	}
	d.result.Ending.How = EndedStopped
	return context.Canceled
}

// judgeLate fails a drill that has not come to its target in the time that is promised for a cluster of its size, or for a
// terabyte where it is smaller than that: how long it would have taken is not known, but that is too long.
func (d *drill) judgeLate(phase string) {
	r := d.result
	waits := phase == PhaseFetch || phase == PhaseStart || phase == PhaseReplay
	if !waits || r.RTOSeconds > 0 || r.Backup.Bytes <= 0 {
		return
	}
	promised := time.Duration(max(1, float64(r.Backup.Bytes)/terabyte) * float64(d.Targets.RestorePerTerabyte))
	took := d.Now().Sub(r.Started)
	if took <= promised {
		return
	}
	m := d.against(TargetTime, promised, took)
	m.Actual = "not done after " + spell(took)
	d.setTarget(m)
	d.checks.set(CheckTime, Fail, "%s were not restored after %s: at most %s is promised", size(r.Backup.Bytes), spell(took), spell(promised))
}
