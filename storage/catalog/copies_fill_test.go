package catalog

import (
	"bytes"
	"encoding/json"
	"errors"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"lifeboat/internal/wal"
	"lifeboat/storage"
	"lifeboat/storage/fault"
)

// objectsOf are the stored bytes of all objects below a prefix.
func objectsOf(t *testing.T, s *scene, prefix string) map[string][]byte {
	t.Helper()
	objects := map[string][]byte{}
	for info, err := range s.bucket.List(t.Context(), prefix) {
		if err != nil {
			t.Fatal(err)
		}
		objects[info.Key] = s.object(t, info.Key)
	}
	return objects
}

func fillAll(t *testing.T, both *Cluster) FillReport {
	t.Helper()
	report := must(both.Fill(t.Context(), nil))(t)
	if !report.Complete() {
		t.Fatalf("not complete: %+v", report)
	}
	return report
}

// fullPlace has one of each kind of object.
func fullPlace(t *testing.T, p place) {
	t.Helper()
	ctx := t.Context()
	randomTree(5).backUp(t, p.cluster, sceneLabel, 1<<20, 2)
	p.put(t, soundSegment(t, firstSegment))
	p.put(t, fileOf(t, "00000002.history", []byte("1\t0/700028\tno reason\n")))
	p.put(t, fileOf(t, "000000010000000000000001.00000028.backup", []byte("START WAL LOCATION: 0/100028\n")))
	mustDo(t,
		p.cluster.PutCensus(ctx, "c1", json.RawMessage(`{"a":1}`)),
		p.cluster.PutFinding(ctx, Finding{Kind: "conflict", Name: "x", Time: sceneTime}),
		p.cluster.PutEvidence(ctx, "d1", map[string][]byte{"report.html": []byte("r")}, json.RawMessage(`{}`)),
		p.cluster.putDump(t, "d1-0001", "a dump of a database", 7))
}

func TestFillMakesTheCopiesEqual(t *testing.T) {
	t.Parallel()
	near, far, both := twoCopies(t)
	fullPlace(t, near)
	far.put(t, soundSegment(t, "000000010000000000000002"))
	lacks := must(both.Lacks(t.Context()))(t)
	if l := lacks[1]; l.WAL != 3 || len(l.Backups) != 1 || len(l.Censuses) != 1 || len(l.Drills) != 1 || l.Findings != 1 || l.Bytes == 0 {
		t.Errorf("far lacks %+v", l)
	}
	if l := lacks[0]; l.WAL != 1 || l.Objects != 1 {
		t.Errorf("near lacks %+v", l)
	}
	fillAll(t, both)
	root := near.cluster.root
	if a, b := objectsOf(t, near.scene, root), objectsOf(t, far.scene, root); !maps.EqualFunc(a, b, bytes.Equal) {
		t.Errorf("near has %v, far has %v", slices.Sorted(maps.Keys(a)), slices.Sorted(maps.Keys(b)))
	}
	for _, p := range []place{near, far} {
		if report := must(p.repo.Scrub(t.Context(), ScrubOptions{}))(t); len(report.Damaged)+len(report.Unknown)+len(report.Unfinished) != 0 {
			t.Errorf("scrubbed: %+v", report)
		}
	}
	for _, l := range must(both.Lacks(t.Context()))(t) {
		if !l.Complete() {
			t.Errorf("still lacks %+v", l)
		}
	}
}

