package catalog

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"lifeboat/storage"
	"lifeboat/storage/fault"
)

func request(what, holder string) LeaseRequest {
	return LeaseRequest{What: what, Holder: holder, TTL: MinLease, Clock: time.Now}
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

// agedBucket lets the store say that what lies at some keys was stored long ago.
type agedBucket struct {
	storage.Bucket
	old func(key string) bool
	by  time.Duration
}

func (b agedBucket) Stat(ctx context.Context, key string) (storage.Info, error) {
	info, err := b.Bucket.Stat(ctx, key)
	if b.old(key) {
		info.ModTime = info.ModTime.Add(-b.by)
	}
	return info, err
}

func TestLeaseEndsByTheStoresClock(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.acquire(t, "backup", "db1")
	first := s.cluster.leaseKey("backup", 1)
	for age, free := range map[time.Duration]bool{
		0: false, MinLease: false, MinLease + leaseSlack/2: false, MinLease + leaseSlack: true, time.Hour: true,
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

func TestHoldKeepsTheLeaseWhileTheWorkLasts(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	l := s.acquire(t, "backup", "db1")
	err := l.Hold(t.Context(), func(ctx context.Context) error {
		time.Sleep(MinLease + 2*leaseSlack)
		_, err := s.cluster.Acquire(t.Context(), request("backup", "db2"))
		if !errors.Is(err, ErrLeaseHeld) {
			t.Errorf("held for longer than it lasts: %v", err)
		}
		return ctx.Err()
	})
	if err != nil {
		t.Error(err)
	}
	s.acquire(t, "backup", "db2")
}

func TestHoldStopsTheWorkWhenTheLeaseIsLost(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	l := s.acquire(t, "backup", "db1")
	l.cluster = s.faulty(t, fault.Rule{Op: fault.Put, Times: -1, Action: fault.Fail(errOutage)})
	err := l.Hold(t.Context(), func(ctx context.Context) error {
		<-ctx.Done()
		if late := time.Since(l.deadline); late > MinLease/10 || !errors.Is(context.Cause(ctx), ErrLeaseLost) {
			t.Errorf("stopped %s after the deadline: %v", late, context.Cause(ctx))
		}
		return ctx.Err()
	})
	if !errors.Is(err, ErrLeaseLost) {
		t.Errorf("error is %v", err)
	}
}
