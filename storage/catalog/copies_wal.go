package catalog

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"lifeboat/internal/wal"
)

// getWAL brings the file whole to local disk before dst sees a byte of it, so that no copy's half ends up in dst.
func (s *copies) getWAL(ctx context.Context, name wal.FileName, dst io.Writer) (WALHeader, error) {
	if dst == io.Discard {
		return ask(ctx, s, func(ctx context.Context, c *Cluster) (WALHeader, error) { return c.GetWAL(ctx, name, dst) })
	}
	whole, err := unnamedFile()
	if err != nil {
		return WALHeader{}, err
	}
	defer whole.Close()
	h, err := ask(ctx, s, func(ctx context.Context, c *Cluster) (WALHeader, error) {
		_, seekErr := whole.Seek(0, io.SeekStart)
		if err := errors.Join(seekErr, whole.Truncate(0)); err != nil {
			return WALHeader{}, err
		}
		return c.GetWAL(ctx, name, whole)
	})
	if err != nil {
		return WALHeader{}, err
	}
	if _, err := io.Copy(dst, io.NewSectionReader(whole, 0, h.Size)); err != nil {
		return WALHeader{}, fmt.Errorf("read %s: write plain file: %w", name, err)
	}
	return h, nil
}

// StoreOptions say when a file counts as stored.
type StoreOptions struct {
	// Durable is in how many copies the file must be before the others are only waited for a little; below one means one.
	Durable int
	// Grace is how long that is. Zero means for as long as they need.
	Grace time.Duration
	// Later names copies that are tried only where the others are not enough.
	Later []string
}

// CopyResult is what became of a file in one copy.
type CopyResult struct {
	Copy   string
	Stored bool   // false: the same file was there already, or Err says why not
	SHA256 string // of the file that is durable there, hexadecimal; empty where Err is not nil
	Err    error  // errors.Is finds ErrNotTried
}

// ErrNotTried says that a copy was left out, see StoreOptions.Later.
var ErrNotTried = errors.New("not tried, as it could not be reached a moment ago")

// errLate says that a copy was not waited for.
var errLate = errors.New("not waited for any longer, since the file is safe elsewhere")

// Repositories is how many copies of the cluster there are.
func (c *Cluster) Repositories() int {
	if c.copies == nil {
		return 1
	}
	return len(c.copies.list)
}

// StoreWAL is PutWAL into each copy at the same time, and returns what became of it in each, the nearest first. Of a
// cluster with one copy there is one result.
func (c *Cluster) StoreWAL(ctx context.Context, f WALFile, now time.Time, o StoreOptions) []CopyResult {
	if c.copies == nil {
		sum, stored, err := c.storeFile(ctx, f, now)
		return []CopyResult{{Copy: c.bucket.Location(), Stored: stored, SHA256: sum, Err: err}}
	}
	s := &storing{copies: c.copies, file: f, now: now, options: o, results: make([]CopyResult, len(c.copies.list))}
	s.options.Durable = max(1, o.Durable)
	var first, later []int
	for i, copied := range c.copies.list {
		s.results[i] = CopyResult{Copy: copied.Name, Err: ErrNotTried}
		if slices.Contains(o.Later, copied.Name) {
			later = append(later, i)
		} else {
			first = append(first, i)
		}
	}
	s.store(ctx, first)
	if int(s.durable.Load()) < s.options.Durable {
		s.store(ctx, later)
	}
	return s.results
}

// storing is one file on its way to all copies.
type storing struct {
	copies  *copies
	file    WALFile
	now     time.Time
	options StoreOptions
	results []CopyResult
	durable atomic.Int64
}

func (s *storing) store(ctx context.Context, into []int) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var group errgroup.Group
	for _, i := range into {
		group.Go(func() error {
			result := &s.results[i]
			sum, err := tryCopy(ctx, s.copies, s.copies.list[i], func(ctx context.Context, c *Cluster) (sum string, err error) {
				sum, result.Stored, err = c.storeFile(ctx, s.file, s.now)
				return sum, err
			})
			if err != nil && errors.Is(context.Cause(ctx), errLate) {
				err = fmt.Errorf("%w: %w", errLate, err)
			}
			result.SHA256, result.Err = sum, err
			if err == nil && int(s.durable.Add(1)) == s.options.Durable && s.options.Grace > 0 {
				timer := time.AfterFunc(s.options.Grace, func() { cancel(errLate) })
				context.AfterFunc(ctx, func() { timer.Stop() })
			}
			return nil // each result stands for itself
		})
	}
	_ = group.Wait() // no error is passed through it
}

// putWAL stores the file into all copies. One is enough; a copy that holds something else is an error all the same.
func (s *copies) putWAL(ctx context.Context, c *Cluster, f WALFile, now time.Time) (stored bool, err error) {
	var refused []error
	durable := false
	for _, r := range c.StoreWAL(ctx, f, now, StoreOptions{}) {
		stored = stored || r.Stored
		durable = durable || r.Err == nil
		if r.Err != nil {
			refused = append(refused, r.Err)
		}
	}
	err = errors.Join(refused...)
	if durable && !Contradicts(err) {
		return stored, nil
	}
	return false, err
}

// Contradicts says whether a copy refuses a file because it knows better: it holds another one of the name, or belongs to
// another cluster. That must not be passed over, however many other copies took the file.
func Contradicts(err error) bool {
	var conflict *ConflictError
	var foreign *ForeignError
	return errors.As(err, &conflict) || errors.As(err, &foreign)
}
