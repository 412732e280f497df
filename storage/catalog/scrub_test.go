package catalog

import (
	"context"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"

	"lifeboat/storage"
	"lifeboat/storage/fault"
)

// sampleTree is small, and yet has every kind of entry.
func sampleTree() tree {
	rng := rand.New(rand.NewPCG(1, 2))
	return tree{
		"PG_VERSION": []byte("15\n"), "base": nil, "base/1": nil, "base/1/empty": {},
		"base/1/1259": randomContent(rng, FrameSize+8192), "base/1/2619": randomContent(rng, 8192),
		"global": nil, "global/pg_control": randomContent(rng, 8192),
	}
}

// fullScene has at least one object of every kind.
func fullScene(t *testing.T) *scene {
	t.Helper()
	return newScene(t).fill(t)
}

// fill stores at least one object of every kind.
func (s *scene) fill(t *testing.T) *scene {
	t.Helper()
	sampleTree().backUp(t, s.cluster, sceneLabel, 3000, 2)
	s.put(t, soundSegment(t, "000000010000000000000001"))
	s.put(t, soundSegment(t, "000000010000000000000002.partial"))
	s.put(t, fileOf(t, "000000010000000000000001.00000028.backup", []byte("START WAL LOCATION: 0/100028\n")))
	s.put(t, fileOf(t, "00000002.history", []byte("1\t0/200000\tno recovery target specified\n")))
	u := newUnfinished(t, "000000010000000000000003", 20_000)
	s.putTail(t, u.piece(t, 0, 5000), u.piece(t, 4000, 10_000))
	s.acquire(t, "agent-backup", "db1")
	for _, err := range []error{
		s.cluster.PutGap(t.Context(), LostWAL{Timeline: 1, From: at(3) + 10_000, To: at(5), Why: "the slot was lost"}, sceneTime),
		s.cluster.PutCensus(t.Context(), "census-1", json.RawMessage(`{"rows":7}`)),
		s.cluster.PutVerification(t.Context(), Verification{ID: "verification-1", By: "verify", Backups: map[string]bool{sceneLabel: true}}),
		s.cluster.PutFinding(t.Context(), Finding{Kind: FindingConflict, Time: sceneTime, Name: "x", Detail: "y"}),
		s.cluster.PutEvidence(t.Context(), "drill-1", map[string][]byte{"report.html": []byte("<p>fine</p>")}, json.RawMessage(`{}`)),
		s.cluster.putDump(t, "drill-1-0001", "a dump of a database", 7),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	return s
}

// keys are those of all objects, in order.
func (s *scene) keys(t *testing.T) []string {
	t.Helper()
	var keys []string
	for info, err := range s.bucket.List(t.Context(), "") {
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, info.Key)
	}
	return keys
}

func (r ScrubReport) clean() bool {
	return len(r.Damaged)+len(r.Unknown)+len(r.Unfinished)+len(r.UnfinishedDumps)+len(r.Unproven) == 0
}

func TestSoundRepositoryScrubsClean(t *testing.T) {
	t.Parallel()
	inEachForm(t, func(t *testing.T, form form) {
		s := form.full(t)
		var last ScrubProgress
		report := must(s.repo.Scrub(t.Context(), ScrubOptions{Progress: func(p ScrubProgress) { last = p }}))(t)
		objects := int64(len(s.keys(t)))
		if !report.clean() || report.Objects != objects || report.Bytes == 0 {
			t.Errorf("report = %+v, want %d objects", report, objects)
		}
		if last.Objects != objects || last.ObjectsTotal != objects || last.Bytes != last.BytesTotal || last.Bytes != report.Bytes {
			t.Errorf("progress ends at %+v", last)
		}
	})
}

