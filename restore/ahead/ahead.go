// Package ahead fetches WAL segments before recovery asks for them. PostgreSQL asks for one file at a time and replays it
// before it asks for the next; meanwhile the following ones come, in parallel, into an area of their own.
//
// What lies in the area is whole and verified, or it has another name. That a file is absent is never remembered: each
// time that PostgreSQL asks, the repository is asked.
package ahead

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"

	"golang.org/x/sync/errgroup"

	"lifeboat/internal/wal"
	"lifeboat/restore"
	"lifeboat/storage"
)

// Options say where from and how far ahead.
type Options struct {
	// Answer brings one file to its destination as restore_command is to have it, see restore.Fetch.
	Answer func(ctx context.Context, name, dest string) (restore.Outcome, error)
	// Get brings one segment to a new file, whole and verified, or fails for whatever reason and leaves none.
	Get func(ctx context.Context, name wal.FileName, path string) error
	// Room says whether the area may take another segment. Where it may not, nothing is fetched ahead.
	Room        func() bool
	SegmentSize wal.SegmentSize
	Area        string // an existing directory that nobody else writes to, on the file system of the destinations
	Files       int    // segments in the area, fetched or on their way; at least one
	Log         *slog.Logger
}

// Fetcher serves one recovery. It is safe for concurrent use.
type Fetcher struct {
	o       Options
	ctx     context.Context // of what is fetched ahead, which lives longer than a request
	cancel  context.CancelFunc
	fetches errgroup.Group

	mu    sync.Mutex
	jobs  map[wal.FileName]*job
	count int // of jobs ever, for names in the area
}

// job is one segment on its way to the area, or in it.
type job struct {
	path   string
	done   chan struct{} // closed when err holds
	err    error
	cancel context.CancelFunc
}

// New makes a Fetcher that ends with Close.
func New(o Options) *Fetcher {
	f := &Fetcher{o: o, jobs: map[wal.FileName]*job{}}
	f.ctx, f.cancel = context.WithCancel(context.Background())
	return f
}

// Fetch answers one request of restore_command, like restore.Fetch. What is there or on its way is served from the area;
// all else is fetched first, and only when it was found what follows it.
func (f *Fetcher) Fetch(ctx context.Context, name, dest string) (restore.Outcome, error) {
	file, err := wal.ParseFileName(name)
	if err != nil || file.Kind != wal.Segment || file.ValidFor(f.o.SegmentSize) != nil {
		return f.o.Answer(ctx, name, dest)
	}
	if j := f.take(file); j != nil {
		f.LookAhead(file)
		if f.serve(ctx, j, dest) {
			return restore.Found, nil
		}
	}
	outcome, err := f.o.Answer(ctx, name, dest)
	if outcome == restore.Found {
		f.LookAhead(file)
	}
	return outcome, err
}

// take hands over the job of a segment, which nobody else gets then.
func (f *Fetcher) take(file wal.FileName) *job {
	f.mu.Lock()
	defer f.mu.Unlock()
	j := f.jobs[file]
	delete(f.jobs, file)
	return j
}

// serve puts what a job has brought to the destination. Whatever is wrong with it, the file is fetched anew.
func (f *Fetcher) serve(ctx context.Context, j *job, dest string) bool {
	defer f.drop(j)
	select {
	case <-j.done:
	case <-ctx.Done():
		return false
	}
	if j.err != nil {
		return false
	}
	if err := os.Rename(j.path, dest); err != nil {
		f.o.Log.Warn("a segment that was fetched ahead is fetched again", "file", filepath.Base(dest), "error", err)
		return false
	}
	return true
}

// drop ends a job and removes what it has left.
func (f *Fetcher) drop(j *job) {
	j.cancel()
	f.fetches.Go(func() error {
		<-j.done
		return remove(j.path)
	})
}

func remove(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

// LookAhead fetches the segments that follow file on its timeline, and drops what no recovery that is there will ask for.
// A segment that could not be had is tried again. Of what lies beyond the end of the archive only the first is asked for.
func (f *Fetcher) LookAhead(file wal.FileName) {
	f.mu.Lock()
	defer f.mu.Unlock()
	wanted := f.following(file)
	for name, j := range f.jobs {
		if !slices.Contains(wanted, name) {
			delete(f.jobs, name)
			f.drop(j)
		}
	}
	for _, next := range wanted {
		j := f.jobs[next]
		err := failure(j)
		if err != nil {
			delete(f.jobs, next)
			f.drop(j)
		}
		if f.jobs[next] == nil {
			if f.ctx.Err() != nil || !f.o.Room() {
				return
			}
			f.start(next)
		}
		if errors.Is(err, storage.ErrNotFound) {
			return
		}
	}
}

func (f *Fetcher) following(file wal.FileName) []wal.FileName {
	segno := file.SegmentNumber(f.o.SegmentSize)
	wanted := make([]wal.FileName, f.o.Files)
	for i := range wanted {
		wanted[i] = wal.SegmentFile(file.Timeline, segno+1+wal.SegmentNumber(i), f.o.SegmentSize)
	}
	return wanted
}

// failure is how a job has failed; nil where it has not, or not yet.
func failure(j *job) error {
	if j == nil {
		return nil
	}
	select {
	case <-j.done:
		return j.err
	default:
		return nil
	}
}

// start begins to fetch a segment into the area. The lock is held.
func (f *Fetcher) start(file wal.FileName) {
	f.count++
	j := &job{path: filepath.Join(f.o.Area, file.String()+"."+strconv.Itoa(f.count)), done: make(chan struct{})}
	ctx, cancel := context.WithCancel(f.ctx)
	j.cancel = cancel
	f.jobs[file] = j
	f.fetches.Go(func() error {
		defer cancel()
		j.err = f.o.Get(ctx, file, j.path)
		close(j.done)
		return nil
	})
}

// Close ends all that is under way, and empties the area.
func (f *Fetcher) Close() error {
	f.cancel()
	f.mu.Lock()
	for name, j := range f.jobs {
		delete(f.jobs, name)
		f.drop(j)
	}
	f.mu.Unlock()
	return f.fetches.Wait()
}
