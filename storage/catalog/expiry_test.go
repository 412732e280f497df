package catalog

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"lifeboat/internal/wal"
	"lifeboat/storage"
	"lifeboat/storage/fault"
	"lifeboat/storage/file"
)

const day = 24 * time.Hour

// stockOf is a stock with the inventory, the segments that its runs have, and the three objects of each backup.
func stockOf(inv *Inventory) *Stock {
	s := &Stock{Inventory: inv, backups: map[string][]storage.Info{}, newest: sceneTime.Add(1000 * day)}
	for _, b := range inv.Backups {
		inv.newestBackup = max(inv.newestBackup, b.Label)
		for _, name := range []string{"packs/00/000001", "record.json", "started.json"} {
			s.backups[b.Label] = append(s.backups[b.Label], storage.Info{Key: b.Label + "/" + name, Size: 10})
		}
	}
	for _, r := range inv.Runs {
		for at := r.From; at < r.To; at += mib {
			number := wal.SegmentOf(at, wal.MinSegmentSize)
			name := wal.SegmentFile(r.Timeline, number, wal.MinSegmentSize)
			s.wal = append(s.wal, stockedWAL{Info: storage.Info{Key: name.String(), Size: 1}, timeline: r.Timeline, number: number, name: name})
		}
	}
	slices.SortStableFunc(s.wal, byPosition)
	return s
}

// left are the labels of the backups that stay, and the segments, as timeline: first-last.
func (p ExpiryPlan) left() (labels, ranges []string) {
	for _, f := range p.Fates {
		switch {
		case f.Expires:
		case f.Class == FateBackup:
			labels = append(labels, f.Name)
		case f.Class == FateWAL:
			ranges = append(ranges, f.Name)
		}
	}
	slices.Sort(labels)
	return labels, ranges
}

func full(label string, tli wal.TimelineID, start, stop float64) Record {
	b := backup(label, tli, start, stop)
	b.Type = "full"
	return b
}

func segmentRange(tli wal.TimelineID, first, last int) string {
	name := func(n int) string { return wal.SegmentName(tli, wal.SegmentNumber(n), wal.MinSegmentSize) }
	if first == last {
		return name(first)
	}
	return name(first) + " to " + name(last)
}

