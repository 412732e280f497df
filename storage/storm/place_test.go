package storm

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"lifeboat/storage"
	"lifeboat/storage/catalog"
	"lifeboat/storage/catalog/seal"
	"lifeboat/storage/catalog/sign"
	"lifeboat/storage/retry"
)

// place is a store with two ways to it.
type place struct {
	clean  storage.Bucket        // straight to the store
	rough  storage.Bucket        // through the trouble, without patience
	script fmt.Stringer          // the trouble
	fired  func() map[string]int // how often each kind of it came
	flips  func() bool           // whether bytes of objects were changed on their way to the reader
	keys   catalog.Keys          // none for a plain repository
}

// patience is that of the clients of a schedule: a third of them give up at the second failure.
func patience(seed uint64) retry.Options {
	rng := rand.New(rand.NewPCG(seed, 3))
	opts := retry.Options{
		MinDelay: time.Millisecond, MaxDelay: 20 * time.Millisecond,
		AttemptTimeout: 600 * time.Millisecond, TotalTimeout: 2 * time.Second, Now: time.Now,
	}
	if rng.IntN(3) == 0 {
		opts.TotalTimeout = 2 * time.Millisecond
	}
	return opts
}

func setting(t *testing.T, name string, usual uint64) uint64 {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return usual
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return n
}

// newKeys are those of a sealed and signed repository.
func newKeys(t *testing.T) catalog.Keys {
	t.Helper()
	identity, recipient, err := seal.Generate(false)
	if err != nil {
		t.Fatal(err)
	}
	secret, public, err := sign.Generate()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "signing.key")
	if err := os.WriteFile(path, secret, 0o600); err != nil {
		t.Fatal(err)
	}
	var keys catalog.Keys
	var trusted sign.PublicKey
	keys.Recipients, err = seal.ParseRecipients([]string{recipient})
	if err == nil {
		keys.Identities, err = seal.ParseIdentities(strings.NewReader(identity))
	}
	if err == nil {
		keys.Signer, err = sign.ReadSigner(path)
	}
	if err == nil {
		trusted, err = sign.ParsePublicKey(string(public))
	}
	if err != nil {
		t.Fatal(err)
	}
	keys.Trusted = []sign.PublicKey{trusted}
	return keys
}

// sail runs the schedules on the places that open makes, several at a time. Those with odd seeds seal and sign.
func sail(t *testing.T, open func(t *testing.T, seed uint64) place) {
	t.Helper()
	first, count := setting(t, "LIFEBOAT_STORM_FROM", 0), setting(t, "LIFEBOAT_STORMS", 25)
	keys := newKeys(t)
	var all log
	t.Run("schedules", func(t *testing.T) {
		for seed := first; seed < first+count; seed++ {
			t.Run(strconv.FormatUint(seed, 10), func(t *testing.T) {
				t.Parallel()
				p := open(t, seed)
				if seed%2 == 1 {
					p.keys = keys
				}
				found := voyage(t.Context(), seed, p)
				for _, violation := range found.violations {
					t.Error(violation)
				}
				if t.Failed() {
					t.Logf("seed %d, %s", seed, p.script)
				}
				found.fired = p.fired()
				all.add(found)
			})
		}
	})
	t.Logf("%d schedules: %s", count, &all)
	if count >= 10 && (len(all.fired) == 0 || all.acknowledged == 0 || all.failed == 0 || all.backups == 0 || all.reads == 0) {
		t.Errorf("the schedules prove nothing: %s", &all)
	}
}

// log is what came of one voyage, or of many.
type log struct {
	mu           sync.Mutex
	violations   []string
	fired        map[string]int // faults that were felt, by kind
	acknowledged int            // WAL files
	failed       int            // operations that gave up
	backups      int            // that were committed
	reads        int            // that succeeded
}

// violation notes what must never happen.
func (l *log) violation(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.violations = append(l.violations, fmt.Sprintf(format, args...))
}

func (l *log) count(n *int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	*n++
}

func (l *log) add(other *log) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.violations = append(l.violations, other.violations...)
	for kind, n := range other.fired {
		if l.fired == nil {
			l.fired = map[string]int{}
		}
		l.fired[kind] += n
	}
	l.acknowledged += other.acknowledged
	l.failed += other.failed
	l.backups += other.backups
	l.reads += other.reads
}

func (l *log) String() string {
	return fmt.Sprintf("faults felt %v, %d WAL files acknowledged, %d backups committed, %d reads, %d operations gave up, %d violations",
		l.fired, l.acknowledged, l.backups, l.reads, l.failed, len(l.violations))
}
