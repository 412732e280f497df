package catalog

import (
	"context"
	"errors"
	"io"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"lifeboat/storage"
	"lifeboat/storage/fault"
)

// sceneLease is how long the leases of a test last that does not wait for their end: longer than a busy machine takes.
const sceneLease = 5 * time.Minute

func request(what, holder string) LeaseRequest {
	return LeaseRequest{What: what, Holder: holder, TTL: sceneLease, Clock: time.Now}
}

// acquire takes a lease that must be free.
func (s *scene) acquire(t *testing.T, what, holder string) *Lease {
	t.Helper()
	return must(s.cluster.Acquire(t.Context(), request(what, holder)))(t)
}

func TestLeaseIsForOne(t *testing.T) {
	t.Parallel()
	inEachForm(t, func(t *testing.T, form form) {
		s := form.scene(t)
		l := s.acquire(t, "backup", "db1")
		_, err := s.cluster.Acquire(t.Context(), request("backup", "db2"))
		if !errors.Is(err, ErrLeaseHeld) || !strings.Contains(err.Error(), "by db1") {
			t.Errorf("held: %v", err)
		}
		s.acquire(t, "census", "db2") // another matter
		if err := l.Renew(t.Context()); err != nil {
			t.Error(err)
		}
		if err := l.Release(t.Context()); err != nil {
			t.Error(err)
		}
		if err := l.Renew(t.Context()); !errors.Is(err, ErrLeaseLost) {
			t.Errorf("renewed when it was given back: %v", err)
		}
		s.acquire(t, "backup", "db2")
		if err := l.Release(t.Context()); err != nil {
			t.Errorf("given back twice: %v", err)
		}
		if report := must(s.repo.Scrub(t.Context(), ScrubOptions{}))(t); !report.clean() {
			t.Errorf("scrub says %+v", report)
		}
	})
}

func TestLeaseRequestThatCannotBe(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	for name, change := range map[string]func(*LeaseRequest){
		"name":  func(r *LeaseRequest) { r.What = "a/b" },
		"short": func(r *LeaseRequest) { r.TTL = time.Millisecond },
	} {
		r := request("x", "y")
		change(&r)
		if _, err := s.cluster.Acquire(t.Context(), r); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
}

// agedBucket lets the store say that all is stored now, but for what lies at some keys, which was some time before.
type agedBucket struct {
	storage.Bucket
	old func(key string) bool
	by  time.Duration
}

func (b agedBucket) Stat(ctx context.Context, key string) (storage.Info, error) {
	info, err := b.Bucket.Stat(ctx, key)
	info.ModTime = sceneTime
	if b.old(key) {
		info.ModTime = sceneTime.Add(-b.by)
	}
	return info, err
}

func TestLeaseEndsByTheStoresClock(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.acquire(t, "backup", "db1")
	first := s.cluster.leaseKey("backup", 1)
	for age, free := range map[time.Duration]bool{
		0: false, sceneLease: false, sceneLease + leaseSlack - 1: false, sceneLease + leaseSlack: true, time.Hour: true,
	} {
		aged := agedBucket{Bucket: s.bucket, old: func(key string) bool { return key == first }, by: age}
		l, err := s.through(aged).Acquire(t.Context(), request("backup", "db2"))
		if (err == nil) != free {
			t.Errorf("%s old: %v", age, err)
		}
		if l != nil {
			for _, sequence := range must(s.cluster.leaseSequences(t.Context(), "backup"))(t) {
				_ = s.bucket.Delete(t.Context(), s.cluster.leaseKey("backup", sequence))
			}
			s.acquire(t, "backup", "db1")
		}
	}
}

func TestLostAnswersOfLeases(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	l := s.acquire(t, "backup", "db1")
	l.cluster = s.faulty(t, fault.Rule{Op: fault.Put, Action: fault.LoseResponse(errOutage)})
	before := l.Deadline()
	if err := l.Renew(t.Context()); !errors.Is(err, errOutage) || l.Deadline() != before {
		t.Errorf("answer was lost: %v", err)
	}
	if err := l.Renew(t.Context()); err != nil {
		t.Errorf("behind one's own attempt: %v", err)
	}
	if _, err := s.cluster.Acquire(t.Context(), request("backup", "db2")); !errors.Is(err, ErrLeaseHeld) {
		t.Errorf("held: %v", err)
	}
}

// A contender that slept since it looked may find the place free that it then saw as the next one, since old documents
// are removed. It must not think that it has the lease.
func TestSleeperDoesNotGetALeaseThatOthersTook(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	sleeper := &Lease{cluster: s.cluster, request: request("backup", "sleeper"), nonce: "s"}
	if err := s.acquire(t, "backup", "db1").Release(t.Context()); err != nil {
		t.Fatal(err)
	}
	highest := must(s.cluster.highestLease(t.Context(), "backup"))(t)
	l := s.acquire(t, "backup", "db2")
	if err := errors.Join(l.Renew(t.Context()), l.Renew(t.Context())); err != nil {
		t.Fatal(err)
	}
	if err := sleeper.claim(t.Context(), highest.sequence+1); !errors.Is(err, ErrLeaseLost) {
		t.Errorf("the sleeper: %v", err)
	}
	if err := l.Renew(t.Context()); err != nil {
		t.Errorf("the holder: %v", err)
	}
}

func TestLeaseWithoutTheRightToDelete(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	c := s.faulty(t, fault.Rule{Op: fault.Delete, Times: -1, Action: fault.Fail(os.ErrPermission)})
	l := must(c.Acquire(t.Context(), request("backup", "db1")))(t)
	if _, err := c.Acquire(t.Context(), request("backup", "db2")); !errors.Is(err, ErrLeaseHeld) {
		t.Errorf("held: %v", err)
	}
	if err := errors.Join(l.Renew(t.Context()), l.Renew(t.Context()), l.Release(t.Context())); err != nil {
		t.Error(err)
	}
	must(c.Acquire(t.Context(), request("backup", "db2")))(t)
}

func TestOutageIsNoLease(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.acquire(t, "backup", "db1")
	for _, op := range []fault.Op{fault.List, fault.Put, fault.Stat, fault.Get} {
		c := s.faulty(t, fault.Rule{Op: op, Action: fault.Fail(errOutage)})
		if _, err := c.Acquire(t.Context(), request("backup", "db2")); !errors.Is(err, errOutage) || errors.Is(err, ErrLeaseHeld) {
			t.Errorf("%s fails: %v", op, err)
		}
	}
}

// clockedBucket keeps the times at which objects were stored by the clock of the bubble that a test runs in.
type clockedBucket struct {
	storage.Bucket
	mu     sync.Mutex
	stored map[string]time.Time
}

func (b *clockedBucket) Put(ctx context.Context, key string, body io.Reader, opts storage.PutOptions) error {
	err := b.Bucket.Put(ctx, key, body, opts)
	if err == nil {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.stored[key] = time.Now()
	}
	return err
}

func (b *clockedBucket) Stat(ctx context.Context, key string) (storage.Info, error) {
	info, err := b.Bucket.Stat(ctx, key)
	b.mu.Lock()
	defer b.mu.Unlock()
	info.ModTime = b.stored[key]
	return info, err
}

// inBubble runs a test in which time passes only while everybody waits, for the store as well.
func inBubble(t *testing.T, test func(t *testing.T, s *scene)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := newScene(t)
		s.bucket = &clockedBucket{Bucket: s.bucket, stored: map[string]time.Time{}}
		s.cluster = s.through(s.bucket)
		test(t, s)
	})
}