// The server writes a segment a minute, so that times and positions are the same number.
func TestExpiryPlan(t *testing.T) {
	t.Parallel()
	a, b, c, d := full("a", 1, 2.1, 2.4), full("b", 1, 12.1, 12.4), full("c", 1, 22.1, 22.4), full("d", 1, 32.1, 32.4)
	four := []Record{a, b, c, d}
	vouched := func(labels ...string) map[string]bool {
		v := map[string]bool{}
		for _, l := range labels {
			v[l] = true
		}
		return v
	}
	all := vouched("a", "b", "c", "d", "e", "f")
	changed := func(r Record, change func(*Record)) Record { change(&r); return r }
	for name, c := range map[string]struct {
		inv    *Inventory
		policy Policy
		now    float64
		want   string // labels
		wal    []string
	}{
		"all within the time": {
			inv: inventory(four, []WALRun{run(1, 1, 39)}), policy: Policy{Keep: 50 * time.Minute, Vouched: all},
			want: "abcd", wal: []string{segmentRange(1, 2, 39)},
		},
		"the one before the cutoff is needed": {
			inv: inventory(four, []WALRun{run(1, 1, 39)}), policy: Policy{Keep: 10 * time.Minute, Vouched: all},
			want: "cd", wal: []string{segmentRange(1, 22, 39)},
		},
		"the minimum": {
			inv: inventory(four, []WALRun{run(1, 1, 39)}), policy: Policy{Keep: time.Minute, MinimumFull: 3, Vouched: all},
			want: "bcd", wal: []string{segmentRange(1, 12, 39)},
		},
		"only those that are vouched for count": {
			inv: inventory(four, []WALRun{run(1, 1, 39)}), policy: Policy{Keep: time.Minute, Vouched: vouched("b")},
			want: "bcd", wal: []string{segmentRange(1, 12, 39)},
		},
		"none is vouched for": {
			inv: inventory(four, []WALRun{run(1, 1, 39)}), policy: Policy{Keep: time.Minute, MinimumFull: 1},
			want: "abcd", wal: []string{segmentRange(1, 2, 39)},
		},
		"too few are vouched for": {
			inv:    inventory(append(slices.Clone(four), full("e", 1, 34.1, 34.4), full("f", 1, 36.1, 36.4)), []WALRun{run(1, 1, 39)}),
			policy: Policy{Keep: time.Minute, MinimumFull: 2, Vouched: vouched("e")},
			want:   "abcdef", wal: []string{segmentRange(1, 2, 39)},
		},
		"a clock that was set forward": {
			inv: inventory(four, []WALRun{run(1, 1, 39)}), policy: Policy{Keep: 20 * time.Minute, Vouched: all}, now: 1e6,
			want: "bcd", wal: []string{segmentRange(1, 12, 39)},
		},
		"a clock that was set back": {
			inv: inventory(four, []WALRun{run(1, 1, 39)}), policy: Policy{Keep: 20 * time.Minute, Vouched: all}, now: 20,
			want: "abcd", wal: []string{segmentRange(1, 2, 39)},
		},
		"references are followed": {
			inv: inventory([]Record{a, changed(b, func(r *Record) { r.References = []string{"a"} }), c,
				changed(d, func(r *Record) { r.Type, r.References = "incr", []string{"b"} })}, []WALRun{run(1, 1, 39)}),
			policy: Policy{Keep: time.Minute, Vouched: all},
			want:   "abcd", wal: []string{segmentRange(1, 2, 39)},
		},
		"pinned": {
			inv: inventory(four, []WALRun{run(1, 1, 39)}), policy: Policy{Keep: time.Minute, Vouched: all, Pinned: vouched("b")},
			want: "bd", wal: []string{segmentRange(1, 12, 39)},
		},
		"damaged pages in the newest one": {
			inv:    inventory([]Record{a, b, changed(c, func(r *Record) { r.DamagedPages = make([]DamagedPage, 1) })}, []WALRun{run(1, 1, 39)}),
			policy: Policy{Keep: time.Minute, Vouched: all},
			want:   "abc", wal: []string{segmentRange(1, 2, 39)},
		},
		"damaged pages, and a newer one without": {
			inv:    inventory([]Record{a, b, changed(c, func(r *Record) { r.DamagedPages = make([]DamagedPage, 1) }), d}, []WALRun{run(1, 1, 39)}),
			policy: Policy{Keep: time.Minute, Vouched: all},
			want:   "d", wal: []string{segmentRange(1, 32, 39)},
		},
		"WAL of descendants": {
			inv:    inventory([]Record{a, b}, []WALRun{run(1, 1, 15), run(2, 14, 39)}, branched(2, 1, 14.5)),
			policy: Policy{Keep: time.Minute, Vouched: all},
			want:   "b", wal: []string{segmentRange(1, 12, 15), segmentRange(2, 14, 39)},
		},
		"a branch that left before": {
			inv:    inventory([]Record{a, c}, []WALRun{run(1, 1, 39), run(2, 5, 8), run(3, 5, 8)}, branched(2, 1, 5.5), branched(3, 1, 5.5)),
			policy: Policy{Keep: time.Minute, Vouched: all},
			want:   "c", wal: []string{segmentRange(1, 22, 39), segmentRange(3, 5, 8)}, // the newest timeline stays
		},
		"a branch that still lives": {
			inv:    inventory([]Record{a, c}, []WALRun{run(1, 1, 39), run(2, 5, 38)}, branched(2, 1, 5.5)),
			policy: Policy{Keep: 10 * time.Minute, Vouched: all},
			want:   "ac", wal: []string{segmentRange(1, 2, 39), segmentRange(2, 5, 38)},
		},
		"timeline without a history": {
			inv:    inventory([]Record{a, c}, []WALRun{run(1, 1, 39), run(2, 5, 8), run(3, 20, 21)}, branched(3, 1, 20.5)),
			policy: Policy{Keep: time.Minute, Vouched: all},
			want:   "c", wal: []string{segmentRange(1, 22, 39), segmentRange(2, 5, 8), segmentRange(3, 20, 21)},
		},
		"older by the clock, newer by position": {
			inv:    inventory([]Record{changed(d, func(r *Record) { r.StopTime = a.StopTime.Add(-time.Hour) }), a, b}, []WALRun{run(1, 1, 39)}),
			policy: Policy{Keep: time.Minute, Vouched: all},
			want:   "bd", wal: []string{segmentRange(1, 12, 39)},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			now := sceneTime.Add(40 * time.Minute)
			if c.now != 0 {
				now = sceneTime.Add(time.Duration(c.now * float64(time.Minute)))
			}
			plan := PlanExpiry(stockOf(c.inv), c.policy, now)
			labels, ranges := plan.left()
			if got := strings.Join(labels, ""); got != c.want || len(plan.Stopped) > 0 {
				t.Errorf("left are %q, want %q; %v", got, c.want, plan.Stopped)
			}
			if !slices.Equal(ranges, c.wal) {
				t.Errorf("left are %q, want %q", ranges, c.wal)
			}
			for _, f := range plan.Fates {
				if f.Reason == "" {
					t.Errorf("no reason: %+v", f)
				}
			}
		})
	}
}

