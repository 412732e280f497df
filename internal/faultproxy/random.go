package faultproxy

import (
	"math/rand/v2"
	"net/http"
	"time"
)

const (
	maxRules   = 8
	maxPassed  = 40 // requests that pass before a rule begins
	maxStalls  = 2  // per script: each costs the client its patience
	maxAbsence = 150 * time.Millisecond
	maxDelay   = 40 * time.Millisecond
)

// Random makes a script of one to eight rules that depends on the seed alone. Each harms one to four of the first
// requests, at most two of them by a stall, and delays, slow bodies and absences are short: all trouble together is
// some seconds, so that a client with little patience gets through or gives up soon. Only bytes of objects on their way
// to the client are changed, since a script is to run over connections that nothing else protects.
func Random(seed uint64) *Script {
	r := &dice{rng: rand.New(rand.NewPCG(seed, 0x6c696665626f6174))}
	rules := make([]Rule, 1+r.rng.IntN(maxRules))
	for i := range rules {
		rules[i] = r.rule()
	}
	return NewScript(rules...)
}

// dice chooses.
type dice struct {
	rng    *rand.Rand
	stalls int
}

func (d *dice) rule() Rule {
	methods := []string{"", "", http.MethodGet, http.MethodPut, http.MethodPost, http.MethodHead, http.MethodDelete}
	rule := Rule{
		Method: methods[d.rng.IntN(len(methods))],
		After:  d.rng.IntN(maxPassed),
		Times:  1 + d.rng.IntN(4),
	}
	if d.stalls < maxStalls && d.rng.IntN(8) == 0 {
		d.stalls++
		rule.Times = 1
		rule.Action = d.stall()
		return rule
	}
	rule.Action = d.action()
	return rule
}

func (d *dice) stall() Action {
	switch d.rng.IntN(3) {
	case 0:
		return Stall()
	case 1:
		return StallLost()
	default:
		return StallAnswer(d.offset())
	}
}

// action chooses one that takes no longer than a moment.
func (d *dice) action() Action {
	plain := []func() Action{
		Reset, Close, LoseAnswer, LoseAnswer, Unavailable, TooManyRequests, SlowDown, InternalError, ErrorInOK, LoginPage, LostPage,
	}
	sized := []func() Action{
		func() Action { return CutAnswer(d.offset()) },
		func() Action { return CutUpload(d.offset()) },
		func() Action { return FlipAnswer(d.offset()) },
		func() Action { return SlowAnswer(1<<20, 64<<10) },
		func() Action { return SlowUpload(1<<20, 64<<10) },
		func() Action { return Delay(d.time(maxDelay)) },
		func() Action { return Leave(d.time(maxAbsence)) },
	}
	all := append(plain, sized...)
	return all[d.rng.IntN(len(all))]()
}

// offset is one in a body, of all orders of magnitude up to a mebibyte.
func (d *dice) offset() int64 { return d.rng.Int64N(1 << d.rng.IntN(21)) }

func (d *dice) time(limit time.Duration) time.Duration {
	return time.Duration(d.rng.Int64N(int64(limit)))
}
