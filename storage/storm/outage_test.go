package storm

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"log/slog"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"lifeboat/storage"
	"lifeboat/storage/catalog"
	"lifeboat/storage/file"
	"lifeboat/storage/retry"
)

const (
	outage    = 3 * time.Second
	longer    = 2 * time.Minute // than an outage
	shorter   = 2 * time.Second
	forever   = time.Hour   // for a test
	oneBreath = time.Second // without progress, for an attempt that is to hang
	calmly    = time.Minute // the same on a busy machine
)

// coast is a store whose endpoint can vanish.
type coast struct {
	clean   storage.Bucket
	rough   func(retry.Options) storage.Bucket // patient
	leave   func(time.Duration)
	hang    func() // takes every request and answers none, until the endpoint has left
	streams bool   // a body that cannot be read twice outlives an outage, too
}

// journal collects log lines.
type journal struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.Write(p)
}

// lines counts the lines that hold all of the words.
func (j *journal) lines(words ...string) int {
	j.mu.Lock()
	defer j.mu.Unlock()
	count := 0
	for line := range strings.Lines(j.text.String()) {
		all := true
		for _, word := range words {
			all = all && strings.Contains(line, word)
		}
		if all {
			count++
		}
	}
	return count
}

// await waits until so many lines hold all of the words.
func (j *journal) await(t *testing.T, count int, words ...string) {
	t.Helper()
	for end := time.Now().Add(time.Minute); j.lines(words...) < count; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			j.mu.Lock()
			defer j.mu.Unlock()
			t.Errorf("not %d lines with %q in\n%s", count, words, j.text.String())
			return
		}
	}
}

func outagePatience(attempt, total time.Duration, j *journal) retry.Options {
	return retry.Options{
		MinDelay: 10 * time.Millisecond, MaxDelay: 200 * time.Millisecond, AttemptTimeout: attempt,
		TotalTimeout: total, Now: time.Now, Log: slog.New(slog.NewTextHandler(j, nil)),
	}
}

// outages holds what an endpoint that is gone does to who is patient enough, and to who is not.
func outages(t *testing.T, open func(t *testing.T) coast) {
	t.Run("shorter than the patience", func(t *testing.T) {
		t.Parallel()
		surviveOutage(t, open(t))
	})
	t.Run("longer than the patience", func(t *testing.T) {
		t.Parallel()
		c := open(t)
		giveUpInOutage(t, c, func() { c.leave(forever) })
	})
	t.Run("without an answer", func(t *testing.T) {
		t.Parallel()
		c := open(t)
		giveUpInOutage(t, c, c.hang)
	})
	t.Run("in the middle of a backup", func(t *testing.T) {
		t.Parallel()
		backUpInOutage(t, open(t))
	})
}

// settle makes a repository with one segment in it.
func settle(t *testing.T, b storage.Bucket) (*catalog.Cluster, cargo) {
	t.Helper()
	repo, err := catalog.Create(t.Context(), b, stormTime)
	if err != nil {
		t.Fatal(err)
	}
	cluster, err := repo.Register(t.Context(), clusterName, identity(), stormTime)
	if err != nil {
		t.Fatal(err)
	}
	file, content := segment(0, 1)
	if _, err := cluster.PutWAL(t.Context(), file, stormTime); err != nil {
		t.Fatal(err)
	}
	return cluster, cargo{file, content}
}

// surviveOutage pushes and reads while the endpoint is gone: all wait, say so, and succeed when it is back.
func surviveOutage(t *testing.T, c coast) {
	var j journal
	cluster, first := settle(t, c.rough(outagePatience(calmly, longer, &j)))
	second, content := segment(0, 2)
	c.leave(forever)
	var all sync.WaitGroup
	all.Go(func() {
		if stored, err := cluster.PutWAL(t.Context(), second, stormTime); err != nil || !stored {
			t.Errorf("push: %t, %v", stored, err)
		}
	})
	all.Go(func() { wantFile(t, cluster, first) })
	all.Go(func() {
		before := first.file.Name
		before.Seg = 0
		if later, err := cluster.HasLaterWAL(t.Context(), before); err != nil || !later {
			t.Errorf("later WAL: %t, %v", later, err)
		}
	})
	for _, op := range []string{"put", "get", "list"} {
		j.await(t, 3, "level=WARN", "retry storage operation", "operation="+op, "attempt=")
	}
	c.leave(0)
	all.Wait()
	wantFile(t, cluster, cargo{second, content})
}