func TestUnreadableMetadataStopsExpiry(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*Inventory){
		"problem":    func(inv *Inventory) { inv.Problems = []Problem{{Key: "x", Err: damaged("x", "y")}} },
		"history":    func(inv *Inventory) { inv.damagedHistories = map[wal.TimelineID]bool{2: true} },
		"no backups": func(inv *Inventory) { inv.Backups = nil },
	} {
		inv := inventory([]Record{full("a", 1, 2.1, 2.4), full("b", 1, 5.1, 5.4), full("c", 1, 7.1, 7.4)}, []WALRun{run(1, 1, 9)})
		stock := stockOf(inv)
		change(inv)
		plan := PlanExpiry(stock, Policy{}, sceneTime.Add(day))
		if len(plan.Stopped) != 1 || len(plan.Expiring()) != 0 {
			t.Errorf("%s: %+v", name, plan)
		}
	}
}

// TestWhatStaysCanBeRecovered lets random histories expire by random policies.
func TestWhatStaysCanBeRecovered(t *testing.T) {
	t.Parallel()
	removed := 0
	for seed := range uint64(4000) {
		r := rand.New(rand.NewPCG(seed, 3))
		w := randomWorld(r)
		policy := Policy{Keep: time.Duration(r.IntN(20)) * time.Minute, MinimumFull: r.IntN(4), Vouched: map[string]bool{}}
		for i := range w.inv.Backups {
			b := &w.inv.Backups[i]
			b.Type = []string{"full", "full", "incr"}[r.IntN(3)]
			policy.Vouched[b.Label] = r.IntN(2) == 0
			if other := w.inv.Backups[r.IntN(len(w.inv.Backups))]; b.Type == "incr" && other.StopLSN < b.StopLSN {
				b.References = []string{other.Label}
			}
		}
		stock := stockOf(w.inv)
		for i := range stock.wal {
			stock.wal[i].ModTime = stock.newest.Add(-time.Duration(r.IntN(3)) * day)
		}
		plan := PlanExpiry(stock, policy, sceneTime.Add(time.Duration(r.IntN(40))*time.Minute))
		removed += len(plan.Expiring())
		w.checkExpiry(t, plan, policy)
		if t.Failed() {
			t.Fatalf("seed %d: policy %+v, backups %+v, runs %+v, histories %v", seed, policy, w.inv.Backups, w.inv.Runs, w.inv.Histories)
		}
	}
	if removed < 4000 {
		t.Errorf("only %d things expired: the worlds are too poor to prove anything", removed)
	}
}

