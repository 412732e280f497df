package faultproxy

import (
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"sync"
)

// Rule says what happens to which requests.
type Rule struct {
	// Method is that of the request; empty means any.
	Method string
	// URI is a regular expression that the request's path and query, as sent, must match; empty means any.
	URI string
	// After is how many matching requests pass unharmed before.
	After int
	// Times is how many are then harmed: zero means one, and less than that all.
	Times int
	// Action is what happens.
	Action Action
}

// Script is a list of rules that each count for themselves. Where several apply to one request, all of them do, in
// order, until one has answered it. It is safe for concurrent use.
type Script struct {
	mu    sync.Mutex
	rules []*state
	calm  bool
}

type state struct {
	Rule
	script  *Script
	uri     *regexp.Regexp
	matched int
	fired   int
}

// NewScript makes a script. It panics on a rule whose expression is malformed, which is a mistake in the test.
func NewScript(rules ...Rule) *Script {
	s := &Script{}
	for _, r := range rules {
		s.rules = append(s.rules, &state{Rule: r, script: s, uri: regexp.MustCompile(r.URI)})
	}
	return s
}

// Calm ends all trouble but that which is under way.
func (s *Script) Calm() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calm = true
}

// Fired counts, by the name of the action, how often the rules had an effect.
func (s *Script) Fired() map[string]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	fired := map[string]int{}
	for _, r := range s.rules {
		if r.fired > 0 {
			fired[r.Action.name] += r.fired
		}
	}
	return fired
}

// AllFired is an error that names each rule that had less effect than it was to have: one that is due all the time
// must have fired once, the others as often as they say. A rule fires when its effect is felt, so a cut after a
// megabyte does not fire on a shorter body.
func (s *Script) AllFired() error {
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

// String lists the rules, one a line.
func (s *Script) String() string {
	lines := make([]string, 0, len(s.rules))
	for _, r := range s.rules {
		lines = append(lines, r.String())
	}
	return strings.Join(lines, "\n")
}

// due gives the rules that apply to a request, and counts it.
func (s *Script) due(r *http.Request) []*state {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.calm {
		return nil
	}
	var due []*state
	for _, rule := range s.rules {
		if rule.matches(r) && rule.count() {
			due = append(due, rule)
		}
	}
	return due
}

func (r *state) matches(request *http.Request) bool {
	return (r.Method == "" || r.Method == request.Method) && r.uri.MatchString(request.RequestURI)
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
	r.script.mu.Lock()
	defer r.script.mu.Unlock()
	r.fired++
}

func (r *state) String() string {
	what := strings.TrimSpace(r.Action.name + " " + r.Action.with)
	return fmt.Sprintf("%s %s after %d, %d times: %s", orAny(r.Method), orAny(r.URI), r.After, r.times(), what)
}

func orAny(s string) string {
	if s == "" {
		return "any"
	}
	return s
}
