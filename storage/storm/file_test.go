package storm

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"lifeboat/storage"
	"lifeboat/storage/fault"
	"lifeboat/storage/file"
)

func TestFileInStorms(t *testing.T) {
	t.Parallel()
	sail(t, openFile)
}

func openFile(t *testing.T, seed uint64) place {
	t.Helper()
	clean, err := file.Create(filepath.Join(t.TempDir(), "root"), file.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { clean.Close() })
	rules, flips := randomRules(seed)
	script := fault.NewSet(rules...)
	return place{
		clean: clean, rough: fault.Wrap(clean, script), script: rulesText(rules),
		fired: func() map[string]int { return map[string]int{"rules": len(rules) - countMissing(script)} },
		flips: func() bool { return flips },
	}
}

// countMissing is how many rules had less effect than they were to have.
func countMissing(script *fault.Set) int {
	err := script.AllFired()
	if err == nil {
		return 0
	}
	return strings.Count(err.Error(), "\n") + 1
}

// rulesText prints rules.
type rulesText []fault.Rule

func (rules rulesText) String() string {
	var text strings.Builder
	for _, r := range rules {
		fmt.Fprintf(&text, "%s after %d, %d times: %+v\n", r.Op, r.After, r.Times, r.Action)
	}
	return text.String()
}

// randomRules is trouble as faultproxy.Random makes it, for a store that is no server. It says whether bytes are
// changed.
func randomRules(seed uint64) (rules []fault.Rule, flips bool) {
	rng := rand.New(rand.NewPCG(seed, 1))
	ops := []fault.Op{fault.Put, fault.Put, fault.Get, fault.Get, fault.Stat, fault.List, fault.Delete}
	stalls := 0
	for range 1 + rng.IntN(10) {
		rule := fault.Rule{Op: ops[rng.IntN(len(ops))], After: rng.IntN(25), Times: 1 + rng.IntN(4)}
		switch kind := rng.IntN(8); {
		case kind == 0 && stalls < 2:
			stalls++
			rule.Times, rule.Action = 1, randomStall(rng)
		case kind == 1 && rule.Op == fault.Get:
			flips = true
			rule.Action = fault.FlipByte(offset(rng))
		default:
			rule.Action = randomAction(rng)
		}
		rules = append(rules, rule)
	}
	return rules, flips
}

func randomStall(rng *rand.Rand) fault.Action {
	if rng.IntN(2) == 0 {
		return fault.Stall()
	}
	return fault.StallBody(offset(rng))
}

func randomAction(rng *rand.Rand) fault.Action {
	reasons := []error{
		storage.ErrUnavailable, io.ErrUnexpectedEOF, syscall.ECONNRESET, syscall.ESTALE, syscall.ETIMEDOUT,
		syscall.EIO, errors.New("something unheard of"),
	}
	err := fmt.Errorf("as the script says: %w", reasons[rng.IntN(len(reasons))])
	switch rng.IntN(5) {
	case 0:
		return fault.Fail(err)
	case 1, 2:
		return fault.LoseResponse(err)
	case 3:
		return fault.Truncate(offset(rng), err)
	default:
		return fault.Delay(time.Duration(rng.Int64N(int64(20 * time.Millisecond))))
	}
}

// offset is one in a body, of all orders of magnitude up to a mebibyte.
func offset(rng *rand.Rand) int64 { return rng.Int64N(1 << rng.IntN(21)) }