func (w world) checkExpiry(t *testing.T, plan ExpiryPlan, policy Policy) {
	t.Helper()
	after := w.expired(plan)
	fulls, vouched := 0, 0
	for _, b := range w.inv.Backups {
		if b.Type == "full" {
			fulls++
		}
		if b.Type == "full" && policy.Vouched[b.Label] {
			vouched++
		}
	}
	for _, b := range after.Backups {
		for _, tli := range w.inv.timelines() {
			before, ok := w.inv.ReachFrom(b, tli)
			now, still := after.ReachFrom(b, tli)
			if ok != still || ok && (before.To != now.To || before.LastRecord != now.LastRecord) {
				t.Errorf("backup %s reached %v on timeline %s, and now %v", b.Label, before, tli, now)
			}
		}
		for _, label := range b.References {
			if !slices.ContainsFunc(after.Backups, func(r Record) bool { return r.Label == label }) {
				t.Errorf("backup %s refers to %s, which expires", b.Label, label)
			}
		}
		if b.Type == "full" {
			fulls--
		}
		if b.Type == "full" && policy.Vouched[b.Label] {
			vouched--
		}
	}
	kept, keptVouched := countFull(after.Backups, nil), countFull(after.Backups, policy.Vouched)
	least := max(1, policy.MinimumFull)
	if fulls > 0 && kept < least || vouched > 0 && keptVouched < least {
		t.Errorf("%d full backups stay, %d of them vouched for; the least is %d", kept, keptVouched, least)
	}
	w.checkWindowKept(t, plan.Cutoff, after)
}

func countFull(backups []Record, vouched map[string]bool) int {
	n := 0
	for _, b := range backups {
		if b.Type == "full" && (vouched == nil || vouched[b.Label]) {
			n++
		}
	}
	return n
}

// checkWindowKept makes sure that where a moment since the cutoff could be recovered to, it still can be.
func (w world) checkWindowKept(t *testing.T, cutoff time.Time, after *Inventory) {
	t.Helper()
	for _, tli := range w.inv.timelines() {
		for _, b := range w.inv.Backups {
			before, ok := w.inv.ReachFrom(b, tli)
			if !ok || before.LastTime.Before(cutoff) {
				continue
			}
			from := b.StopTime
			if from.Before(cutoff) {
				from = cutoff
			}
			covered := slices.ContainsFunc(after.Backups, func(k Record) bool {
				run, ok := after.ReachFrom(k, tli)
				return ok && run.To >= before.To && !k.StopTime.After(from)
			})
			if !covered {
				t.Errorf("moments since %s on timeline %s were recovered from backup %s, and cannot be any more", from, tli, b.Label)
			}
		}
	}
}

// expired is the inventory after the plan.
func (w world) expired(plan ExpiryPlan) *Inventory {
	after := *w.inv
	after.Backups = slices.Clone(after.Backups)
	segments := map[wal.FileName]bool{}
	for name := range w.segments {
		segments[name] = true
	}
	for _, f := range plan.Expiring() {
		after.Backups = slices.DeleteFunc(after.Backups, func(b Record) bool { return f.Class == FateBackup && b.Label == f.Name })
		for _, o := range f.keys {
			if name, err := wal.ParseFileName(o.Key); err == nil && f.Class == FateWAL {
				delete(segments, name)
			}
		}
	}
	after.Runs = runsOf(segments)
	return &after
}

// aged is the scene's bucket, whose store says that all was stored long before now, but for the keys that say otherwise.
type agedStore struct {
	storage.Bucket
	fresh string
	start time.Time
}

func (b agedStore) List(ctx context.Context, prefix string) iter.Seq2[storage.Info, error] {
	return func(yield func(storage.Info, error) bool) {
		for info, err := range b.Bucket.List(ctx, prefix) {
			info.ModTime = b.start
			if b.fresh != "" && strings.Contains(info.Key, b.fresh) {
				info.ModTime = b.start.Add(30 * day)
			}
			if !yield(info, err) {
				return
			}
		}
	}
}

