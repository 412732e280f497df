package retry

import (
	"context"
	"errors"
	"fmt"
	"time"

	"lifeboat/storage"
)

// watch ends the context of an attempt that makes no progress for the given time.
type watch struct {
	ctx     context.Context
	cancel  context.CancelCauseFunc
	limit   time.Duration
	timer   *time.Timer
	stalled error // the cause of death, and what the attempt is said to have failed with
}

func (b *Bucket) newWatch(ctx context.Context, op, key string) *watch {
	return newWatch(ctx, b.opts.AttemptTimeout, op, key, b.Location())
}

func newWatch(ctx context.Context, limit time.Duration, op, key, location string) *watch {
	limit = storage.Patience(ctx, limit)
	w := &watch{limit: limit}
	w.stalled = &storage.Error{
		Op: op, Key: key, Location: location, Err: fmt.Errorf("no progress for %s: %w", limit, storage.ErrUnavailable),
	}
	w.ctx, w.cancel = context.WithCancelCause(storage.WithProgress(ctx, w.heard))
	if w.limit > 0 {
		w.timer = time.AfterFunc(w.limit, func() { w.cancel(w.stalled) })
	}
	return w
}

// heard is news of progress from below: unlike progress it leaves a pause as it is.
func (w *watch) heard() {
	if w.timer != nil && w.timer.Stop() {
		w.timer.Reset(w.limit)
	}
}

// progress gives the attempt its full time again.
func (w *watch) progress() {
	if w.timer != nil {
		w.timer.Reset(w.limit)
	}
}

// pause stops the watch until the next progress: it is the caller's turn.
func (w *watch) pause() {
	if w.timer != nil {
		w.timer.Stop()
	}
}

// stop ends the attempt and lets go of everything.
func (w *watch) stop() {
	w.pause()
	w.cancel(context.Canceled)
}

// explain replaces the error of an attempt that the watch ended, which speaks of a context, by its cause. An answer
// that came all the same stays.
func (w *watch) explain(err error) error {
	if errors.Is(context.Cause(w.ctx), w.stalled) && errors.Is(err, context.Canceled) {
		return w.stalled
	}
	return err
}
