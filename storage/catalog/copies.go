package catalog

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"lifeboat/storage"
)

// Copy is one of several repositories that hold the same cluster.
type Copy struct {
	Name string // for people
	// Open opens the cluster in this repository. It is called when the copy is first needed, and again after an error.
	Open func(context.Context) (*Cluster, error)
}

// OpenCopies makes one cluster of its copies, the nearest first. Only as many are opened as it takes to know the
// cluster's identity; the others follow when they are needed.
//
// Reads take the nearest copy that answers and fall over to the next one where it is away, lacks the object, or holds it
// damaged; a copy that was away is asked last from then on. That something is absent is said only where every copy has
// answered so: one that could not be asked leaves it unknown. PutWAL stores into all copies; whatever else is stored
// goes to the nearest one that can be reached, and Fill brings it to the others.
//
// A copy that belongs to another PostgreSQL cluster is a *ForeignError. The error is that of all copies where none opens.
func OpenCopies(ctx context.Context, list ...Copy) (*Cluster, error) {
	s := &copies{}
	for _, one := range list {
		s.list = append(s.list, &opened{Copy: one})
	}
	first, err := ask(ctx, s, func(_ context.Context, c *Cluster) (*Cluster, error) { return c, nil })
	if err != nil || len(list) == 1 {
		return first, err
	}
	s.want.Store(&first.identity)
	joined := *first
	joined.copies = s
	return &joined, nil
}

// WithCopies is the cluster with further copies of it, see OpenCopies. Each is called by the place of its repository.
func (c *Cluster) WithCopies(others ...*Cluster) *Cluster {
	if len(others) == 0 {
		return c
	}
	s := &copies{}
	for _, one := range append([]*Cluster{c}, others...) {
		s.list = append(s.list, &opened{Copy: Copy{
			Name: one.bucket.Location(), Open: func(context.Context) (*Cluster, error) { return one, nil },
		}})
	}
	s.want.Store(&c.identity)
	joined := *c
	joined.copies = s
	return &joined
}

// HasCopies says whether the cluster lies in several repositories.
func (c *Cluster) HasCopies() bool { return c.copies != nil }

// copies are the copies of one cluster, the nearest first.
type copies struct {
	list []*opened
	want atomic.Pointer[Identity] // nil until one copy has said it
}

// opened is a copy with what is known of it.
type opened struct {
	Copy
	away atomic.Bool // it could not be asked the last time

	mu      sync.Mutex // guards cluster
	cluster *Cluster   // nil until it could be opened
}

// open opens the copy once, and proves that it is one.
func (o *opened) open(ctx context.Context, want *Identity) (*Cluster, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.cluster == nil {
		c, err := o.Open(ctx)
		if err != nil {
			return nil, err
		}
		o.cluster = c
	}
	if want != nil && o.cluster.identity != *want {
		return nil, &ForeignError{Name: o.cluster.name, Have: o.cluster.identity, Offered: *want}
	}
	return o.cluster, nil
}

// hurry is for how long a copy may go without progress while there is another one to ask.
const hurry = 10 * time.Second

// order is the order to ask in: by nearness, and behind all those that were away the last time.
func (s *copies) order() []*opened {
	var present, away []*opened
	for _, o := range s.list {
		if o.away.Load() {
			away = append(away, o)
		} else {
			present = append(present, o)
		}
	}
	return append(present, away...)
}

// tryCopy asks one copy, and remembers whether it was there to answer.
func tryCopy[T any](ctx context.Context, s *copies, o *opened, op func(context.Context, *Cluster) (T, error)) (T, error) {
	var value T
	c, err := o.open(ctx, s.want.Load())
	if err == nil {
		value, err = op(ctx, c)
	}
	if ctx.Err() == nil {
		o.away.Store(isOutage(err))
	}
	if err != nil {
		return value, fmt.Errorf("repository %s: %w", o.Name, err)
	}
	return value, nil
}

// isOutage says whether err leaves open what the copy holds. What an object holds, or that there is none, is an answer.
func isOutage(err error) bool {
	var incomparable *IncomparableError
	if err == nil || isProblem(err) || isLocked(err) || Contradicts(err) || errors.As(err, &incomparable) {
		return false
	}
	for _, answer := range []error{storage.ErrNotFound, storage.ErrExists, ErrName, ErrCommitted, ErrNoRecipients} {
		if errors.Is(err, answer) {
			return false
		}
	}
	return true
}

// ask asks one copy after the other until one has what is wanted: first each in a hurry, then once more, with all the
// patience that they have, those that gave no answer. The error is storage.ErrNotFound only where all copies say so;
// otherwise it holds what each of the others says.
func ask[T any](ctx context.Context, s *copies, op func(context.Context, *Cluster) (T, error)) (T, error) {
	var none T
	said := map[*opened]error{}
	order := s.order()
	for _, patient := range []bool{len(order) == 1, true} {
		for _, o := range order {
			if err, asked := said[o]; asked && !isOutage(err) {
				continue
			}
			value, err := tryCopy(hurried(ctx, patient), s, o, op)
			if err == nil || ctx.Err() != nil {
				return value, err
			}
			said[o] = err
		}
		if len(order) == 1 {
			break
		}
	}
	return none, joinCopies(order, said)
}

// put does something with the nearest copy that takes it.
func put(ctx context.Context, s *copies, op func(context.Context, *Cluster) error) error {
	_, err := ask(ctx, s, func(ctx context.Context, c *Cluster) (struct{}, error) { return struct{}{}, op(ctx, c) })
	return err
}

func hurried(ctx context.Context, patient bool) context.Context {
	if patient {
		return ctx
	}
	return storage.WithPatience(ctx, hurry)
}

// ErrNotSeen says that no copy which could be asked has the object, and that others could not be asked. So it may be there
// or not.
var ErrNotSeen = errors.New("not in any repository that could be asked")

// joinCopies is the sum of what copies said that do not have what was wanted.
func joinCopies(order []*opened, said map[*opened]error) error {
	var absent, others []error
	for _, o := range order {
		switch err := said[o]; {
		case errors.Is(err, storage.ErrNotFound):
			absent = append(absent, err)
		case err != nil:
			others = append(others, err)
		}
	}
	if len(others) == 0 {
		return errors.Join(absent...)
	}
	if len(absent) > 0 && !slices.ContainsFunc(others, func(err error) bool { return !isOutage(err) }) {
		return fmt.Errorf("%w: %w", ErrNotSeen, errors.Join(others...))
	}
	return errors.Join(others...)
}
