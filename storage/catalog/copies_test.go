package catalog

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"lifeboat/internal/wal"
	"lifeboat/storage"
	"lifeboat/storage/file"
)

const firstSegment = "000000010000000000000001"

func TestAFileIsReadFromAnyCopyThatHasItWhole(t *testing.T) {
	t.Parallel()
	for name, harm := range map[string]func(t *testing.T, near place, key string){
		"absent":  func(t *testing.T, near place, key string) { mustDo(t, os.Remove(near.path(key))) },
		"away":    func(_ *testing.T, near place, _ string) { near.fall() },
		"damaged": func(t *testing.T, near place, key string) { flip(t, near.scene, key, len(near.object(t, key))/2) },
		"another": func(t *testing.T, near place, key string) {
			near.overwrite(t, key, near.object(t, near.cluster.walKey(must(wal.ParseFileName("000000010000000000000002"))(t))))
		},
		"no repository": func(t *testing.T, near place, _ string) { mustDo(t, os.RemoveAll(near.dir), os.Mkdir(near.dir, 0o700)) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			near, far, both := twoCopies(t)
			f := segment(t, firstSegment, "")
			for _, p := range []place{near, far} {
				p.put(t, f)
				p.put(t, segment(t, "000000010000000000000002", ""))
			}
			harm(t, near, near.cluster.walKey(f.Name))
			var got bytes.Buffer
			h, err := both.GetWAL(t.Context(), f.Name, &got)
			if err != nil || !bytes.Equal(got.Bytes(), contentOf(t, f)) || h.Name != firstSegment {
				t.Errorf("%d bytes of %s, %v", got.Len(), h.Name, err)
			}
			if h, err := both.WALHeader(t.Context(), f.Name); err != nil || h.Summary == nil {
				t.Errorf("header: %+v, %v", h, err)
			}
		})
	}
}

func TestAbsenceIsSaidOnlyByAllCopies(t *testing.T) {
	t.Parallel()
	near, far, both := twoCopies(t)
	name := must(wal.ParseFileName(firstSegment))(t)
	_, err := both.GetWAL(t.Context(), name, io.Discard)
	if !errors.Is(err, storage.ErrNotFound) || both.Confirm(t.Context()) != nil {
		t.Errorf("absent in both: %v, %v", err, both.Confirm(t.Context()))
	}
	if later, err := both.HasLaterWAL(t.Context(), name); later || err != nil {
		t.Errorf("nothing later: %v, %v", later, err)
	}
	far.fall()
	_, err = both.GetWAL(t.Context(), name, io.Discard)
	if !errors.Is(err, ErrNotSeen) || errors.Is(err, storage.ErrNotFound) || !errors.Is(err, errOutage) || !strings.Contains(err.Error(), "far") {
		t.Errorf("absent in one and unknown in the other: %v", err)
	}
	if err := both.Confirm(t.Context()); !errors.Is(err, errOutage) {
		t.Errorf("confirmed by one: %v", err)
	}
	if _, err := both.HasLaterWAL(t.Context(), name); !errors.Is(err, errOutage) {
		t.Errorf("later WAL with one away: %v", err)
	}
	near.put(t, segment(t, "000000010000000000000003", ""))
	if later, err := both.HasLaterWAL(t.Context(), name); !later || err != nil {
		t.Errorf("later WAL in one: %v, %v", later, err)
	}
	far.rise()
	if _, err := both.GetWAL(t.Context(), name, io.Discard); !errors.Is(err, storage.ErrNotFound) {
		t.Errorf("absent in both again: %v", err)
	}
}

func TestACopyThatWasAwayIsAskedLast(t *testing.T) {
	t.Parallel()
	near, far, both := twoCopies(t)
	f := segment(t, firstSegment, "")
	near.put(t, f)
	far.put(t, f)
	near.fall()
	both.mustGet(t, f.Name)
	if order := both.copies.order(); order[0].Name != "far" {
		t.Errorf("%s is asked first", order[0].Name)
	}
	near.rise()
	far.fall()
	both.mustGet(t, f.Name)
	if order := both.copies.order(); order[0].Name != "near" {
		t.Errorf("%s is asked first after it came back", order[0].Name)
	}
}