func wantFile(t *testing.T, c *catalog.Cluster, want cargo) {
	t.Helper()
	var got bytes.Buffer
	if _, err := c.GetWAL(t.Context(), want.file.Name, &got); err != nil || !bytes.Equal(got.Bytes(), want.content) {
		t.Errorf("%s reads back as %d bytes, %v", want.file.Name, got.Len(), err)
	}
}

// lent is a bucket in whose place another one can be put, to have little patience with trouble and much before it.
type lent struct{ storage.Bucket }

// giveUpInOutage waits in vain: every operation ends soon after its patience, with a sentence, and nothing is absent.
func giveUpInOutage(t *testing.T, c coast, begin func()) {
	var j journal
	var calm journal
	b := &lent{c.rough(outagePatience(calmly, longer, &calm))}
	cluster, first := settle(t, b)
	b.Bucket = c.rough(outagePatience(oneBreath, shorter, &j))
	second, content := segment(0, 2)
	begin()
	operations := map[string]func(ctx context.Context) error{
		"push": func(ctx context.Context) error { _, err := cluster.PutWAL(ctx, second, stormTime); return err },
		"again": func(ctx context.Context) error {
			_, err := cluster.PutWAL(ctx, first.file, stormTime)
			return err
		},
		"get": func(ctx context.Context) error {
			_, err := cluster.GetWAL(ctx, first.file.Name, io.Discard)
			return err
		},
		"get none":  func(ctx context.Context) error { _, err := cluster.GetWAL(ctx, second.Name, io.Discard); return err },
		"header":    func(ctx context.Context) error { _, err := cluster.WALHeader(ctx, first.file.Name); return err },
		"later":     func(ctx context.Context) error { _, err := cluster.HasLaterWAL(ctx, second.Name); return err },
		"inventory": func(ctx context.Context) error { _, err := cluster.Inventory(ctx); return err },
		"remove": func(ctx context.Context) error {
			return cluster.RemoveUnfinished(ctx, catalog.NewLabel(stormTime, "full"))
		},
		"open": func(ctx context.Context) error {
			_, err := catalog.Open(ctx, c.rough(outagePatience(oneBreath, shorter, &j)))
			return err
		},
		"create": func(ctx context.Context) error {
			_, err := catalog.Create(ctx, c.rough(outagePatience(oneBreath, shorter, &j)), stormTime)
			return err
		},
	}
	var all sync.WaitGroup
	for name, operation := range operations {
		all.Go(func() {
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute) // only where it hangs
			defer cancel()
			err := operation(ctx)
			if err == nil || ctx.Err() != nil || !strings.Contains(err.Error(), "gave up after") || !storage.Transient(err) {
				t.Errorf("%s: %v", name, err)
			}
			for _, answer := range []error{storage.ErrNotFound, storage.ErrExists, catalog.ErrNoRepository, catalog.ErrNoCluster} {
				if errors.Is(err, answer) {
					t.Errorf("%s takes the outage for an answer: %v", name, err)
				}
			}
		})
	}
	all.Wait()
	if j.lines("level=WARN", "retry storage operation") == 0 {
		t.Error("nothing was said while it lasted")
	}
	c.leave(0)
	arrive(t, c, cargo{second, content})
}

// arrive archives the file once the endpoint is back.
func arrive(t *testing.T, c coast, file cargo) {
	t.Helper()
	var j journal
	cluster := openCluster(t, c.rough(outagePatience(calmly, longer, &j)))
	if _, err := cluster.PutWAL(t.Context(), file.file, stormTime); err != nil {
		t.Errorf("push after the outage: %v", err)
	}
	wantFile(t, cluster, file)
}

