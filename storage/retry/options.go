// Package retry repeats operations of a bucket that failed for a passing reason.
package retry

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"time"
)

const (
	minDelay = 100 * time.Millisecond
	maxDelay = 10 * time.Second
)

// Options bound the patience of a bucket.
type Options struct {
	// MinDelay and MaxDelay bound the time between two attempts: the nth delay is chosen evenly between zero and
	// MinDelay * 2^(n-1), or MaxDelay if that is less, so that many clients do not come back at once. Zero means 100 ms
	// and 10 s.
	MinDelay, MaxDelay time.Duration
	// AttemptTimeout ends an attempt that has made no progress for so long: no answer, and no byte of the body and no
	// entry of the listing. The attempt counts as failed for a passing reason. Zero means no limit. It must leave
	// room for what a store does after the last byte, such as a sync.
	AttemptTimeout time.Duration
	// TotalTimeout is after how long without progress no further attempt is made; for a Put since it began. It never
	// cuts an attempt short, so an operation takes at most the two timeouts together. Zero means no limit, so that
	// only the context ends it.
	TotalTimeout time.Duration

	// Now is the clock and must be given, Sleep waits until the time is over or the context ends, and Random gives numbers from zero to
	// below one. Sleep and Random may be nil, for the usual ones.
	Now    func() time.Time
	Sleep  func(ctx context.Context, d time.Duration) error
	Random func() float64
	// Log gets a warning for each repeated attempt; nil discards them.
	Log *slog.Logger
}

func (o Options) withDefaults() Options {
	if o.MinDelay == 0 {
		o.MinDelay = minDelay
	}
	if o.MaxDelay == 0 {
		o.MaxDelay = maxDelay
	}
	if o.Sleep == nil {
		o.Sleep = sleep
	}
	if o.Random == nil {
		o.Random = rand.Float64
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return o
}

// delay chooses the time to wait before the attempt after so many failed ones.
func (o Options) delay(failed int) time.Duration {
	limit := o.MinDelay
	for range failed - 1 {
		if limit >= o.MaxDelay/2 {
			limit = o.MaxDelay
			break
		}
		limit *= 2
	}
	return time.Duration(o.Random() * float64(min(limit, o.MaxDelay)))
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