// TestEveryFlippedByteIsFound changes one byte at a time, at both ends and at random places of every object.
func TestEveryFlippedByteIsFound(t *testing.T) {
	t.Parallel()
	inEachForm(t, func(t *testing.T, form form) {
		s := form.full(t)
		rng := rand.New(rand.NewPCG(3, 4))
		for _, key := range s.keys(t) {
			sound := s.object(t, key)
			for i, at := range flipPositions(rng, key, len(sound)) {
				if form.sealed && i%3 != 0 {
					continue // each takes longer here, and all bytes are alike
				}
				damaged := slices.Clone(sound)
				damaged[at] ^= byte(1 + rng.IntN(255))
				s.overwrite(t, key, damaged)
				s.wantFound(t, key, at)
			}
			s.overwrite(t, key, sound)
		}
		checkClean(t, s)
	})
}

// flipPositions are the first and last bytes and some between; for an index, all of its footer; for a tiny object, all.
func flipPositions(rng *rand.Rand, key string, size int) []int {
	first := 0
	if strings.HasSuffix(key, signatureSuffix) {
		first = 100 // behind the untrusted comment, which nothing stands for
	}
	positions := []int{first, (first + size) / 2, size - 1}
	for range 15 {
		positions = append(positions, first+rng.IntN(size-first))
	}
	if size <= 100 {
		for at := range size {
			positions = append(positions, at)
		}
	}
	if strings.HasSuffix(key, "/index") {
		for at := range footerSize + len(indexMagic) {
			positions = append(positions, (size-footerSize+at)%size)
		}
	}
	return positions
}

// wantFound makes sure that the scrub blames the object, or cannot even begin.
func (s *scene) wantFound(t *testing.T, key string, at int) {
	t.Helper()
	repo, err := Open(t.Context(), s.bucket)
	if err != nil {
		return
	}
	report, err := repo.With(s.repo.keys).Scrub(t.Context(), ScrubOptions{Parallel: 1})
	blamed := strings.TrimSuffix(key, signatureSuffix)
	if err == nil && !slices.ContainsFunc(report.Damaged, func(d Damage) bool { return d.Key == blamed }) {
		t.Errorf("byte %d of %s: %+v", at, key, report)
	}
}

func TestEveryMissingObjectIsFound(t *testing.T) {
	t.Parallel()
	inEachForm(t, func(t *testing.T, form form) {
		s := form.full(t)
		for _, key := range s.keys(t) {
			if isWAL := strings.Contains(key, "/wal/") || strings.Contains(key, "/timelines/"); isWAL ||
				strings.Contains(key, "/censuses/") || strings.Contains(key, "/findings/") ||
				strings.Contains(key, "/leases/") || strings.Contains(key, "/verifications/") || strings.HasSuffix(key, "00000FA0-00002710") {
				continue // nothing stands for these
			}
			sound := s.object(t, key)
			if err := os.Remove(s.path(key)); err != nil {
				t.Fatal(err)
			}
			if report, err := s.repo.Scrub(t.Context(), ScrubOptions{}); err == nil && report.clean() {
				t.Errorf("%s is not missed", key)
			}
			s.overwrite(t, key, sound)
		}
		checkClean(t, s)
	})
}

func TestCutAndPaddedObjectsAreFound(t *testing.T) {
	t.Parallel()
	inEachForm(t, func(t *testing.T, form form) {
		s := form.full(t)
		for _, key := range s.keys(t) {
			sound := s.object(t, key)
			for _, changed := range [][]byte{nil, sound[:len(sound)-1], append(slices.Clone(sound), 0), append(slices.Clone(sound), sound...)} {
				s.overwrite(t, key, changed)
				s.wantFound(t, key, len(changed))
			}
			s.overwrite(t, key, sound)
		}
	})
}

func TestSwappedObjectsAreFound(t *testing.T) {
	t.Parallel()
	inEachForm(t, func(t *testing.T, form form) {
		s := form.full(t)
		prefix := s.cluster.backupPrefix(sceneLabel) + "packs/00/"
		one, two := s.object(t, prefix+"000001"), s.object(t, prefix+"000002")
		s.overwrite(t, prefix+"000001", two)
		s.overwrite(t, prefix+"000002", one)
		report := must(s.repo.Scrub(t.Context(), ScrubOptions{}))(t)
		if len(report.Damaged) != 2 {
			t.Errorf("damaged: %+v", report.Damaged)
		}
	})
}

