package catalog

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"lifeboat/storage"
)

// ErrLeaseHeld says that somebody else holds the lease.
var ErrLeaseHeld = errors.New("the lease is held")

// ErrLeaseLost says that a lease ended before it was renewed or given back, or that somebody else holds it.
var ErrLeaseLost = errors.New("the lease was lost")

// LeaseRequest says which lease is wanted.
type LeaseRequest struct {
	What   string        // what only one may do at a time, such as "agent-backup": a valid id
	Holder string        // who asks, for people
	TTL    time.Duration // how long the lease lasts unless it is renewed; at least MinLease
	// Clock gives times with a monotonic reading, such as time.Now. Only differences count, so that it may be set at will.
	Clock func() time.Time
	// Token tells the holder from all others: at least 12 characters that nobody can guess, such as NewToken gives; a new one
	// where empty. A lease that somebody with the same token held before is taken over at once, so no two may use one at the
	// same time: who holds on to a token must know that whoever used it before is dead.
	Token string
}

// NewToken is a token for leases.
func NewToken() string { return idNonce() + idNonce() }

// MinLease is the shortest time that a lease can be asked for.
const MinLease = 2 * time.Second

// Lease is the right to be the only one who does something, until its deadline. It is for one goroutine.
//
// Whether a lease of somebody else has ended is told by the times at which the store says that objects were stored, and
// by nothing else. So no clock of any machine but the store's counts; if that is set forward, a lease can end early.
// Leases are claimed by conditional creates: of any number of contenders one gets it. Who stops at the deadline is alone
// until then: the deadline counts from before the lease was asked for, by the monotonic clock, and leaves a tenth of its
// time as a margin; others wait a second longer than it lasts, since some stores keep times to the second.
type Lease struct {
	cluster  *Cluster
	request  LeaseRequest
	nonce    string // tells this lease from all others
	sequence uint64
	deadline time.Time
}

// leaseSlack is how much longer than a lease lasts others wait: stores that keep times to the second cut the rest off.
const leaseSlack = time.Second

// leaseBody is the body of a lease's document.
type leaseBody struct {
	What     string `json:"what"`
	Sequence uint64 `json:"sequence"`
	Holder   string `json:"holder"`
	Nonce    string `json:"nonce"`
	TTL      int64  `json:"ttl_ms"`
	Released bool   `json:"released,omitempty"` // this one ends the one before
}

// Acquire takes a lease. ErrLeaseHeld where it is not free; any other error leaves open who holds it. Of several copies the
// nearest one that can be reached gives the lease, so that two who do not reach the same copy can both have it.
func (c *Cluster) Acquire(ctx context.Context, r LeaseRequest) (lease *Lease, err error) {
	if c.copies != nil {
		err = c.copies.decide(ctx, func(ctx context.Context, c *Cluster) (err error) {
			lease, err = c.Acquire(ctx, r)
			return err
		})
		return lease, err
	}
	if err := r.check(); err != nil {
		return nil, fmt.Errorf("acquire lease: %w", err)
	}
	l := &Lease{cluster: c, request: r, nonce: cmp.Or(r.Token, NewToken())}
	if err := l.acquire(ctx); err != nil {
		return nil, fmt.Errorf("acquire lease %s: %w", r.What, err)
	}
	return l, nil
}

func (r LeaseRequest) check() error {
	if r.TTL < MinLease {
		return fmt.Errorf("a lease of %s is shorter than %s", r.TTL, MinLease)
	}
	if r.Token != "" && (len(r.Token) < len(NewToken()) || !ValidID(r.Token)) {
		return fmt.Errorf("token %q of lease %s: %w", r.Token, r.What, ErrName)
	}
	return checkID("lease", r.What)
}

func (l *Lease) acquire(ctx context.Context) error {
	highest, err := l.cluster.highestLease(ctx, l.request.What)
	if err != nil {
		return err
	}
	if highest.sequence > 0 && highest.body.Nonce != l.nonce {
		if err := l.cluster.checkLeaseEnded(ctx, highest); err != nil {
			return err
		}
	}
	err = l.claim(ctx, highest.sequence+1)
	if errors.Is(err, storage.ErrExists) || errors.Is(err, ErrLeaseLost) {
		return ErrLeaseHeld // somebody was faster
	}
	return err
}

// Deadline is when the holder must have stopped, by the clock of the request.
func (l *Lease) Deadline() time.Time { return l.deadline }

// Renew makes the lease last its whole time from now on. After any error the deadline is what it was. ErrLeaseLost means
// that the lease cannot be renewed any more.
func (l *Lease) Renew(ctx context.Context) error {
	if !l.request.Clock().Before(l.deadline) {
		return fmt.Errorf("renew lease %s: its time is over: %w", l.request.What, ErrLeaseLost)
	}
	if err := l.claimNext(ctx); err != nil {
		return fmt.Errorf("renew lease %s: %w", l.request.What, err)
	}
	return nil
}

// claimNext claims the next sequence that is free. One that is taken may be that of an attempt whose answer was lost.
func (l *Lease) claimNext(ctx context.Context) error {
	for sequence := l.sequence + 1; ; sequence++ {
		err := l.claim(ctx, sequence)
		if !errors.Is(err, storage.ErrExists) {
			return err
		}
		taken, err := l.cluster.readLease(ctx, l.request.What, sequence)
		if err != nil && !errors.Is(err, storage.ErrNotFound) {
			return err
		}
		if err != nil || taken.body.Nonce != l.nonce {
			return ErrLeaseLost
		}
	}
}

