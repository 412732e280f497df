package catalog

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"golang.org/x/sync/errgroup"
)

// heard is what one copy said.
type heard[T any] struct {
	from  *opened
	value T
	err   error
}

// askEach asks all copies at the same time, and returns what they said in the order of nearness. A copy that gives no answer
// is asked once more with all its patience where insist says so, or where none gave any.
func askEach[T any](ctx context.Context, s *copies, insist bool, op func(context.Context, *Cluster) (T, error)) []heard[T] {
	all := make([]heard[T], len(s.list))
	askSome := func(patient bool) {
		var group errgroup.Group
		for i, o := range s.list {
			if patient && !isOutage(all[i].err) {
				continue
			}
			group.Go(func() error {
				value, err := tryCopy(hurried(ctx, patient), s, o, op)
				all[i] = heard[T]{from: o, value: value, err: err}
				return nil // each answer stands for itself
			})
		}
		_ = group.Wait() // no error is passed through it
	}
	askSome(false)
	silent := func(h heard[T]) bool { return isOutage(h.err) }
	if insist || !slices.ContainsFunc(all, func(h heard[T]) bool { return !silent(h) }) {
		askSome(true)
	}
	return all
}

// errorOf is the sum of all errors.
func errorOf[T any](all []heard[T]) error {
	var errs []error
	for _, h := range all {
		errs = append(errs, h.err)
	}
	return errors.Join(errs...)
}

// answered are those that gave what they were asked for. The error is that of all copies where none did, and that of a
// copy which is not one, or whose object is no good.
func answered[T any](all []heard[T]) ([]heard[T], error) {
	var good []heard[T]
	var wrong []error
	for _, h := range all {
		switch {
		case h.err == nil:
			good = append(good, h)
		case !isOutage(h.err):
			wrong = append(wrong, h.err)
		}
	}
	if len(wrong) > 0 {
		return nil, errors.Join(wrong...)
	}
	if len(good) == 0 {
		return nil, errorOf(all)
	}
	return good, nil
}

// unionOfIDs are the ids that any copy has, sorted. A copy that is away adds none.
func (s *copies) unionOfIDs(ctx context.Context, list func(context.Context, *Cluster) ([]string, error)) ([]string, error) {
	all, err := answered(askEach(ctx, s, false, list))
	if err != nil {
		return nil, err
	}
	var ids []string
	for _, h := range all {
		ids = append(ids, h.value...)
	}
	slices.Sort(ids)
	return slices.Compact(ids), nil
}

// hasLater is true where any copy has later WAL, and false only where all of them have answered that they have not.
func (s *copies) hasLater(ctx context.Context, op func(context.Context, *Cluster) (bool, error)) (bool, error) {
	all := askEach(ctx, s, true, op)
	for _, h := range all {
		if h.value && h.err == nil {
			return true, nil
		}
	}
	return false, errorOf(all)
}

// Confirm proves that the repository, and each of its copies, can be asked and still is the cluster's: a store that lost
// it, such as a file system that is not mounted, has an answer for everything else. The error is that of each copy that
// cannot answer for what it does not have.
func (c *Cluster) Confirm(ctx context.Context) error {
	if c.copies != nil {
		confirm := func(ctx context.Context, one *Cluster) (struct{}, error) { return struct{}{}, one.Confirm(ctx) }
		return errorOf(askEach(ctx, c.copies, true, confirm))
	}
	again, err := (&Repository{c.store}).Cluster(ctx, c.name)
	if err != nil {
		return err
	}
	if again.identity != c.identity {
		return fmt.Errorf("cluster %q became another one: %w", c.name,
			&ForeignError{Name: c.name, Have: again.identity, Offered: c.identity})
	}
	return nil
}
