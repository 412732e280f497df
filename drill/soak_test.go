package drill_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"lifeboat/drill"
	"lifeboat/internal/objectstore"
	"lifeboat/internal/pgtest"
	"lifeboat/restore"
)

const (
	soakRounds = "LIFEBOAT_SOAK_ROUNDS" // how many defects, and as many sound drills; default fewRounds
	soakSeed   = "LIFEBOAT_SOAK_SEED"   // what decides which; default: by chance
	fewRounds  = 2
	epochSize  = 20 // rounds with one server
)

// score counts what drills have said.
type score struct {
	sync.Mutex
	seeded, caught, clean, alarms int
	kinds                         map[string]int
	wrong                         []string
}

// TestSoak seeds defects by chance in copies of repositories that were made under chance conditions, and drills sound ones
// to targets by chance. make soak runs many rounds.
func TestSoak(t *testing.T) {
	t.Parallel()
	rounds, seed := number(t, soakRounds, fewRounds), number(t, soakSeed, time.Now().UnixNano())
	total := &score{kinds: map[string]int{}}
	began := time.Now()
	for done := int64(0); done < rounds; done += epochSize {
		t.Run(fmt.Sprintf("from round %d", done), func(t *testing.T) {
			soak(t, rand.New(rand.NewPCG(uint64(seed), uint64(done))), int(min(epochSize, rounds-done)), total)
		})
	}
	took := time.Since(began)
	t.Logf("soak: seed %d, %d defects of %d kinds seeded, %d caught; %d sound drills, %d false alarms; %d drills in %s, %.0f in an hour",
		seed, total.seeded, len(total.kinds), total.caught, total.clean, total.alarms, total.seeded+total.clean, took.Round(time.Second),
		float64(total.seeded+total.clean)/took.Hours())
	for _, w := range total.wrong {
		t.Errorf("soak: %s", w)
	}
}

