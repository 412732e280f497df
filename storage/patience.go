package storage

import (
	"context"
	"time"
)

type patienceKey struct{}

// WithPatience asks the operations under ctx to give up after about d without progress, since there is another place to
// ask. It never makes a bucket more patient than it is.
func WithPatience(ctx context.Context, d time.Duration) context.Context {
	return context.WithValue(ctx, patienceKey{}, d)
}

// Patience is the shorter of d, where zero means for ever, and what WithPatience asks for.
func Patience(ctx context.Context, d time.Duration) time.Duration {
	asked, ok := ctx.Value(patienceKey{}).(time.Duration)
	if !ok || d > 0 && d <= asked {
		return d
	}
	return asked
}
