package catalog

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"
)

// Hold does the work while it keeps the lease, and then gives it back. The context of the work ends with ErrLeaseLost as
// its cause when the lease cannot be kept; the work must have stopped then at once. The error is that of the work, and
// ErrLeaseLost where the lease was.
func (l *Lease) Hold(ctx context.Context, work func(context.Context) error) error {
	working, stop := context.WithCancelCause(ctx)
	var group errgroup.Group
	group.Go(func() error {
		defer stop(nil)
		return work(working)
	})
	group.Go(func() error { return l.keep(working, stop) })
	err := group.Wait()
	if errors.Is(err, ErrLeaseLost) || errors.Is(context.Cause(working), ErrLeaseLost) {
		return errors.Join(err, fmt.Errorf("lease %s: %w", l.request.What, ErrLeaseLost))
	}
	return errors.Join(err, l.Release(context.WithoutCancel(ctx)))
}

// keep renews the lease each third of its time until ctx ends. Trouble is tried again until the deadline.
func (l *Lease) keep(ctx context.Context, stop context.CancelCauseFunc) error {
	for {
		pause := min(l.request.TTL/3, l.deadline.Sub(l.request.Clock()))
		timer := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case <-timer.C:
		}
		before, cancel := context.WithTimeout(ctx, l.deadline.Sub(l.request.Clock()))
		err := l.Renew(before)
		cancel()
		if ctx.Err() == nil && (errors.Is(err, ErrLeaseLost) || err != nil && !l.request.Clock().Before(l.deadline)) {
			stop(ErrLeaseLost)
			return err
		}
	}
}
