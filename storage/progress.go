package storage

import "context"

type progressKey struct{}

// WithProgress gives ctx a bearer of news: told is called whenever a bucket makes progress that cannot be seen from
// outside, such as a part of an object that arrived. It may be called by any goroutine.
func WithProgress(ctx context.Context, told func()) context.Context {
	return context.WithValue(ctx, progressKey{}, told)
}

// Progress tells who waits for the operation under ctx, if anybody does, that it goes on.
func Progress(ctx context.Context) {
	if told, ok := ctx.Value(progressKey{}).(func()); ok {
		told()
	}
}