func TestCopiesOfDifferentClustersAreRefused(t *testing.T) {
	t.Parallel()
	near := newPlace(t)
	bucket := must(file.Create(t.TempDir()+"/r", file.Options{}))(t)
	repo := must(Create(t.Context(), bucket, sceneTime))(t)
	other := must(repo.Register(t.Context(), "main", Identity{SystemIdentifier: 1, WALSegmentSize: wal.MinSegmentSize}, sceneTime))(t)
	both := near.cluster.WithCopies(other)
	var foreign *ForeignError
	if _, err := both.Inventory(t.Context()); !errors.As(err, &foreign) {
		t.Errorf("inventory: %v", err)
	}
	if _, err := both.PutWAL(t.Context(), segment(t, firstSegment, ""), sceneTime); !errors.As(err, &foreign) {
		t.Errorf("push: %v", err)
	}
}

func TestTheHoleOfOneCopyIsFilledByAnother(t *testing.T) {
	t.Parallel()
	near, far, both := twoCopies(t)
	randomTree(1).backUp(t, near.cluster, sceneLabel, 1<<20, 2)
	near.archive(t, 1, 1, 2)
	near.archive(t, 1, 5, 6)
	far.archive(t, 1, 2, 4)
	far.archive(t, 1, 7, 7)
	far.put(t, fileOf(t, "00000002.history", []byte("1\t0/700028\tno reason\n")))
	far.archive(t, 2, 7, 8)
	inv := must(both.Inventory(t.Context()))(t)
	var runs []string
	for _, run := range inv.Runs {
		runs = append(runs, run.show())
	}
	if got := fmt.Sprint(runs); got != "[1: 1-8 2: 7-9]" {
		t.Errorf("runs are %s", got)
	}
	if gaps := inv.Gaps(); len(gaps) != 0 {
		t.Errorf("gaps: %v", gaps)
	}
	windows := inv.Windows()
	if len(windows) != 2 || windows[0].ToLSN != 7*mib+4000 || windows[1].ToLSN != 8*mib+4000 {
		t.Errorf("windows: %+v", windows)
	}
	if inv := must(near.cluster.Inventory(t.Context()))(t); len(inv.Gaps()) == 0 {
		t.Error("the near copy alone has no gap: nothing was tested")
	}
}

func TestTimesOfARunComeFromTheCopyThatKnowsThem(t *testing.T) {
	t.Parallel()
	at := sceneTime
	early := WALRun{Timeline: 1, From: 0, To: 3 * mib, LastRecord: 2 * mib, LastXactTime: at, LastTime: at}
	late := WALRun{Timeline: 1, From: 3 * mib, To: 4 * mib, LastRecord: 3 * mib, LastTime: at.Add(time.Minute)}
	for _, runs := range [][]WALRun{{early, late}, {late, early}, {early, late, early}} {
		got := joinRuns(slices.Clone(runs))
		want := WALRun{Timeline: 1, To: 4 * mib, LastRecord: 3 * mib, LastXactTime: at, LastTime: at.Add(time.Minute)}
		if len(got) != 1 || got[0] != want {
			t.Errorf("joined %+v", got)
		}
	}
}

func TestInventoryNamesTheCopyThatIsAway(t *testing.T) {
	t.Parallel()
	near, far, both := twoCopies(t)
	randomTree(1).backUp(t, far.cluster, sceneLabel, 1<<20, 1)
	near.fall()
	inv := must(both.Inventory(t.Context()))(t)
	var unreached *UnreachedError
	if fmt.Sprint(inv.Unreached) != "[near]" || len(inv.Problems) != 1 || !errors.As(inv.Problems[0].Err, &unreached) || len(inv.Backups) != 1 {
		t.Errorf("inventory: %v, %v, %d backups", inv.Unreached, inv.Problems, len(inv.Backups))
	}
	far.fall()
	if _, err := both.Inventory(t.Context()); !errors.Is(err, errOutage) {
		t.Errorf("with none there: %v", err)
	}
	if _, err := OpenCopies(t.Context(), near.copied("near"), far.copied("far")); !errors.Is(err, errOutage) {
		t.Errorf("opened with none there: %v", err)
	}
}