// oldScene has two backups with their WAL, and one of everything else that expires when only the second one stays.
func oldScene(t *testing.T, form form) *scene {
	t.Helper()
	s := form.scene(t)
	for i, label := range []string{"20261022T000000Z-full-aaaaaa", "20261122T000000Z-full-bbbbbb"} {
		w := sampleTree().write(t, s.cluster, label, 3000, 2)
		ref, totals, err := w.Finish(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		rec := recordOf(s.cluster, label, ref, totals)
		rec.StartLSN, rec.CheckpointLSN, rec.StopLSN = at(float64(10*i+1))+40, at(float64(10*i+1))+96, at(float64(10*i+1))+0x138
		rec.StartTime = sceneTime.Add(time.Duration(30*i-40) * day)
		rec.StopTime = rec.StartTime.Add(time.Minute)
		if err := w.Commit(t.Context(), rec); err != nil {
			t.Fatal(err)
		}
	}
	for number := 1; number <= 12; number++ {
		f := soundSegment(t, wal.SegmentName(1, wal.SegmentNumber(number), wal.MinSegmentSize))
		f.Summary.LastTime = sceneTime
		s.put(t, f)
	}
	s.put(t, fileOf(t, "000000010000000000000001.00000028.backup", []byte("START WAL LOCATION: 0/100028\n")))
	s.put(t, fileOf(t, "00000002.history", []byte("1\t0/C00000\tno recovery target specified\n")))
	u := newUnfinished(t, "000000010000000000000005", 20_000)
	s.putTail(t, u.piece(t, 0, 5000), u.piece(t, 5000, 10_000))
	for range 2 {
		if err := s.acquire(t, "backup", "db1").Release(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	for _, err := range []error{
		s.cluster.PutCensus(t.Context(), "20261023T000000Z-aaaaaa", json.RawMessage(`{}`)),
		s.cluster.PutCensus(t.Context(), "20260901T000000Z-aaaaaa", json.RawMessage(`{}`)),
		s.cluster.PutCensus(t.Context(), "20261122T000000Z-bbbbbb", json.RawMessage(`{}`)),
		s.cluster.PutEvidence(t.Context(), "20260901T000000Z-aaaaaa", map[string][]byte{"a.html": []byte("a"), "b.html": []byte("b")}, json.RawMessage(`{}`)),
		s.cluster.PutEvidence(t.Context(), "20261122T000000Z-bbbbbb", map[string][]byte{"a.html": []byte("a")}, json.RawMessage(`{}`)),
		s.cluster.putDump(t, "20260901T000000Z-aaaaaa-0001", "old", 4), s.cluster.putDump(t, "20261122T000000Z-bbbbbb-0001", "new", 4),
		s.cluster.PutGap(t.Context(), LostWAL{Timeline: 1, From: at(2), To: at(4), Why: "x"}, sceneTime.Add(-30*day)),
		s.cluster.PutGap(t.Context(), LostWAL{Timeline: 1, From: at(12), To: at(14), Why: "x"}, sceneTime),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	return s
}

var scenePolicy = Policy{Keep: 7 * day, KeepEvidence: 20 * day, MinimumFull: 1, Vouched: map[string]bool{"20261122T000000Z-full-bbbbbb": true}}

func (s *scene) plan(t *testing.T, c *Cluster) ExpiryPlan {
	t.Helper()
	return PlanExpiry(must(c.TakeStock(t.Context()))(t), scenePolicy, sceneTime)
}

func TestExpireLeavesWhatIsNeeded(t *testing.T) {
	t.Parallel()
	inEachForm(t, func(t *testing.T, form form) {
		s := oldScene(t, form)
		agent := s.agent(t)
		report, err := agent.cluster.Expire(t.Context(), agent.plan(t, agent.cluster))
		if err != nil || report.Objects == 0 || report.Refused != 0 {
			t.Errorf("%+v, %v", report, err)
		}
		for _, gone := range []string{"aaaaaa", "00000000000000A.", "000000010000000000000001", "00000001000000000000000A", "/tails/", "0000000000000001.json"} {
			for _, key := range s.keys(t) {
				if strings.Contains(key, gone) {
					t.Errorf("%s is left", key)
				}
			}
		}
		for _, kept := range []string{"00000002.history", "00000001000000000000000B", "00000001000000000000000C", "findings/gap-", "censuses/20261122", "drills/20261122", "dumps/20261122"} {
			if !slices.ContainsFunc(s.keys(t), func(key string) bool { return strings.Contains(key, kept) }) {
				t.Errorf("%s is gone", kept)
			}
		}
		checkClean(t, s)
		if plan := s.plan(t, s.cluster); len(plan.Expiring()) != 0 {
			t.Errorf("once more: %+v", plan.Expiring())
		}
	})
}

var errKilled = errors.New("killed")

// TestExpiryKilledAtAnyDelete ends an expiry after each of its deletes, and lets another one finish.
func TestExpiryKilledAtAnyDelete(t *testing.T) {
	t.Parallel()
	inEachForm(t, func(t *testing.T, form form) {
		sample := oldScene(t, form)
		total := must(sample.copyOf(t).expire(t))(t).Objects
		if total < 25 {
			t.Fatalf("only %d objects expire", total)
		}
		for n := 0; n < total; n += int(form.reads(1, 4)) { // the order is the same in both forms
			s := sample.copyOf(t)
			c := s.through(fault.Wrap(agedStore{Bucket: s.bucket, start: sceneTime.Add(-day)},
				fault.NewSet(fault.Rule{Op: fault.Delete, After: n, Times: -1, Action: fault.Fail(errKilled)})))
			if _, err := c.Expire(t.Context(), s.plan(t, c)); !errors.Is(err, errKilled) {
				t.Fatalf("killed at delete %d: %v", n, err)
			}
			report := must(s.repo.Scrub(t.Context(), ScrubOptions{}))(t)
			if len(report.Damaged)+len(report.Unproven) > 0 {
				t.Errorf("killed at delete %d: %+v", n, report)
			}
			inv := must(s.cluster.Inventory(t.Context()))(t)
			if last := inv.Backups[len(inv.Backups)-1]; !reaches(inv, last, at(13)) || len(inv.Problems) > 0 {
				t.Errorf("killed at delete %d: backup %s does not reach the end", n, last.Label)
			}
			if _, err := s.expireLater(t); err != nil {
				t.Errorf("killed at delete %d, then: %v", n, err)
			}
			checkClean(t, s)
			if got, want := len(s.keys(t)), len(sample.keys(t))-total; got != want {
				t.Errorf("killed at delete %d: %d objects are left, want %d", n, got, want)
			}
		}
	})
}

func reaches(inv *Inventory, b Record, to wal.LSN) bool {
	run, ok := inv.ReachFrom(b, 1)
	return ok && run.To == to
}

// copyOf is the same repository in another place.
func (s *scene) copyOf(t *testing.T) *scene {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "copy")
	if err := os.CopyFS(dir, os.DirFS(s.dir)); err != nil {
		t.Fatal(err)
	}
	bucket := must(file.Open(dir, file.Options{}))(t)
	t.Cleanup(func() { bucket.Close() })
	return (&scene{dir: dir, bucket: bucket, repo: must(Open(t.Context(), bucket))(t)}).with(t, s.repo.keys)
}

func (s *scene) expire(t *testing.T) (ExpiryReport, error) {
	t.Helper()
	return s.cluster.Expire(t.Context(), s.plan(t, s.cluster))
}

// expireLater expires when all but one object is older than a day.
func (s *scene) expireLater(t *testing.T) (ExpiryReport, error) {
	t.Helper()
	c := s.through(agedStore{Bucket: s.bucket, start: sceneTime.Add(-40 * day), fresh: "00000001000000000000000C"})
	return c.Expire(t.Context(), s.plan(t, c))
}

func TestIncompleteListingDeletesNothing(t *testing.T) {
	t.Parallel()
	s := oldScene(t, form{})
	for n := range 6 {
		for _, entries := range []int64{0, 3, 20} {
			c := s.faulty(t, fault.Rule{Op: fault.List, After: n, Action: fault.Truncate(entries, errOutage)})
			if _, err := c.TakeStock(t.Context()); !errors.Is(err, errOutage) {
				t.Errorf("list %d ends after %d entries: %v", n, entries, err)
			}
			if n > 0 {
				break // the later listings are shorter
			}
		}
	}
}

func TestExpireStopsAtDamage(t *testing.T) {
	t.Parallel()
	inEachForm(t, func(t *testing.T, form form) {
		s := oldScene(t, form)
		key := s.cluster.recordKey("20261122T000000Z-full-bbbbbb")
		record := s.object(t, key)
		record[100] ^= 1
		s.overwrite(t, key, record)
		before := s.keys(t)
		report, err := s.expire(t)
		if !errors.Is(err, ErrExpiryStopped) || report.Objects != 0 || !slices.Equal(before, s.keys(t)) {
			t.Errorf("%+v, %v", report, err)
		}
	})
}

func TestWhatMayBeInProgressIsLeft(t *testing.T) {
	t.Parallel()
	s := oldScene(t, form{})
	const label = "20261101T000000Z-full-cccccc"
	sampleTree().write(t, s.cluster, label, 3000, 2)
	s.overwrite(t, s.cluster.drillKey("20260801T000000Z-cccccc", "report.html"), []byte("x"))
	for fresh, left := range map[string]bool{"cccccc": true, "nothing": true, "00000001000000000000000C": false} {
		c := s.through(agedStore{Bucket: s.bucket, start: sceneTime.Add(-40 * day), fresh: fresh})
		plan := s.plan(t, c)
		n := 0
		for _, f := range plan.Expiring() {
			if strings.Contains(f.Name, "cccccc") {
				n++
			}
		}
		if (n == 0) != left || n == 1 {
			t.Errorf("%s is fresh: %d of two leavings expire", fresh, n)
		}
	}
	w, err := s.cluster.StartBackup(t.Context(), StartedBackup{Label: "20261102T000000Z-full-dddddd", Type: "full", Started: sceneTime})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Abort()
	if _, err := s.expireLater(t); err != nil {
		t.Fatal(err)
	}
	if keys := strings.Join(s.keys(t), "\n"); strings.Contains(keys, label) || strings.Contains(keys, "dddddd") {
		t.Errorf("left are %s", keys)
	}
	checkClean(t, s)
}

func TestRefusedDeletesAreCountedAndLeft(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		key     string
		refused int
		left    []string
	}{
		"a record":          {"clusters/*/*/backups/*/record.json", 1, []string{"backups/20261022T000000Z-full-aaaaaa/packs", "000000010000000000000001", "00000001000000000000000A"}},
		"WAL in the middle": {"clusters/*/*/wal/*/*/000000010000000000000004", 7, []string{"000000010000000000000004", "000000010000000000000005", "00000001000000000000000A"}},
		"a census":          {"clusters/*/*/censuses/20260901T000000Z-aaaaaa.json", 1, []string{"censuses/20260901"}},
		"everything":        {"", -1, []string{"backups/20261022T000000Z-full-aaaaaa/packs", "000000010000000000000001", "censuses/20260901"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := oldScene(t, form{})
			cluster := s.faulty(t, fault.Rule{Op: fault.Delete, Key: c.key, Times: -1, Action: fault.Fail(fmt.Errorf("retention: %w", fs.ErrPermission))})
			report, err := cluster.Expire(t.Context(), s.plan(t, cluster))
			if err != nil || report.Refused != c.refused && c.refused > 0 || report.RefusedKey == "" || !errors.Is(report.RefusedErr, fs.ErrPermission) {
				t.Errorf("%+v, %v", report, err)
			}
			for _, left := range c.left {
				if !slices.ContainsFunc(s.keys(t), func(key string) bool { return strings.Contains(key, left) }) {
					t.Errorf("%s is gone", left)
				}
			}
			inv := must(s.cluster.Inventory(t.Context()))(t)
			for _, b := range inv.Backups {
				if !reaches(inv, b, at(13)) {
					t.Errorf("backup %s does not reach the end", b.Label)
				}
			}
			checkClean(t, s)
		})
	}
}

func TestExpireLooksForWhatItKeeps(t *testing.T) {
	t.Parallel()
	s := oldScene(t, form{})
	plan := s.plan(t, s.cluster)
	if err := os.Remove(s.path(s.cluster.recordKey("20261122T000000Z-full-bbbbbb"))); err != nil {
		t.Fatal(err)
	}
	if report, err := s.cluster.Expire(t.Context(), plan); err == nil || report.Objects != 0 {
		t.Errorf("%+v, %v", report, err)
	}
}
