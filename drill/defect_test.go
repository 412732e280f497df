package drill_test

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"lifeboat/drill"
	"lifeboat/internal/objectstore"
	"lifeboat/internal/pgtest"
	"lifeboat/storage/catalog"
	"lifeboat/storage/fault"
	"lifeboat/verify/census"
)

// defect is something wrong, and what a drill must say of it.
type defect struct {
	name   string
	seed   func(t *testing.T, s *store, o *drill.Options)
	want   drill.Verdict
	check  string // or target that says so
	detail string // a part of what it says
}

// TestDefectsAreFound seeds one thing that is wrong in a copy of a sound repository, or around it, and drills.
func TestDefectsAreFound(t *testing.T) {
	t.Parallel()
	s := newSceneAt(t, objectstore.NewSealedPlace(t), pgtest.Debian(t), nil)
	h := s.quietStory()
	further := s.furtherDefects(h)
	s.drill(t, s.options(t)) // so that there is evidence to be damaged
	defects := append(damages(), missing()...)
	defects = append(defects, surroundings()...)
	defects = append(defects, outages()...)
	defects = append(defects, wrongCensuses(h.census)...)
	defects = append(append(defects, further...), wrongKeys())
	if pgtest.UnprivilegedUser() != nil {
		defects = append(defects, closedDirectory())
	}
	for _, d := range defects {
		t.Run(d.name, func(t *testing.T) {
			t.Parallel()
			c := s.copy(t)
			o := c.options(t)
			d.seed(t, c, &o)
			r, err := drill.Run(t.Context(), o)
			if err != nil {
				t.Logf("drill: %v", err)
			}
			if r.Verdict != d.want {
				t.Errorf("verdict %s, want %s", r.Verdict, d.want)
			}
			if got := checkOrTarget(t, r, d.check); got.Result != d.want || !strings.Contains(got.Detail, d.detail) {
				t.Errorf("check %q: %s: %s; want %s and %q", d.check, got.Result, got.Detail, d.want, d.detail)
			}
			wantWhys(t, r)
			if d.check != drill.CheckDocumented && d.name != wrongKeys().name {
				c.wantKept(t, r)
			}
			if found := leavings(o.WorkDirectory); len(found) > 0 && !strings.HasSuffix(found[0], "/evidence") {
				t.Errorf("left behind: %v", found)
			}
			if t.Failed() {
				tell(t, r)
			}
		})
	}
}

// checkOrTarget is the check, or the target, of the name.
func checkOrTarget(t *testing.T, r *drill.Result, name string) drill.Check {
	t.Helper()
	if m := target(r, name); m.Name != "" {
		return drill.Check{Name: name, Result: m.Result, Detail: m.Actual}
	}
	return check(t, r, name)
}

// wantWhys wants a reason for everything that is not a pass.
func wantWhys(t *testing.T, r *drill.Result) {
	t.Helper()
	for _, c := range r.Checks {
		if c.Result != drill.Pass && c.Detail == "" {
			t.Errorf("check %q is %s and does not say why", c.Name, c.Result)
		}
		if strings.Contains(c.Detail, "\n") {
			t.Errorf("check %q has a detail of several lines: %s", c.Name, c.Detail)
		}
	}
}

// damages flips one byte in an object of each kind.
func damages() []defect {
	var defects []defect
	for name, object := range map[string]string{
		"record": "backups/*/record.json", "start": "backups/*/started.json", "index": "backups/*/index", "pack": "backups/*/packs/00/*",
		"census": "censuses/*.json", "evidence": "drills/*/evidence.json", "report": "drills/*/report.html", "WAL": "wal/*/*/*",
	} {
		defects = append(defects, defect{
			name: "a flipped byte in " + name, want: drill.Fail, check: drill.CheckRepository,
			seed: func(_ *testing.T, s *store, _ *drill.Options) { s.place.Flip(s.t, last(s.objects(object))) },
		})
	}
	return defects
}

func last(paths []string) string { return paths[len(paths)-1] }