func openCluster(t *testing.T, b storage.Bucket) *catalog.Cluster {
	t.Helper()
	repo, err := catalog.Open(t.Context(), b)
	if err != nil {
		t.Fatal(err)
	}
	cluster, err := repo.Cluster(t.Context(), clusterName)
	if err != nil {
		t.Fatal(err)
	}
	return cluster
}

// backUpInOutage loses the endpoint between the files of a backup, which is either made all the same or not there.
func backUpInOutage(t *testing.T, c coast) {
	var j journal
	cluster, _ := settle(t, c.rough(outagePatience(calmly, longer, &j)))
	s := newShip(t.Context(), 0, place{clean: c.clean, flips: func() bool { return false }})
	s.cluster, s.agent = cluster, cluster
	content := tree{"PG_VERSION": []byte("15\n")}
	for i := range 6 {
		content[fmt.Sprintf("base/%d", i)] = noise(rand.New(rand.NewPCG(uint64(i), 0)), largeContent/4)
	}
	label := catalog.NewLabel(stormTime, "full")
	s.trees[label] = content
	time.AfterFunc(20*time.Millisecond, func() { c.leave(outage) })
	err := s.writeBackup(label, content)
	if err == nil {
		s.committed[label] = true
	}
	if c.streams && err != nil {
		t.Errorf("the backup did not outlive the outage: %v", err)
	}
	c.leave(0)
	s.aftermath()
	for _, violation := range s.violations {
		t.Error(violation)
	}
}

// absentee is a store in a directory whose endpoint can vanish, or take requests and never answer.
type absentee struct {
	storage.Bucket
	until   atomic.Int64 // nanoseconds since 1970
	hanging atomic.Bool
}

func (a *absentee) leave(d time.Duration) {
	a.hanging.Store(false)
	a.until.Store(time.Now().Add(d).UnixNano())
}

func (a *absentee) hang() { a.hanging.Store(true) }

func (a *absentee) gone(ctx context.Context, op, key string) error {
	if a.hanging.Load() {
		<-ctx.Done()
		return &storage.Error{Op: op, Key: key, Location: a.Location(), Err: ctx.Err()}
	}
	if time.Now().UnixNano() >= a.until.Load() {
		return nil
	}
	return &storage.Error{Op: op, Key: key, Location: a.Location(), Err: syscall.ECONNREFUSED}
}

func (a *absentee) Put(ctx context.Context, key string, body io.Reader, opts storage.PutOptions) error {
	if err := a.gone(ctx, "put", key); err != nil {
		return err
	}
	return a.Bucket.Put(ctx, key, body, opts)
}

func (a *absentee) Get(ctx context.Context, key string, offset, length int64) (io.ReadCloser, error) {
	if err := a.gone(ctx, "get", key); err != nil {
		return nil, err
	}
	return a.Bucket.Get(ctx, key, offset, length)
}

func (a *absentee) Stat(ctx context.Context, key string) (storage.Info, error) {
	if err := a.gone(ctx, "stat", key); err != nil {
		return storage.Info{}, err
	}
	return a.Bucket.Stat(ctx, key)
}

func (a *absentee) List(ctx context.Context, prefix string) iter.Seq2[storage.Info, error] {
	return func(yield func(storage.Info, error) bool) {
		if err := a.gone(ctx, "list", prefix); err != nil {
			yield(storage.Info{}, err)
			return
		}
		a.Bucket.List(ctx, prefix)(yield)
	}
}

func (a *absentee) Delete(ctx context.Context, key string) error {
	if err := a.gone(ctx, "delete", key); err != nil {
		return err
	}
	return a.Bucket.Delete(ctx, key)
}

func TestFileInOutages(t *testing.T) {
	t.Parallel()
	outages(t, func(t *testing.T) coast {
		clean, err := file.Create(filepath.Join(t.TempDir(), "root"), file.Options{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { clean.Close() })
		a := &absentee{Bucket: clean}
		return coast{
			clean: clean, leave: a.leave, hang: a.hang,
			rough: func(opts retry.Options) storage.Bucket { return retry.Wrap(a, opts) },
		}
	})
}
