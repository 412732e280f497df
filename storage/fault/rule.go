// Package fault makes a bucket fail by a script, so that tests can see what the layers above do about it.
package fault

import (
	"errors"
	"fmt"
	"path"
	"sync"
)

// Op is an operation of a bucket.
type Op string

// The operations.
const (
	Put    Op = "put"
	Get    Op = "get"
	Stat   Op = "stat"
	List   Op = "list"
	Delete Op = "delete"
)

// Rule says what happens to which operations.
type Rule struct {
	Op Op
	// Key is a pattern of path.Match for the key, or the prefix of a List; empty means any.
	Key string
	// After is how many matching operations pass unharmed before.
	After int
	// Times is how many are then harmed: zero means one, and less than that all.
	Times int
	// Action is what happens.
	Action Action
}

// Set is a script: rules that each count for themselves. Where several apply to one operation, all of them do, in
// order. It is safe for concurrent use.
type Set struct {
	mu    sync.Mutex
	rules []*state
}

type state struct {
	Rule
	set     *Set
	matched int
	fired   int
}

// NewSet makes a script. It panics on a rule whose pattern is malformed, which is a mistake in the test.
func NewSet(rules ...Rule) *Set {
	s := &Set{}
	for _, r := range rules {
		if _, err := path.Match(r.Key, ""); err != nil {
			panic(fmt.Sprintf("fault rule for %q: %v", r.Key, err))
		}
		s.rules = append(s.rules, &state{Rule: r, set: s})
	}
	return s
}

// AllFired is an error that names each rule that had less effect than it was to have: one that is due all the time
// must have fired once, the others as often as they say. A rule fires when its effect is felt, so a cut after a
// megabyte does not fire for a reader who stops before it.
func (s *Set) AllFired() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var missing []error
	for _, r := range s.rules {
		if want := max(r.times(), 1); r.fired < want {
			missing = append(missing, fmt.Errorf("rule %q fired %d of %d times", r, r.fired, want))
		}
	}
	return errors.Join(missing...)
}

// due gives the rules that apply to an operation, and counts it.
func (s *Set) due(op Op, key string) []*state {
	s.mu.Lock()
	defer s.mu.Unlock()
	var due []*state
	for _, r := range s.rules {
		if r.matches(op, key) && r.count() {
			due = append(due, r)
		}
	}
	return due
}

func (r *state) matches(op Op, key string) bool {
	if r.Op != op {
		return false
	}
	matched, _ := path.Match(r.Key, key) // the pattern was checked when the set was made
	return matched || r.Key == ""
}

// count counts one more match and reports whether the rule is due for it.
func (r *state) count() bool {
	r.matched++
	nth := r.matched - r.After
	return nth > 0 && (r.times() < 0 || nth <= r.times())
}

func (r *state) times() int {
	if r.Times == 0 {
		return 1
	}
	return r.Times
}

func (r *state) fire() {
	r.set.mu.Lock()
	defer r.set.mu.Unlock()
	r.fired++
}

func (r *state) String() string { return fmt.Sprintf("%s %s: %s", r.Op, r.Key, r.Action.name) }