// TestFillCopiesNoDamage flips a byte of each object of the near copy, which the far one lacks.
func TestFillCopiesNoDamage(t *testing.T) {
	t.Parallel()
	model := newPlace(t)
	fullPlace(t, model)
	for key, content := range objectsOf(t, model.scene, model.cluster.root) {
		t.Run(strings.TrimPrefix(key, model.cluster.root), func(t *testing.T) {
			t.Parallel()
			near, far, both := twoCopies(t)
			fullPlace(t, near)
			if len(content) == 0 {
				t.Fatal("an empty object")
			}
			flip(t, near.scene, key, len(near.object(t, key))/2)
			report := must(both.Fill(t.Context(), nil))(t)
			if report.Complete() || len(report.Copies[1].Missing) != 1 {
				t.Errorf("report: %+v", report)
			}
			if _, err := far.bucket.Stat(t.Context(), key); !errors.Is(err, storage.ErrNotFound) {
				t.Errorf("the damaged object was copied: %v", err)
			}
			if _, err := far.cluster.Record(t.Context(), sceneLabel); strings.Contains(key, sceneLabel) && !errors.Is(err, storage.ErrNotFound) {
				t.Errorf("the backup has a record: %v", err)
			}
		})
	}
}

// TestFillGoesOnWhereItWasInterrupted takes the far copy away at each Put.
func TestFillGoesOnWhereItWasInterrupted(t *testing.T) {
	t.Parallel()
	near, far, both := twoCopies(t)
	fullPlace(t, near)
	interrupted := 0
	for n := 0; ; n++ {
		set := fault.NewSet(fault.Rule{Op: fault.Put, After: n, Times: -1, Action: fault.Fail(errOutage)})
		far.Bucket = fault.Wrap(far.bucket, set)
		report := must(both.Fill(t.Context(), nil))(t)
		if report.Complete() {
			break
		}
		interrupted++
		if n > 100 {
			t.Fatalf("never complete: %+v", report)
		}
	}
	if interrupted < 5 {
		t.Errorf("interrupted %d times only", interrupted)
	}
	if a, b := objectsOf(t, near.scene, near.cluster.root), objectsOf(t, far.scene, near.cluster.root); !maps.EqualFunc(a, b, bytes.Equal) {
		t.Error("the copies are not equal")
	}
}

func TestFillComparesWhatIsThere(t *testing.T) {
	t.Parallel()
	near, far, both := twoCopies(t)
	fullPlace(t, near)
	pack := near.cluster.backupPrefix(sceneLabel) + "packs/00/000001"
	content := bytes.Clone(near.object(t, pack))
	content[7] ^= 1
	far.overwrite(t, pack, content)
	report := must(both.FillBackup(t.Context(), sceneLabel, nil))(t)
	if report.Complete() || len(report.Copies[1].Missing) != 1 || !isDamaged(report.Copies[1].Missing[0].Err) {
		t.Errorf("report: %+v", report)
	}
	if _, err := far.cluster.Record(t.Context(), sceneLabel); !errors.Is(err, storage.ErrNotFound) {
		t.Errorf("a record stands for a damaged pack: %v", err)
	}
}

// TestFillMendsFromEachOther has copies that lack different packs of the same backup.
func TestFillMendsFromEachOther(t *testing.T) {
	t.Parallel()
	near, far, both := twoCopies(t)
	fullPlace(t, near)
	fillAll(t, both)
	mustDo(t, os.Remove(near.path(near.cluster.backupPrefix(sceneLabel)+"packs/00/000001")))
	mustDo(t, os.Remove(far.path(near.cluster.backupPrefix(sceneLabel)+"packs/01/000001")))
	fillAll(t, both)
	if a, b := objectsOf(t, near.scene, near.cluster.root), objectsOf(t, far.scene, near.cluster.root); !maps.EqualFunc(a, b, bytes.Equal) {
		t.Error("the copies are not equal")
	}
}

func TestFillLeavesDeadBackupsAlone(t *testing.T) {
	t.Parallel()
	near, far, both := twoCopies(t)
	randomTree(1).write(t, near.cluster, sceneLabel, 1<<20, 1)
	fillAll(t, both)
	if objects := objectsOf(t, far.scene, far.cluster.root); len(objects) != 0 {
		t.Errorf("copied %v", slices.Sorted(maps.Keys(objects)))
	}
}

