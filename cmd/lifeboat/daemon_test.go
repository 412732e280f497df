package main

import (
	"context"
	"log/slog"
	"sync"
	"testing"
	"time"
)

// clock is a clock of a machine that somebody sets.
type clock struct {
	mu    sync.Mutex
	ahead time.Duration
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return time.Now().Add(c.ahead)
}

func (c *clock) step(by time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ahead += by
}

func TestADaemonLivesWhileItsMainLoopGoesRound(t *testing.T) {
	t.Parallel()
	var c clock
	g := &daemon{app: &app{now: c.now, log: slog.New(slog.DiscardHandler)}}
	ctx, hang := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		g.loop(ctx, nil)
	}()
	revives := func(what string) {
		t.Helper()
		for begun := time.Now(); !g.alive(); time.Sleep(10 * time.Millisecond) {
			if time.Since(begun) > time.Minute {
				t.Fatalf("it is not alive %s", what)
			}
		}
	}
	revives("at the start")
	c.step(time.Hour)
	revives("after a step of the clock")
	c.step(-2 * time.Hour)
	revives("after a step back")
	hang()
	<-ended
	if !g.alive() {
		t.Error("one beat late is no hang")
	}
	c.step(deadAfter)
	if g.alive() {
		t.Error("a main loop that hangs counts as alive")
	}
}
