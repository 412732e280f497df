package catalog

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"

	"lifeboat/storage"
	"lifeboat/storage/catalog/seal"
)

// The kinds of damage.
const (
	damageDocument = "document"
	damageSigned   = "signature"
	damageWAL      = "wal"
	damagePack     = "pack"
	damageIndex    = "index"
	damageEvidence = "evidence"
	damageDump     = "dump"
)

// scrubber runs checks side by side and gathers what they find. It is safe for concurrent use.
type scrubber struct {
	ctx      context.Context // ends with the first error
	group    *errgroup.Group
	progress func(ScrubProgress)
	sizes    map[string]int64 // of the objects, by key
	bucket   storage.Bucket

	mu     sync.Mutex
	report ScrubReport
	count  ScrubProgress
}

func newScrubber(ctx context.Context, opts ScrubOptions, tree objectTree, bucket storage.Bucket) *scrubber {
	s := &scrubber{progress: opts.Progress, sizes: tree.sizes, bucket: bucket}
	for _, size := range tree.sizes {
		s.count.ObjectsTotal++
		s.count.BytesTotal += size
	}
	s.group, s.ctx = errgroup.WithContext(ctx)
	parallel := opts.Parallel
	if parallel < 1 {
		parallel = 2
	}
	s.group.SetLimit(parallel + 1) // one is busy with sending objects to their checks
	return s
}

// check runs the check of one object as soon as there is room. It waits for that room, so a check must not call it.
func (s *scrubber) check(key, kind string, check func(context.Context) error) {
	if s.ctx.Err() == nil {
		s.group.Go(func() error { return s.checkNow(key, kind, check) })
	}
}

// checkNow runs the check in the calling goroutine. Its error leaves the object unproven.
func (s *scrubber) checkNow(key, kind string, check func(context.Context) error) error {
	err := check(s.ctx)
	var damage *DamagedError
	var unsigned *UnsignedError
	if s.wentAway(key, err) {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case err == nil:
	case errors.As(err, &damage):
		found := Damage{Key: cmp.Or(damage.Key, key), Kind: kind, Detail: damage.reason()}
		s.report.Damaged = append(s.report.Damaged, found)
	case errors.As(err, &unsigned):
		s.report.Damaged = append(s.report.Damaged, Damage{Key: unsigned.Key, Kind: damageSigned, Detail: unsigned.reason()})
	case isLocked(err):
		s.report.Unproven = append(s.report.Unproven, Damage{Key: key, Kind: kind, Detail: lockReason(err)})
	default:
		return err
	}
	s.passed(key)
	return nil
}

// wentAway says whether err only means that an object expired since it was listed.
func (s *scrubber) wentAway(key string, err error) bool {
	var damage *DamagedError
	var unsigned *UnsignedError
	switch {
	case errors.As(err, &damage):
		key = cmp.Or(damage.Key, key)
	case errors.As(err, &unsigned):
		key = unsigned.Key
	default:
		return errors.Is(err, storage.ErrNotFound)
	}
	document, ok := standingFor(key)
	if _, listed := s.sizes[document]; !ok || !listed {
		return false
	}
	_, err = s.bucket.Stat(s.ctx, document)
	return errors.Is(err, storage.ErrNotFound)
}

// standingFor is the key of what expiry removes before the object at key, or the object itself. It is false for what never
// expires.
func standingFor(key string) (string, bool) {
	parts := strings.SplitN(key, "/", 6)
	if len(parts) < 5 {
		return "", false
	}
	switch parts[3] {
	case "backups":
		parts = append(parts[:5:5], recordFile)
	case "drills":
		parts = append(parts[:5:5], evidenceFile)
	case "dumps":
		parts = append(parts[:5:5], dumpFile)
	case "timelines":
		return "", false
	}
	return strings.Join(parts, "/"), true
}

// unproven notes objects that cannot be checked at all, and are not read.
func (s *scrubber) unproven(kind, why string, keys ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, key := range keys {
		s.report.Unproven = append(s.report.Unproven, Damage{Key: key, Kind: kind, Detail: why})
	}
	s.skip(keys)
}

// lockReason is an error of isLocked without what was done when it came.
func lockReason(err error) string {
	var wrong *seal.WrongIdentityError
	if errors.As(err, &wrong) {
		return wrong.Error()
	}
	return seal.ErrNoIdentity.Error()
}

// passed counts an object that was read. The lock must be held.
func (s *scrubber) passed(key string) {
	size, ok := s.sizes[key]
	if !ok {
		return // it is missing
	}
	s.count.Objects++
	s.count.Bytes += size
	if s.progress != nil {
		s.progress(s.count)
	}
}

// reason is the error without the key.
func (e *DamagedError) reason() string {
	if e.Err == nil {
		return e.Detail
	}
	return e.Detail + ": " + e.Err.Error()
}

// unknown notes keys that the format does not know, or that nothing stands for. Their objects are not read.
func (s *scrubber) unknown(keys ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.report.Unknown = append(s.report.Unknown, keys...)
	s.skip(keys)
}

// unfinished notes a backup without a record, whose other objects are not read.
func (s *scrubber) unfinished(name string, keys []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.report.Unfinished = append(s.report.Unfinished, name)
	s.skip(keys)
}

// skip takes objects out of the totals. The lock must be held.
func (s *scrubber) skip(keys []string) {
	for _, key := range keys {
		s.count.ObjectsTotal--
		s.count.BytesTotal -= s.sizes[key]
	}
}

// sorted is the report.
func (s *scrubber) sorted() ScrubReport {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.report
	r.Objects, r.Bytes = s.count.Objects, s.count.Bytes
	byKey := func(a, b Damage) int {
		return cmp.Or(strings.Compare(a.Key, b.Key), strings.Compare(a.Detail, b.Detail))
	}
	slices.SortFunc(r.Damaged, byKey)
	slices.SortFunc(r.Unproven, byKey)
	slices.Sort(r.Unknown)
	slices.Sort(r.Unfinished)
	slices.Sort(r.UnfinishedDumps)
	return r
}
