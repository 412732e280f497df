package catalog_test

import (
	"errors"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"lifeboat/internal/objectstore"
	"lifeboat/internal/wal"
	"lifeboat/storage/catalog"
)

const (
	enoughTurns = 5               // for a contest to prove something
	tooLong     = 5 * time.Minute // for a contest with enough turns, which needs some 15 s
)

// court notes who holds the lease.
type court struct {
	mu     sync.Mutex
	holder int       // -1: nobody
	until  time.Time // when the holder stops to think so, by the machine's clock
	turns  int       // that are over
}

// enter notes that somebody thinks now that the lease is theirs until then, and reports who else does, if anybody.
func (c *court) enter(me int, until time.Time) (other int, both bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	other, both = c.holder, c.holder >= 0 && c.holder != me && now.Before(c.until) && now.Before(until)
	c.holder, c.until = me, until
	return other, both
}

func (c *court) leave(me int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.holder == me {
		c.holder = -1
	}
}

func (c *court) endTurn() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.turns++
}

func (c *court) enough() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.turns >= enoughTurns
}

// contest lets contenders take, renew, keep, forget and give back one lease, with clocks that are hours apart, until there
// were enough turns, and makes sure that no two think at the same time that they have it.
func contest(t *testing.T, c *catalog.Cluster) {
	t.Helper()
	held := &court{holder: -1}
	var group errgroup.Group
	end := time.Now().Add(tooLong)
	for i := range 5 {
		group.Go(func() error {
			r := rand.New(rand.NewPCG(uint64(i), 9))
			shift := time.Duration(r.IntN(48)-24) * time.Hour
			clock := func() time.Time { return time.Now().Add(shift) } // hours off, and as steady as the machine's
			req := catalog.LeaseRequest{What: "contest", Holder: "contender", TTL: catalog.MinLease, Clock: clock}
			for !held.enough() && time.Now().Before(end) {
				l, err := c.Acquire(t.Context(), req)
				if err != nil && !errors.Is(err, catalog.ErrLeaseHeld) {
					return err
				}
				if err != nil {
					time.Sleep(time.Duration(r.IntN(200)) * time.Millisecond)
					continue
				}
				if err := hold(t, l, shift, r, held, i); err != nil {
					return err
				}
				held.endTurn()
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		t.Error(err)
	}
	if !held.enough() {
		t.Errorf("only %d turns: the contest proves nothing", held.turns)
	}
}

// hold works under the lease until close to its deadline, some renewals, or a while, and gives it back or forgets it.
func hold(t *testing.T, l *catalog.Lease, shift time.Duration, r *rand.Rand, held *court, me int) error {
	renewals := r.IntN(3)
	for {
		until := l.Deadline().Add(-shift)
		if other, both := held.enter(me, until); both {
			t.Errorf("%d holds the lease, and so does %d", other, me)
		}
		working := time.Duration(r.Int64N(int64(catalog.MinLease)))
		time.Sleep(min(working, time.Until(until)-20*time.Millisecond))
		held.leave(me)
		if renewals == 0 {
			break
		}
		renewals--
		if err := l.Renew(t.Context()); errors.Is(err, catalog.ErrLeaseLost) {
			return nil
		} else if err != nil {
			return err
		}
	}
	if r.IntN(2) == 0 {
		return nil // as if it had crashed
	}
	return l.Release(t.Context())
}

func TestNoTwoHoldALease(t *testing.T) {
	t.Parallel()
	t.Run("here", func(t *testing.T) {
		t.Parallel()
		contestIn(t, objectstore.NewPlace(t))
	})
	objectstore.Elsewhere(t, contestIn)
}

func contestIn(t *testing.T, p *objectstore.Place) {
	now := time.Now()
	identity := catalog.Identity{SystemIdentifier: 7123456789012345678, WALSegmentSize: wal.MinSegmentSize}
	cluster, err := p.Create(t, now).Register(t.Context(), "main", identity, now)
	if err != nil {
		t.Fatal(err)
	}
	contest(t, cluster)
}