func TestSegmentOfWrongRecordsIsFound(t *testing.T) {
	t.Parallel()
	inEachForm(t, func(t *testing.T, form form) {
		s := form.scene(t)
		s.put(t, segment(t, "000000010000000000000003", "noise"))
		report := must(s.repo.Scrub(t.Context(), ScrubOptions{}))(t)
		if len(report.Damaged) != 1 || report.Damaged[0].Kind != damageWAL {
			t.Errorf("report = %+v", report)
		}
	})
}

func TestUnknownKeysAreReported(t *testing.T) {
	t.Parallel()
	inEachForm(t, func(t *testing.T, form form) {
		s := form.full(t)
		backup := s.cluster.backupPrefix(sceneLabel)
		strays := []string{
			"notes.txt", "clusters/README/x", "clusters/main/1/wal/x", s.cluster.root + "wal/00000001/00000000/odd",
			backup + "packs/00/000099", backup + "packs/zz/1", backup + "x", s.cluster.drillPrefix() + "drill-1/more.html",
			s.cluster.drillPrefix() + "drill-2/report.html", s.cluster.censusPrefix() + "deep/x.json",
		}
		for _, key := range strays {
			s.overwrite(t, key, []byte("?"))
		}
		report := must(s.repo.Scrub(t.Context(), ScrubOptions{}))(t)
		slices.Sort(strays)
		if !slices.Equal(report.Unknown, strays) || len(report.Damaged) > 0 {
			t.Errorf("report = %+v", report)
		}
	})
}

// TestOutageIsNeitherDamageNorAPass lets each single read fail once.
func TestOutageIsNeitherDamageNorAPass(t *testing.T) {
	t.Parallel()
	inEachForm(t, func(t *testing.T, form form) {
		s := form.full(t)
		for _, key := range s.keys(t) {
			for name, rule := range map[string]fault.Rule{
				"refused":        {Op: fault.Get, Key: key, Action: fault.Fail(errOutage)},
				"cut in the end": {Op: fault.Get, Key: key, Times: -1, Action: fault.Truncate(3, errOutage)},
			} {
				repo := &Repository{newStore(fault.Wrap(s.bucket, fault.NewSet(rule)), s.repo.keys, s.repo.sealed)}
				report, err := repo.Scrub(t.Context(), ScrubOptions{})
				if !errors.Is(err, errOutage) || len(report.Damaged) > 0 {
					t.Errorf("%s %s: %v, %+v", key, name, err, report.Damaged)
				}
			}
		}
		lost := &Repository{newStore(fault.Wrap(s.bucket, fault.NewSet(fault.Rule{Op: fault.List, Action: fault.Fail(errOutage)})), s.repo.keys, s.repo.sealed)}
		if _, err := lost.Scrub(t.Context(), ScrubOptions{}); !errors.Is(err, errOutage) {
			t.Errorf("lost listing: %v", err)
		}
	})
}

func TestScrubOfOneBackupReadsNothingElse(t *testing.T) {
	t.Parallel()
	inEachForm(t, func(t *testing.T, form form) {
		s := form.full(t)
		tree{"PG_VERSION": []byte("16\n")}.backUp(t, s.cluster, "other", packSize, 1)
		report := must(s.repo.Scrub(t.Context(), ScrubOptions{Cluster: "main", Backup: "other"}))(t)
		if !report.clean() || report.Objects != form.reads(4, 5) {
			t.Errorf("report = %+v", report)
		}
		for _, opts := range []ScrubOptions{{Backup: "none"}, {Cluster: "none"}, {Cluster: "none", Backup: "other"}} {
			if _, err := s.repo.Scrub(t.Context(), opts); !errors.Is(err, storage.ErrNotFound) {
				t.Errorf("Scrub(%+v) = %v", opts, err)
			}
		}
	})
}

func TestCancelledScrubIsNoPass(t *testing.T) {
	t.Parallel()
	inEachForm(t, func(t *testing.T, form form) {
		s := form.full(t)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := s.repo.Scrub(ctx, ScrubOptions{}); !errors.Is(err, context.Canceled) {
			t.Errorf("Scrub = %v", err)
		}
	})
}
