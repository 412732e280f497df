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

// contest lets contenders take, renew, keep, forget and give back one lease, with clocks that are hours apart, and makes
// sure that no two think at the same time that they have it.
func contest(t *testing.T, c *catalog.Cluster, length time.Duration) {
	t.Helper()
	var mu sync.Mutex
	holder, turns := -1, 0
	var group errgroup.Group
	end := time.Now().Add(length)
	for i := range 5 {
		group.Go(func() error {
			r := rand.New(rand.NewPCG(uint64(i), 9))
			shift := time.Duration(r.IntN(48)-24) * time.Hour
			clock := func() time.Time { return time.Now().Add(shift) } // hours off, and as steady as the machine's
			req := catalog.LeaseRequest{What: "contest", Holder: "contender", TTL: catalog.MinLease, Clock: clock}
			for time.Now().Before(end) {
				l, err := c.Acquire(t.Context(), req)
				if err != nil && !errors.Is(err, catalog.ErrLeaseHeld) {
					return err
				}
				if err != nil {
					time.Sleep(time.Duration(r.IntN(200)) * time.Millisecond)
					continue
				}
				if err := hold(t, l, clock, r, &mu, &holder, i); err != nil {
					return err
				}
				mu.Lock()
				turns++
				mu.Unlock()
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		t.Error(err)
	}
	if turns < 4 {
		t.Errorf("only %d turns: the contest proves nothing", turns)
	}
}

// hold works under the lease until close to its deadline, some renewals, or a while, and gives it back or forgets it.
func hold(t *testing.T, l *catalog.Lease, clock func() time.Time, r *rand.Rand, mu *sync.Mutex, holder *int, me int) error {
	renewals := r.IntN(3)
	for {
		until := l.Deadline()
		mu.Lock()
		if *holder >= 0 && *holder != me && clock().Before(until) {
			t.Errorf("%d holds the lease, and so does %d", *holder, me)
		}
		*holder = me
		mu.Unlock()
		working := time.Duration(r.Int64N(int64(catalog.MinLease)))
		time.Sleep(min(working, until.Sub(clock())-20*time.Millisecond))
		mu.Lock()
		if *holder == me {
			*holder = -1
		}
		mu.Unlock()
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
	contest(t, cluster, 15*time.Second)
}