func TestABackupTakenForDeadMeanwhileIsNotFilled(t *testing.T) {
	t.Parallel()
	near, far, both := twoCopies(t)
	fullPlace(t, near)
	started := far.cluster.startedKey(sceneLabel)
	set := fault.NewSet(fault.Rule{Op: fault.Put, Key: far.cluster.recordKey(sceneLabel), Action: fault.CrashAfter(func() {
		_ = os.Remove(far.path(started))
	})})
	far.Bucket = fault.Wrap(far.bucket, set)
	if report := must(both.Fill(t.Context(), nil))(t); report.Complete() || set.AllFired() != nil {
		t.Errorf("report: %+v, %v", report, set.AllFired())
	}
	if _, err := far.cluster.Record(t.Context(), sceneLabel); !errors.Is(err, storage.ErrNotFound) {
		t.Errorf("it has a record: %v", err)
	}
}

func TestFillWALBringsNamedFiles(t *testing.T) {
	t.Parallel()
	near, far, both := twoCopies(t)
	near.archive(t, 1, 1, 3)
	names := []wal.FileName{}
	for _, name := range []string{"000000010000000000000002", "000000010000000000000009", "000000010000000000000003"} {
		names = append(names, must(wal.ParseFileName(name))(t))
	}
	report := must(both.FillWAL(t.Context(), names...))(t)
	if !report.Complete() || report.Copies[1].Objects != 2 {
		t.Errorf("report: %+v", report)
	}
	far.cluster.mustGet(t, names[0])
	far.fall()
	report = must(both.FillWAL(t.Context(), names...))(t)
	if report.Complete() || !errors.Is(report.Copies[1].Err, errOutage) {
		t.Errorf("with one away: %+v", report)
	}
}

// TestFillOfSealedCopies fills with an identity and as an agent without one, who can prove less on the way.
func TestFillOfSealedCopies(t *testing.T) {
	t.Parallel()
	for name, seen := range map[string]func(*scene) *scene{
		"with the identity": func(s *scene) *scene { return s },
		"by an agent":       func(s *scene) *scene { return s.agent(t) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			keys := newKeys(t)
			one, two := newSealedScene(t, keys), newSealedScene(t, keys)
			one.fillWithCanaries(t)
			near, far := placeOf(seen(one)), placeOf(seen(two))
			fillAll(t, joined(t, near, far))
			fillAll(t, joined(t, near, far))
			if a, b := objectsOf(t, one, one.cluster.root), objectsOf(t, two, one.cluster.root); !maps.EqualFunc(a, b, bytes.Equal) {
				t.Errorf("near has %v, far has %v", slices.Sorted(maps.Keys(a)), slices.Sorted(maps.Keys(b)))
			}
			if report := must(two.repo.Scrub(t.Context(), ScrubOptions{}))(t); len(report.Unknown)+len(report.Unfinished) != 0 {
				t.Errorf("scrubbed: %+v", report)
			}
			wal := one.cluster.walKey(must(wal.ParseFileName(segmentName))(t))
			for _, key := range []string{wal, one.cluster.indexKey(sceneLabel), one.cluster.recordKey(sceneLabel)} {
				mustDo(t, os.Remove(two.path(key)))
				flip(t, one, key, len(one.object(t, key))-20)
				if report := must(joined(t, near, far).Fill(t.Context(), nil))(t); report.Complete() {
					t.Errorf("%s was filled though it is damaged", key)
				}
				if _, err := two.bucket.Stat(t.Context(), key); !errors.Is(err, storage.ErrNotFound) {
					t.Errorf("%s was copied though it is damaged: %v", key, err)
				}
			}
		})
	}
}

func TestSealedAndPlainCopiesDoNotMix(t *testing.T) {
	t.Parallel()
	plain, sealed := newPlace(t), placeOf(newSealedScene(t, newKeys(t)))
	fullPlace(t, plain)
	report := must(joined(t, plain, sealed).Fill(t.Context(), nil))(t)
	if report.Complete() || !errors.Is(report.Copies[1].Missing[0].Err, ErrMixedSeals) || report.Copies[1].Objects != 0 {
		t.Errorf("report: %+v", report)
	}
}
