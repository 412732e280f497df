package tell

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
)

// Channel is a way to tell somebody.
type Channel interface {
	// Name is what the channel is called in logs, metrics and the memory: a short word, the same after a restart.
	Name() string
	// Send returns nil only when the other side has said that it has the message. Its errors hold no secret.
	Send(ctx context.Context, m Message) error
}

const (
	sendPatience = 30 * time.Second
	firstPause   = 15 * time.Second
	longestPause = 15 * time.Minute
)

// Teller compares conditions with those before and tells what has changed. Rounds follow one another; all else may be called
// at any time.
type Teller struct {
	path string
	now  func() time.Time
	log  *slog.Logger

	mu     sync.Mutex
	memory *memory
	kept   []byte // what was last written
	failed map[string]int
}

// New makes a teller that remembers in the file at path. A file that is lost or cannot be understood costs that what is
// bad is told once more.
func New(path string, now func() time.Time, log *slog.Logger) *Teller {
	m, err := readMemory(path)
	if err != nil {
		log.Warn("what is bad will be told once more", "error", err)
	}
	return &Teller{path: path, now: now, log: log, memory: m, failed: map[string]int{}}
}

// Round takes the conditions of this moment and tells each channel what it has not heard: changes, and after each remind
// what is still bad. Subjects that are not among the conditions stay as they were. It returns when each channel
// has taken its message or failed; what failed is tried again in a later round.
func (t *Teller) Round(ctx context.Context, conditions []Condition, channels []Channel, remind time.Duration) {
	t.prepare(conditions, channels, remind)
	var sending errgroup.Group
	for _, c := range channels {
		sending.Go(func() error {
			t.send(ctx, c)
			return nil
		})
	}
	_ = sending.Wait() // each has told its own error
	t.mu.Lock()
	defer t.mu.Unlock()
	t.keep()
}

// prepare puts what there is to tell into the channels' outboxes, and writes that down before anything is sent.
func (t *Teller) prepare(conditions []Condition, channels []Channel, remind time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	m := t.memory
	changes := m.note(t.now(), conditions, remind)
	boxes := map[string]*outbox{}
	for _, c := range channels {
		box := m.Channels[c.Name()]
		if box == nil {
			box = &outbox{Waiting: m.bad(conditions)}
		} else {
			box.Waiting = sumUp(append(box.Waiting, changes...))
		}
		boxes[c.Name()] = box
	}
	m.Channels = boxes
	t.keep()
}

// keep writes the memory down. Where that fails the round goes on: it may be told twice, but it is told.
func (t *Teller) keep() {
	raw, err := json.Marshal(t.memory)
	if err == nil && bytes.Equal(raw, t.kept) {
		return
	}
	if err := t.memory.write(t.path); err != nil {
		t.log.Error("what was told is not remembered after a restart", "error", err)
		return
	}
	t.kept = raw
}

// send tells one channel all that waits for it, as one message.
func (t *Teller) send(ctx context.Context, c Channel) {
	waiting := t.waiting(c.Name())
	if len(waiting) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, sendPatience)
	defer cancel()
	err := c.Send(ctx, newMessage(waiting, t.now()))
	t.mu.Lock()
	defer t.mu.Unlock()
	box := t.memory.Channels[c.Name()]
	if box == nil {
		return
	}
	if err != nil {
		box.Failures++
		t.failed[c.Name()]++
		box.NextTry = t.now().Add(pauseAfter(box.Failures))
		t.log.Warn("a notification could not be delivered, and will be tried again", "channel", c.Name(), "changes", len(waiting), "error", err)
		return
	}
	box.Waiting, box.Failures, box.NextTry = box.Waiting[len(waiting):], 0, time.Time{}
	t.log.Info("a notification was delivered", "channel", c.Name(), "changes", len(waiting))
}

// waiting is what waits for a channel, nothing where it is to be left alone for a while.
func (t *Teller) waiting(channel string) []Change {
	t.mu.Lock()
	defer t.mu.Unlock()
	box := t.memory.Channels[channel]
	if box == nil || box.NextTry.After(t.now()) && box.NextTry.Sub(t.now()) <= longestPause {
		return nil
	}
	return slices.Clone(box.Waiting)
}

func pauseAfter(failures int) time.Duration {
	return min(longestPause, firstPause<<min(failures-1, 10))
}

// Backlog is how a channel is doing.
type Backlog struct {
	Waiting  int // changes that it was not told of yet
	Failures int // messages that could not be delivered, since the start
}

// Backlogs are those of all channels, by name.
func (t *Teller) Backlogs() map[string]Backlog {
	t.mu.Lock()
	defer t.mu.Unlock()
	all := map[string]Backlog{}
	for name, box := range t.memory.Channels {
		all[name] = Backlog{Waiting: len(box.Waiting), Failures: t.failed[name]}
	}
	return all
}