func TestABackupIsNotUnfinishedWhereAnotherCopyHasItsRecord(t *testing.T) {
	t.Parallel()
	near, far, both := twoCopies(t)
	randomTree(1).backUp(t, far.cluster, sceneLabel, 1<<20, 1)
	randomTree(1).write(t, near.cluster, sceneLabel, 1<<20, 1)
	dead := sceneLabel[:len(sceneLabel)-1] + "g"
	randomTree(2).write(t, near.cluster, dead, 1<<20, 1)
	inv := must(both.Inventory(t.Context()))(t)
	if fmt.Sprint(inv.Unfinished) != "["+dead+"]" {
		t.Errorf("unfinished: %v", inv.Unfinished)
	}
	if err := both.RemoveUnfinished(t.Context(), sceneLabel); !errors.Is(err, ErrCommitted) {
		t.Errorf("removed what another copy has the record of: %v", err)
	}
	far.fall()
	if err := both.RemoveUnfinished(t.Context(), dead); !errors.Is(err, errOutage) {
		t.Errorf("removed what a copy might have the record of: %v", err)
	}
	far.rise()
	mustDo(t, both.RemoveUnfinished(t.Context(), dead))
	if left := must(near.cluster.listBackup(t.Context(), dead))(t); len(left) != 0 {
		t.Errorf("left: %v", left)
	}
}

func TestFramesComeFromAnyCopyWhereTheyAreWhole(t *testing.T) {
	t.Parallel()
	near, far, both := twoCopies(t)
	content := randomTree(3)
	rec := content.backUp(t, near.cluster, sceneLabel, 1<<20, 2)
	fillAll(t, both)
	for i := range 3 {
		for key := range objectsOf(t, near.scene, near.cluster.backupPrefix(sceneLabel)+"packs/") {
			flip(t, near.scene, key, i*len(near.object(t, key))/3)
		}
	}
	ix := must(both.OpenIndex(t.Context(), rec))(t)
	checkTree(t, ix, content)
	near.fall()
	checkTree(t, ix, content)
	checkTree(t, must(both.OpenIndex(t.Context(), rec))(t), content)
	near.rise()
	far.fall()
	if err := readTree(t, ix, content); !isDamaged(err) {
		t.Errorf("read from the damaged copy alone: %v", err)
	}
}

// TestTheStoreGoesAwayMidway takes the nearest copy away after each number of requests.
func TestTheStoreGoesAwayMidway(t *testing.T) {
	t.Parallel()
	near, far, _ := twoCopies(t)
	content := randomTree(4)
	rec := content.backUp(t, near.cluster, sceneLabel, 1<<20, 2)
	fillAll(t, joined(t, near, far))
	for gets := range int64(12) {
		near.rise()
		both := joined(t, near, far)
		near.gets.Store(gets + 1)
		ix := must(both.OpenIndex(t.Context(), rec))(t)
		checkTree(t, ix, content)
		if !near.down.Load() {
			t.Error("the store never went away")
		}
	}
}