// brief is the request for the shortest lease.
func brief(what, holder string) LeaseRequest {
	r := request(what, holder)
	r.TTL = MinLease
	return r
}

func TestHoldKeepsTheLeaseWhileTheWorkLasts(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, s *scene) {
		l := must(s.cluster.Acquire(t.Context(), brief("backup", "db1")))(t)
		err := l.Hold(t.Context(), func(ctx context.Context) error {
			time.Sleep(MinLease + 2*leaseSlack)
			_, err := s.cluster.Acquire(t.Context(), brief("backup", "db2"))
			if !errors.Is(err, ErrLeaseHeld) {
				t.Errorf("held for longer than it lasts: %v", err)
			}
			return ctx.Err()
		})
		if err != nil {
			t.Error(err)
		}
		must(s.cluster.Acquire(t.Context(), brief("backup", "db2")))(t)
	})
}

func TestLeaseThatNobodyRenewsEnds(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, s *scene) {
		l := must(s.cluster.Acquire(t.Context(), brief("backup", "db1")))(t)
		time.Sleep(MinLease + leaseSlack - time.Millisecond)
		if _, err := s.cluster.Acquire(t.Context(), brief("backup", "db2")); !errors.Is(err, ErrLeaseHeld) {
			t.Errorf("before its end: %v", err)
		}
		time.Sleep(time.Millisecond)
		must(s.cluster.Acquire(t.Context(), brief("backup", "db2")))(t)
		if err := l.Renew(t.Context()); !errors.Is(err, ErrLeaseLost) {
			t.Errorf("renewed behind its end: %v", err)
		}
	})
}

func TestHoldStopsTheWorkWhenTheLeaseIsLost(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, s *scene) {
		l := must(s.cluster.Acquire(t.Context(), brief("backup", "db1")))(t)
		l.cluster = s.faulty(t, fault.Rule{Op: fault.Put, Times: -1, Action: fault.Fail(errOutage)})
		err := l.Hold(t.Context(), func(ctx context.Context) error {
			<-ctx.Done()
			if late := time.Since(l.deadline); late > 0 || !errors.Is(context.Cause(ctx), ErrLeaseLost) {
				t.Errorf("stopped %s after the deadline: %v", late, context.Cause(ctx))
			}
			return ctx.Err()
		})
		if !errors.Is(err, ErrLeaseLost) {
			t.Errorf("error is %v", err)
		}
	})
}
