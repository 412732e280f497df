package stream

import (
	"context"
	"time"
)

const (
	firstPause = 50 * time.Millisecond
	lastPause  = 5 * time.Second
	roomPoll   = 50 * time.Millisecond
)

// backoff makes pauses between attempts longer, each twice as long as the one before.
type backoff struct{ next time.Duration }

func (b *backoff) reset() { b.next = 0 }

func (b *backoff) lengthen() { b.next = min(max(2*b.next, firstPause), lastPause) }

// wait lets the next pause pass, or ctx end.
func (b *backoff) wait(ctx context.Context) {
	b.lengthen()
	sleep(ctx, b.next)
}

// sleep is false where ctx ended first.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
