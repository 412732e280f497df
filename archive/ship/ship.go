// Package ship makes the WAL files of a server durable ahead of being asked. PostgreSQL hands over one file at a time and
// waits for it; whoever looks at archive_status sees all that are ready, and can send many at once
// (https://www.postgresql.org/docs/current/continuous-archiving.html, pgarch.c).
package ship

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
)

// defaultWorkers is how many files are pushed at the same time where the options do not say. Most of them wait for the
// store; how many are worked on is the affair of who pushes.
const defaultWorkers = 16

// Options say what a Shipper ships, and how.
type Options struct {
	// Push makes the file at the path durable before it returns nil. It is called by several goroutines.
	Push func(ctx context.Context, path string) error
	// DataDirectory is the server's. Only files in its pg_wal are taken.
	DataDirectory string
	// Workers is how many files are pushed ahead at the same time, besides the one that is asked for; below one means 16.
	Workers int
	// Ahead is how many files may be durable and not yet asked for; below one means eight for each worker.
	Ahead int
	Clock func() time.Time
	Log   *slog.Logger
}

func (o Options) withDefaults() Options {
	if o.Workers < 1 {
		o.Workers = defaultWorkers
	}
	if o.Ahead < 1 {
		o.Ahead = 8 * o.Workers
	}
	return o
}

// Stats are what a Shipper has done since it began.
type Stats struct {
	Pushed      int64     // files made durable
	Failed      int64     // pushes that failed
	LastSuccess time.Time // zero: none yet
	LastFailure time.Time // zero: none yet
	LastError   string    // of the last failure
}

// Shipper pushes files for the hooks of one server. It is safe for concurrent use.
type Shipper struct {
	o      Options
	pgWAL  string
	ctx    context.Context // of the pushes, which live longer than who asked
	cancel context.CancelFunc
	pushes errgroup.Group

	mu      sync.Mutex
	jobs    map[string]*job // by name
	ahead   int             // jobs that were not asked for: pushing, or durable and waiting
	pushing int             // of those, the ones still pushing
	backlog *backlog
	closed  bool
	stats   Stats
}

// job is the push of one file.
type job struct {
	path  string
	file  fileID
	asked bool
	done  chan struct{} // closed when err holds
	err   error
}

// fileID tells one content of a name from another: segments are recycled under new names only, but a restore or a
// copy puts new files under old ones.
type fileID struct {
	size     int64
	modified time.Time
}

var errClosed = errors.New("the agent is stopping")

// New makes a Shipper that ends with Close.
func New(o Options) *Shipper {
	s := &Shipper{o: o.withDefaults(), pgWAL: filepath.Join(o.DataDirectory, "pg_wal"), jobs: map[string]*job{}}
	s.backlog = newBacklog(filepath.Join(s.pgWAL, "archive_status"))
	s.ctx, s.cancel = context.WithCancel(context.Background())
	return s
}

// Push answers nil when the file at the path is durable, and makes use of the time by pushing further files that are
// ready. When ctx ends first, the push goes on for whoever asks again.
func (s *Shipper) Push(ctx context.Context, path string) error {
	if filepath.Dir(filepath.Clean(path)) != s.pgWAL {
		return fmt.Errorf("%s does not lie in %s", path, s.pgWAL)
	}
	j, err := s.ask(path)
	if err != nil {
		return err
	}
	s.lookAhead()
	select {
	case <-j.done:
		return j.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// ask finds the job of a file, or starts it.
func (s *Shipper) ask(path string) (*job, error) {
	file, err := identify(path)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, errClosed
	}
	name := filepath.Base(path)
	j := s.jobs[name]
	if j != nil && j.file != file && finished(j) {
		s.forget(name, j)
	}
	if j == nil || j.file != file {
		j = s.start(name, path, file)
	} else if !j.asked {
		s.noLongerAhead(j)
	}
	j.asked = true
	return j, nil
}

// noLongerAhead counts a job as one that was asked for.
func (s *Shipper) noLongerAhead(j *job) {
	s.ahead--
	if !finished(j) {
		s.pushing--
	}
}

func finished(j *job) bool {
	select {
	case <-j.done:
		return true
	default:
		return false
	}
}

func identify(path string) (fileID, error) {
	info, err := os.Lstat(path)
	if err != nil {
		return fileID{}, err
	}
	if !info.Mode().IsRegular() {
		return fileID{}, fmt.Errorf("%s is not a regular file", path)
	}
	return fileID{size: info.Size(), modified: info.ModTime()}, nil
}

// start begins a push. The lock is held.
func (s *Shipper) start(name, path string, file fileID) *job {
	j := &job{path: path, file: file, done: make(chan struct{})}
	s.jobs[name] = j
	s.pushes.Go(func() error {
		err := s.o.Push(s.ctx, path)
		s.finish(name, j, err)
		s.lookAhead()
		return nil
	})
	return j
}

// finish publishes how a push ended. A success is remembered until the server has taken note of it; a failure is not, so
// that the file is tried anew when it is asked for.
func (s *Shipper) finish(name string, j *job, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	j.err = err
	close(j.done)
	if !j.asked {
		s.pushing--
	}
	if err != nil {
		s.forget(name, j)
	}
	s.count(j, err)
}

// forget lets go of a job that has ended.
func (s *Shipper) forget(name string, j *job) {
	if s.jobs[name] != j {
		return
	}
	delete(s.jobs, name)
	if !j.asked {
		s.ahead--
	}
}

// prune forgets what is no longer ready: the server has marked it as done.
func (s *Shipper) prune(ready []string) {
	for name, j := range s.jobs {
		if _, waits := slices.BinarySearchFunc(ready, name, byTurn); !waits && finished(j) {
			s.forget(name, j)
		}
	}
}

func (s *Shipper) count(j *job, err error) {
	now := s.o.Clock()
	if err == nil {
		s.stats.Pushed++
		s.stats.LastSuccess = now
		return
	}
	s.stats.Failed++
	s.stats.LastFailure, s.stats.LastError = now, err.Error()
	s.o.Log.Warn("push failed", "file", filepath.Base(j.path), "asked", j.asked, "error", err)
}

// lookAhead starts pushes of files that are ready, as far as workers and memory allow.
func (s *Shipper) lookAhead() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for !s.closed && s.pushing < s.o.Workers && s.ahead < s.o.Ahead {
		if s.backlog.look(s.o.Clock()) {
			s.prune(s.backlog.names)
		}
		name, ok := s.backlog.next(func(name string) bool { return s.jobs[name] != nil })
		if !ok {
			return
		}
		path := filepath.Join(s.pgWAL, name)
		file, err := identify(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue // it was archived and removed meanwhile
		}
		if err != nil {
			s.o.Log.Warn("cannot look ahead", "file", name, "error", err)
			continue
		}
		s.start(name, path, file)
		s.ahead++
		s.pushing++
	}
}

// Stats are the counts up to now.
func (s *Shipper) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stats
}

// Close takes no further files, waits for the pushes under way until ctx ends, and then gives them up: what was not
// answered is PostgreSQL's still.
func (s *Shipper) Close(ctx context.Context) {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	stop := context.AfterFunc(ctx, s.cancel)
	defer stop()
	_ = s.pushes.Wait() // each push has told its own error
	s.cancel()
}