// missing takes objects away.
func missing() []defect {
	return []defect{
		{
			name: "a missing segment behind the backup", want: drill.Fail, check: drill.CheckRepository, detail: "is missing from",
			seed: func(_ *testing.T, s *store, _ *drill.Options) {
				segments := s.objects("wal/*/*/*")
				s.place.Remove(s.t, segments[len(segments)-2])
			},
		},
		{
			name: "a missing segment of the backup", want: drill.Fail, check: drill.CheckRepository, detail: "is missing",
			seed: func(t *testing.T, s *store, _ *drill.Options) { s.place.Remove(s.t, s.firstSegment(t)) },
		},
		{
			name: "a missing pack", want: drill.Fail, check: drill.CheckRepository,
			seed: func(_ *testing.T, s *store, _ *drill.Options) {
				s.place.Remove(s.t, s.objects("backups/*/packs/*/*")[0])
			},
		},
		{
			name: "no census", want: drill.Unproven, check: drill.CheckRows, detail: "lifeboat census",
			seed: func(_ *testing.T, s *store, _ *drill.Options) { s.place.Remove(s.t, s.objects("censuses/*.json")[0]) },
		},
	}
}

// firstSegment is the object of the segment that the backup starts in.
func (s *store) firstSegment(t *testing.T) string {
	t.Helper()
	inventory, err := s.cluster.Inventory(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	name := segmentName(inventory.Backups[0])
	return s.objects("wal/*/*/" + name)[0]
}

// outages are of a store that does not answer for a while: nothing bad is shown by that, and nothing good.
func outages() []defect {
	return []defect{
		{
			name: "an outage at the backup", want: drill.Unproven, check: drill.CheckBackup, detail: "the store is away",
			seed: func(_ *testing.T, s *store, o *drill.Options) {
				s.outage(o, fault.Get, "clusters/*/*/backups/*/packs/*/*")
			},
		},
		{
			name: "an outage at the census", want: drill.Unproven, check: drill.CheckRows, detail: "the store is away",
			seed: func(_ *testing.T, s *store, o *drill.Options) { s.outage(o, fault.Get, "clusters/*/*/censuses/*") },
		},
		{
			name: "an outage at the plan", want: drill.Unproven, check: drill.CheckPITR, detail: "the store is away",
			seed: func(_ *testing.T, s *store, o *drill.Options) { s.outage(o, fault.List, "clusters/*/*/wal/") },
		},
		{
			name: "an outage at the verification", want: drill.Unproven, check: drill.CheckRepository, detail: "the store is away",
			seed: func(_ *testing.T, s *store, o *drill.Options) {
				s.outage(o, fault.Get, "clusters/*/*/drills/*/report.html")
			},
		},
	}
}

// outage lets one kind of call fail.
func (s *store) outage(o *drill.Options, op fault.Op, keys string) {
	s.t.Helper()
	faulty := fault.Wrap(s.place.Bucket, fault.NewSet(fault.Rule{Op: op, Key: keys, Times: -1, Action: fault.Fail(errors.New("the store is away"))}))
	repository, err := catalog.Open(s.t.Context(), faulty)
	if err != nil {
		s.t.Fatal(err)
	}
	o.Repository = repository.With(s.place.Keys)
	if o.Cluster, err = o.Repository.Cluster(s.t.Context(), clusterName); err != nil {
		s.t.Fatal(err)
	}
}

// surroundings are wrong beside the repository.
func surroundings() []defect {
	return []defect{
		{
			name: "a stale backup", want: drill.Fail, check: drill.CheckBackup, detail: "old",
			seed: func(_ *testing.T, _ *store, o *drill.Options) { o.Targets.MaxBackupAge = time.Millisecond },
		},
		{
			name: "a slow restore", want: drill.Fail, check: drill.CheckTime, detail: "1 TB would take",
			seed: func(_ *testing.T, _ *store, o *drill.Options) { o.Targets.RestorePerTerabyte = time.Millisecond },
		},
		{
			name: "no server programs", want: drill.Unproven, check: drill.CheckRecovery, detail: "install the package postgresql-",
			seed: func(t *testing.T, _ *store, o *drill.Options) { o.PostgresBin = t.TempDir() },
		},
		{
			name: "a work directory that is a file", want: drill.Unproven, check: drill.CheckRecovery, detail: "scratch directory",
			seed: func(t *testing.T, _ *store, o *drill.Options) {
				o.WorkDirectory = filepath.Join(t.TempDir(), "file")
				if err := os.WriteFile(o.WorkDirectory, nil, 0o600); err != nil {
					t.Fatal(err)
				}
			},
		},
		{
			name: "WAL that cannot be fetched", want: drill.Unproven, check: drill.CheckRecovery, detail: "could not restore file",
			seed: func(t *testing.T, _ *store, o *drill.Options) { o.Receiver = pgtest.Script(t, "exit 254") },
		},
		{
			name: "WAL that is not there when asked for", want: drill.Fail, check: drill.CheckRecovery, detail: "recovery did not reach its target",
			seed: func(t *testing.T, _ *store, o *drill.Options) { o.Receiver = pgtest.Script(t, "exit 1") },
		},
		{
			name: "no room for evidence", want: drill.Unproven, check: drill.CheckDocumented, detail: "could not be stored",
			seed: func(_ *testing.T, s *store, o *drill.Options) {
				s.outage(o, fault.Put, "clusters/*/*/drills/*/report.html")
			},
		},
		{
			name: "a drill that breaks", want: drill.Unproven, check: drill.CheckRecovery, detail: "please report",
			seed: func(_ *testing.T, _ *store, o *drill.Options) {
				o.Progress = func(phase string, _, _ int64) {
					if phase == drill.PhaseReplay {
						panic("broken")
					}
				}
			},
		},
	}
}

// closedDirectory can be there only where the drill's user is another than the server's.
func closedDirectory() defect {
	return defect{
		name: "a work directory that the server cannot enter", want: drill.Unproven, check: drill.CheckRecovery, detail: "make it open to that user",
		seed: func(t *testing.T, _ *store, o *drill.Options) {
			closed := t.TempDir()
			if err := os.Chmod(closed, 0o700); err != nil {
				t.Fatal(err)
			}
			o.WorkDirectory = filepath.Join(closed, "work")
		},
	}
}

// wrongCensuses are of a server that had other rows than the backup brings back.
func wrongCensuses(sound *census.Census) []defect {
	return []defect{
		{
			name: "rows that the backup does not have", want: drill.Fail, check: drill.CheckRows, detail: "public.ledger: 500 rows, not 501",
			seed: changeLedger(sound, func(t *census.Table) { t.Rows++ }),
		},
		{
			name: "other contents", want: drill.Fail, check: drill.CheckRows, detail: "public.ledger: as many rows, but with other contents",
			seed: changeLedger(sound, func(t *census.Table) { t.Fingerprint = strings.Repeat("0", 32) }),
		},
		{
			name: "a table that the backup does not have", want: drill.Fail, check: drill.CheckRows, detail: "public.ledger: the table is missing",
			seed: changeLedger(sound, func(t *census.Table) { t.OID = 4_000_000_000 }),
		},
		{
			name: "a table that was not counted", want: drill.Unproven, check: drill.CheckRows, detail: "permission denied",
			seed: changeLedger(sound, func(t *census.Table) { t.Comparable, t.Why = census.None, "permission denied" }),
		},
		{
			name: "a census of before the backup", want: drill.Unproven, check: drill.CheckRows, detail: "none of the 1 censuses lies between",
			seed: func(t *testing.T, s *store, _ *drill.Options) {
				s.place.Remove(s.t, s.objects("censuses/*.json")[0])
				c := copyOf(t, sound)
				for i := range c.Databases {
					c.Databases[i].Cut = nil
				}
				c.RestorePoint.LSN = 1 << 20
				s.putCensus(c)
			},
		},
	}
}

// changeLedger stores a newer census with other figures of one table.
func changeLedger(sound *census.Census, change func(*census.Table)) func(*testing.T, *store, *drill.Options) {
	return func(t *testing.T, s *store, _ *drill.Options) {
		c := copyOf(t, sound)
		for _, d := range c.Databases {
			for i := range d.Tables {
				if d.Tables[i].Name == "ledger" {
					change(&d.Tables[i])
				}
			}
		}
		s.putCensus(c)
	}
}

func copyOf(t *testing.T, c *census.Census) *census.Census {
	t.Helper()
	text, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	var copied census.Census
	if err := json.Unmarshal(text, &copied); err != nil {
		t.Fatal(err)
	}
	copied.ID = catalog.NewID(time.Now().Add(2 * time.Second)) // ids of one second have no order
	return &copied
}