func number(t *testing.T, variable string, otherwise int64) int64 {
	t.Helper()
	text := os.Getenv(variable)
	if text == "" {
		return otherwise
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 1 {
		t.Fatalf("%s is %q, not a number above zero", variable, text)
	}
	return n
}

// soak does some rounds on one server.
func soak(t *testing.T, chance *rand.Rand, rounds int, total *score) {
	versions := pgtest.Versions(t)
	place := objectstore.NewPlainPlace
	if chance.IntN(2) == 0 {
		place = objectstore.NewSealedPlace
	}
	s := newSceneAt(t, place(t), versions[chance.IntN(len(versions))], nil)
	h := s.chanceStory(chance)
	defects := s.soakDefects(h)
	s.drill(t, s.options(t)) // so that there is evidence to be damaged
	for round := range rounds {
		d, own := defects[chance.IntN(len(defects))], rand.New(rand.NewPCG(chance.Uint64(), 0))
		t.Run(fmt.Sprintf("%d sound", round), func(t *testing.T) {
			t.Parallel()
			total.sound(t, s, h, own)
		})
		t.Run(fmt.Sprintf("%d %s", round, d.name), func(t *testing.T) {
			t.Parallel()
			total.defect(t, s, d)
		})
	}
}

// chanceStory is a story with or without load, and with more that happens than in others.
func (s *scene) chanceStory(chance *rand.Rand) history {
	s.t.Helper()
	ctx := s.t.Context()
	s.server.Exec(ctx, "CREATE TABLE parted (id int, text text) PARTITION BY HASH (id)")
	s.server.Exec(ctx, "CREATE TABLE part PARTITION OF parted FOR VALUES WITH (MODULUS 1, REMAINDER 0)")
	s.server.Exec(ctx, "CREATE UNLOGGED TABLE quick AS SELECT 1 AS id")
	s.server.Exec(ctx, fmt.Sprintf("INSERT INTO parted SELECT i, repeat('x', %d) FROM generate_series(1, %d) i", chance.IntN(3000), chance.IntN(2000)))
	s.server.Exec(ctx, "CREATE MATERIALIZED VIEW seen AS SELECT count(*) FROM parted")
	var h history
	if chance.IntN(2) == 0 {
		h = s.busyStory()
	} else {
		h = s.quietStory()
	}
	for _, sql := range []string{
		"TRUNCATE parted", "CREATE INDEX ON ledger (id)", "DROP MATERIALIZED VIEW seen", "VACUUM FULL ledger", "ANALYZE",
		"SELECT pg_create_restore_point('another')", "CREATE DATABASE more", "SELECT lo_create(0) FROM generate_series(1, 100)",
	} {
		if chance.IntN(2) == 0 {
			s.server.Exec(ctx, sql)
		}
	}
	s.server.Exec(ctx, "ALTER TABLE ledger ADD COLUMN more int")
	s.server.Exec(ctx, "INSERT INTO ledger VALUES (2000, 'the end')")
	s.archiveAll()
	return h
}

// soakDefects are all that can be seeded in the scene's copies; those of the drill's surroundings that need more than a
// copy, or are not wrong in the repository, are left to TestDefectsAreFound.
func (s *scene) soakDefects(h history) []defect {
	s.t.Helper()
	defects := append(damages(), missing()...)
	defects = append(defects, outages()...)
	defects = append(defects, wrongCensuses(h.census)...)
	defects = append(defects, s.furtherDefects(h)...)
	if s.place.Sealed() {
		defects = append(defects, wrongKeys())
	}
	for range 10 { // the more, the likelier
		defects = append(defects, flippedAnywhere())
	}
	return defects
}

// flippedAnywhere flips one bit of any object of the cluster. The first line of a signature is left out: minisign calls
// it untrusted, it stands for nothing, and no signature covers it.
func flippedAnywhere() defect {
	return defect{
		name: "a flipped bit anywhere", want: drill.Fail, check: drill.CheckRepository,
		seed: func(t *testing.T, s *store, _ *drill.Options) {
			var keys []string
			for _, kind := range []string{"backups/*/*", "backups/*/packs/*/*", "wal/*/*/*", "censuses/*"} {
				keys = append(keys, s.objects(kind)...)
			}
			for _, document := range s.objects("drills/*/evidence.json") { // the copy may have a part of a drill that goes on beside
				id := path.Base(path.Dir(document))
				keys = append(keys, s.objects("drills/"+id+"/*")...)
			}
			key := keys[rand.IntN(len(keys))]
			content := slices.Clone(s.place.Read(t, key))
			free := 0
			if strings.HasSuffix(key, ".minisig") {
				free = bytes.IndexByte(content, '\n') + 1
			}
			at := free + rand.IntN(len(content)-free)
			content[at] ^= 1 << rand.IntN(8)
			s.place.Write(t, key, content)
			t.Logf("byte %d of %d of %s", at, len(content), key)
		},
	}
}

// soakTargets are those that each story has.
func soakTargets(h history) map[string]func(o *drill.Options) {
	wish := func(words string) func(o *drill.Options) {
		return func(o *drill.Options) {
			o.Wish, _ = restore.ParseWish(words, time.Now()) // its words are right
		}
	}
	target := func(t restore.Target) func(o *drill.Options) { return func(o *drill.Options) { o.Target = t } }
	return map[string]func(o *drill.Options){
		"latest": wish("latest"), "random": wish("random"), "restore point": wish("restore point"), "ddl": wish("before last ddl"),
		"immediate": target(restore.Target{Kind: restore.KindImmediate}), "time": target(restore.Target{Kind: restore.KindTime, Time: h.before}),
		"xid": target(restore.Target{Kind: restore.KindXID, XID: h.deleted, Exclusive: true}),
	}
}

// sound drills the scene itself to a target by chance.
func (c *score) sound(t *testing.T, s *scene, h history, chance *rand.Rand) {
	targets := soakTargets(h)
	names := make([]string, 0, len(targets))
	for name := range targets {
		names = append(names, name)
	}
	slices.Sort(names)
	name := names[chance.IntN(len(names))]
	o := s.options(t)
	targets[name](&o)
	r, err := drill.Run(t.Context(), o)
	c.Lock()
	defer c.Unlock()
	c.clean++
	if err != nil || r.Verdict != drill.Pass && r.Verdict != drill.Warn || len(leavings(o.WorkDirectory)) > 0 {
		c.alarms++
		c.wrong = append(c.wrong, fmt.Sprintf("%s: false alarm to %s: %v, left behind %v, %s", t.Name(), name, err, leavings(o.WorkDirectory), complaints(r)))
	}
}

// defect drills a copy with something wrong.
func (c *score) defect(t *testing.T, s *scene, d defect) {
	harmed := s.copy(t)
	o := harmed.options(t)
	d.seed(t, harmed, &o)
	r, err := drill.Run(t.Context(), o)
	c.Lock()
	defer c.Unlock()
	c.seeded++
	c.kinds[d.name]++
	if r != nil && r.Verdict == d.want {
		c.caught++
		return
	}
	c.wrong = append(c.wrong, fmt.Sprintf("%s: not told as %s: %v, %s", t.Name(), d.want, err, complaints(r)))
}

// complaints is a result's verdict and all that did not pass.
func complaints(r *drill.Result) string {
	if r == nil {
		return "no result"
	}
	words := []string{string(r.Verdict)}
	for _, c := range r.Checks {
		if c.Result != drill.Pass {
			words = append(words, c.Name+": "+c.Detail)
		}
	}
	for _, m := range r.Targets {
		if m.Result != drill.Pass {
			words = append(words, m.Name+": "+m.Actual)
		}
	}
	return strings.Join(words, "; ")
}