// Release gives the lease back before its time. A lease that was lost is no error.
func (l *Lease) Release(ctx context.Context) error {
	l.deadline = l.request.Clock()
	body := l.body(l.sequence + 1)
	body.TTL, body.Released = 0, true
	err := l.cluster.claimDocument(ctx, l.cluster.leaseKey(l.request.What, l.sequence+1), kindLease, body)
	if err != nil && !errors.Is(err, storage.ErrExists) {
		return fmt.Errorf("release lease %s: %w", l.request.What, err)
	}
	return nil
}

func (l *Lease) body(sequence uint64) leaseBody {
	return leaseBody{
		What: l.request.What, Sequence: sequence, Holder: l.request.Holder, Nonce: l.nonce, TTL: l.request.TTL.Milliseconds(),
	}
}

// claim creates the document of the sequence, and makes sure that it is the last one: an object that was swept away could
// be created once more by somebody who was asleep since. storage.ErrExists, ErrLeaseLost.
func (l *Lease) claim(ctx context.Context, sequence uint64) error {
	asked := l.request.Clock()
	err := l.cluster.claimDocument(ctx, l.cluster.leaseKey(l.request.What, sequence), kindLease, l.body(sequence))
	if err != nil {
		return err
	}
	sequences, err := l.cluster.leaseSequences(ctx, l.request.What)
	if err != nil {
		return err
	}
	deadline := asked.Add(l.request.TTL - l.request.TTL/10)
	if len(sequences) == 0 || sequences[len(sequences)-1] != sequence || !l.request.Clock().Before(deadline) {
		return ErrLeaseLost
	}
	l.sequence, l.deadline = sequence, deadline
	l.cluster.sweepLeases(ctx, l.request.What, sequences[:len(sequences)-1])
	return nil
}

// sweepLeases removes documents that nobody looks at any more. What cannot be removed is expiry's affair.
func (c *Cluster) sweepLeases(ctx context.Context, what string, sequences []uint64) {
	for _, old := range sequences {
		if c.bucket.Delete(ctx, c.leaseKey(what, old)) != nil {
			return
		}
	}
}

// storedLease is the document of a lease, and when it was stored.
type storedLease struct {
	sequence uint64 // 0: there is none
	body     leaseBody
	stored   time.Time // by the store's clock
}

// LeaseEnded is when a lease was given back, by the store's clock; zero where it is held, was lost, or never was taken.
func (c *Cluster) LeaseEnded(ctx context.Context, what string) (time.Time, error) {
	if err := checkID("lease", what); err != nil {
		return time.Time{}, err
	}
	highest, err := c.highestLease(ctx, what)
	if errors.Is(err, ErrLeaseHeld) || err == nil && !highest.body.Released {
		return time.Time{}, nil
	}
	return highest.stored, err
}

// highestLease is the last document of a lease, which says who holds it.
func (c *Cluster) highestLease(ctx context.Context, what string) (storedLease, error) {
	sequences, err := c.leaseSequences(ctx, what)
	if err != nil || len(sequences) == 0 {
		return storedLease{}, err
	}
	highest, err := c.readLease(ctx, what, sequences[len(sequences)-1])
	if errors.Is(err, storage.ErrNotFound) {
		return highest, ErrLeaseHeld // it was swept away by somebody who has it now
	}
	return highest, err
}

func (c *Cluster) readLease(ctx context.Context, what string, sequence uint64) (storedLease, error) {
	l := storedLease{sequence: sequence}
	key := c.leaseKey(what, sequence)
	info, err := c.bucket.Stat(ctx, key)
	if err != nil {
		return l, err
	}
	l.stored = info.ModTime
	if err := c.getDocument(ctx, key, kindLease, &l.body); err != nil {
		return l, err
	}
	if l.body.What != what || l.body.Sequence != sequence {
		return l, damaged(key, "is the document %d of lease %q", l.body.Sequence, l.body.What)
	}
	return l, nil
}

// checkLeaseEnded is ErrLeaseHeld while the lease lasts, by the store's clock.
func (c *Cluster) checkLeaseEnded(ctx context.Context, l storedLease) error {
	if l.body.Released {
		return nil
	}
	now, err := c.storeTime(ctx, l.body.What)
	if err != nil {
		return err
	}
	if now.Before(l.stored.Add(time.Duration(l.body.TTL)*time.Millisecond + leaseSlack)) {
		return fmt.Errorf("%w by %s", ErrLeaseHeld, l.body.Holder)
	}
	return nil
}

// storeTime is what the clock of the store says, told by an object that is stored for this and then removed.
func (c *Cluster) storeTime(ctx context.Context, what string) (time.Time, error) {
	id := idNonce() + idNonce()
	key := c.probeKey(what, id)
	if err := c.claimDocument(ctx, key, kindProbe, probeBody{What: what, ID: id}); err != nil {
		return time.Time{}, fmt.Errorf("ask for the store's time: %w", err)
	}
	info, err := c.bucket.Stat(ctx, key)
	if err != nil {
		return time.Time{}, fmt.Errorf("ask for the store's time: %w", err)
	}
	if err := c.bucket.Delete(ctx, key); err != nil && !errors.Is(err, fs.ErrPermission) {
		return time.Time{}, fmt.Errorf("remove what told the store's time: %w", err)
	}
	return info.ModTime, nil
}
