package retry

import (
	"context"
	"errors"
	"fmt"
	"time"

	"lifeboat/storage"
)

// Keys of log records.
const (
	logOperation = "operation"
	logKey       = "key"
	logAttempt   = "attempt"
	logDelay     = "delay"
	logError     = "error"
)

// effort is the sum of attempts at one operation.
type effort struct {
	Options
	op, key string
	since   time.Time // when it began, or last made progress
	failed  int       // attempts since then
}

// Do repeats one attempt at something as a Bucket would: for drivers that send an object in parts and hold each of them
// until it has arrived. The context of an attempt ends when it makes no progress, see storage.Progress; who waits for
// the whole is told of each attempt.
func Do(ctx context.Context, opts Options, location, op, key string, attempt func(context.Context) error) error {
	opts = opts.withDefaults()
	e := &effort{Options: opts, op: op, key: key, since: opts.Now()}
	for {
		storage.Progress(ctx)
		w := newWatch(ctx, opts.AttemptTimeout, op, key, location)
		err := w.explain(attempt(w.ctx))
		w.stop()
		if err == nil {
			storage.Progress(ctx)
			return nil
		}
		if err := e.again(ctx, err); err != nil {
			return err
		}
	}
}

func (b *Bucket) begin(op, key string) *effort {
	return &effort{Options: b.opts, op: op, key: key, since: b.opts.Now()}
}

// progress makes the patience start anew.
func (e *effort) progress() {
	e.since = e.Now()
	e.failed = 0
}

// again is to be called after an attempt failed with err. It waits and returns nil if there is to be another one, and
// otherwise returns the error to give up with.
func (e *effort) again(ctx context.Context, err error) error {
	var own *bodyError
	if errors.As(err, &own) {
		return own.err
	}
	if ctx.Err() != nil || !storage.Transient(err) {
		return err
	}
	e.failed++
	delay := e.delay(e.failed)
	if limit := storage.Patience(ctx, e.TotalTimeout); limit > 0 && e.Now().Add(delay).Sub(e.since) >= limit {
		return fmt.Errorf("gave up after %d attempts: %w", e.failed, err)
	}
	e.Log.Warn("retry storage operation", logOperation, e.op, logKey, e.key, logAttempt, e.failed+1, logDelay, delay, logError, err)
	if stopped := e.Sleep(ctx, delay); stopped != nil {
		return fmt.Errorf("%w, after: %w", stopped, err)
	}
	return nil
}
