package limit

import (
	"context"
	"fmt"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"lifeboat/storage"
)

const (
	// perSecond is how many slices of a body pass in a second: so small that those who share a limit take turns.
	perSecond = 20
	// maxSlice is the largest slice of a body, in bytes.
	maxSlice = 256 << 10
	// tellEvery is how often somebody who waits says that it goes on.
	tellEvery = time.Second
)

// gauge is a limit and the largest amount that passes it at once; nil lets everything pass.
type gauge struct {
	limiter *rate.Limiter
	slice   int
}

// bytesGauge limits bodies.
func bytesGauge(bytesPerSecond int64) *gauge {
	if bytesPerSecond <= 0 {
		return nil
	}
	slice := int(min(max(bytesPerSecond/perSecond, 1), maxSlice))
	return &gauge{limiter: rate.NewLimiter(rate.Limit(bytesPerSecond), slice), slice: slice}
}

// requestGauge limits operations.
func requestGauge(perSecond float64) *gauge {
	if perSecond <= 0 {
		return nil
	}
	return &gauge{limiter: rate.NewLimiter(rate.Limit(perSecond), 1), slice: 1}
}

// wait returns once n may pass, which is no more than a slice, or ctx ends. Meanwhile it tells who waits for the
// operation that it goes on, so that being slow is not taken for hanging.
func (g *gauge) wait(ctx context.Context, n int) error {
	if g == nil {
		return ctx.Err()
	}
	stop := keepTelling(ctx)
	defer stop()
	err := g.limiter.WaitN(ctx, n)
	if err == nil {
		return nil
	}
	if ended := ctx.Err(); ended != nil {
		return ended
	}
	return fmt.Errorf("%w, by the limit that is set: %w", context.DeadlineExceeded, err)
}

// keepTelling reports progress until it is stopped.
func keepTelling(ctx context.Context) (stop func()) {
	done := make(chan struct{})
	var telling sync.WaitGroup
	telling.Go(func() {
		tick := time.NewTicker(tellEvery)
		defer tick.Stop()
		for {
			storage.Progress(ctx)
			select {
			case <-tick.C:
			case <-done:
				return
			}
		}
	})
	return func() {
		close(done)
		telling.Wait()
	}
}