func TestDocumentsComeFromAnyCopyAndGoToOne(t *testing.T) {
	t.Parallel()
	near, far, both := twoCopies(t)
	near.fall()
	ctx := t.Context()
	mustDo(t, both.PutCensus(ctx, "c1", json.RawMessage(`{"a":1}`)), both.PutFinding(ctx, Finding{Kind: "conflict", Name: "x", Time: sceneTime}))
	near.rise()
	mustDo(t, near.cluster.PutCensus(ctx, "c2", json.RawMessage(`{"a":2}`)))
	mustDo(t, near.cluster.PutEvidence(ctx, "d1", map[string][]byte{"report.html": []byte("r")}, json.RawMessage(`{}`)))
	if ids := must(both.CensusIDs(ctx))(t); fmt.Sprint(ids) != "[c1 c2]" {
		t.Errorf("censuses: %v", ids)
	}
	for _, id := range []string{"c1", "c2"} {
		if _, err := both.Census(ctx, id); err != nil {
			t.Error(err)
		}
	}
	if found := must(both.Findings(ctx))(t); len(found) != 1 {
		t.Errorf("findings: %v", found)
	}
	flip(t, near.scene, near.cluster.drillKey("d1", "evidence.json"), 60)
	if _, err := both.Evidence(ctx, "d1"); !isDamaged(err) {
		t.Errorf("damaged in the only copy: %v", err)
	}
	if _, err := both.Census(ctx, "c3"); !errors.Is(err, storage.ErrNotFound) {
		t.Errorf("absent: %v", err)
	}
	far.fall()
	if _, err := both.Census(ctx, "c3"); errors.Is(err, storage.ErrNotFound) {
		t.Errorf("unknown: %v", err)
	}
}

func TestAFileIsStoredInAllCopiesThatAreThere(t *testing.T) {
	t.Parallel()
	near, far, both := twoCopies(t)
	first, second := segment(t, firstSegment, ""), segment(t, "000000010000000000000002", "")
	for _, r := range both.StoreWAL(t.Context(), first, sceneTime, StoreOptions{}) {
		if r.Err != nil || !r.Stored {
			t.Errorf("%+v", r)
		}
	}
	far.fall()
	results := both.StoreWAL(t.Context(), second, sceneTime, StoreOptions{})
	if len(results) != 2 || results[0].Err != nil || !errors.Is(results[1].Err, errOutage) || results[1].Copy != "far" {
		t.Errorf("with one away: %+v", results)
	}
	far.rise()
	results = both.StoreWAL(t.Context(), segment(t, "000000010000000000000003", ""), sceneTime, StoreOptions{Later: []string{"far"}})
	if results[0].Err != nil || !errors.Is(results[1].Err, ErrNotTried) {
		t.Errorf("with one left for later: %+v", results)
	}
	results = both.StoreWAL(t.Context(), second, sceneTime, StoreOptions{Durable: 2, Later: []string{"far"}})
	if results[0].Err != nil || results[1].Err != nil || results[0].Stored || !results[1].Stored {
		t.Errorf("where both are needed: %+v", results)
	}
	for _, p := range []place{near, far} {
		p.cluster.mustGet(t, first.Name)
		p.cluster.mustGet(t, second.Name)
	}
}

func TestAConflictInOneCopyIsAnError(t *testing.T) {
	t.Parallel()
	_, far, both := twoCopies(t)
	far.put(t, segment(t, firstSegment, "other"))
	var conflict *ConflictError
	if _, err := both.PutWAL(t.Context(), segment(t, firstSegment, ""), sceneTime); !errors.As(err, &conflict) {
		t.Errorf("got %v", err)
	}
	if found := must(both.Findings(t.Context()))(t); len(found) != 1 {
		t.Errorf("findings: %v", found)
	}
}

// checkTree reads every file by random access.
func checkTree(t *testing.T, ix *Index, content tree) {
	t.Helper()
	if err := readTree(t, ix, content); err != nil {
		t.Error(err)
	}
}

func readTree(t *testing.T, ix *Index, content tree) error {
	t.Helper()
	seen := 0
	for e, err := range ix.Files(t.Context()) {
		if err != nil {
			return err
		}
		seen++
		if e.Directory {
			continue
		}
		got := make([]byte, e.Size)
		if _, err := ix.ReadAt(t.Context(), e.Path, got, 0); err != nil {
			return err
		}
		if !bytes.Equal(got, content[e.Path]) {
			return fmt.Errorf("%s has other bytes", e.Path)
		}
	}
	if seen != len(content) {
		return fmt.Errorf("%d entries, not %d", seen, len(content))
	}
	return nil
}

func mustDo(t *testing.T, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

// flip changes one byte of an object.
func flip(t *testing.T, s *scene, key string, at int) {
	t.Helper()
	content := s.object(t, key)
	content[at] ^= 0x55
	s.overwrite(t, key, content)
}
