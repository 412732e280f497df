package drill_test

import (
	"encoding/json"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"lifeboat/drill"
	"lifeboat/internal/pgtest"
	"lifeboat/storage"
	"lifeboat/storage/catalog"
)

func (s *store) finder(work string) drill.Finder {
	return drill.Finder{
		Repository: s.repository, Cluster: s.cluster, WorkDirectory: work, Log: slog.New(slog.DiscardHandler), Now: time.Now, ToolVersion: "test",
	}
}

// wantDead wants the evidence of a drill that was killed: its own, or that of whoever found it.
func (s *store) wantDead(t *testing.T, id string) {
	t.Helper()
	if id == "" {
		return // it had ended
	}
	r, err := drill.Load(t.Context(), s.cluster, id)
	if err != nil {
		t.Errorf("a killed drill is forgotten: %v", err)
		return
	}
	if r.Ending.How == drill.EndedFinished {
		return // it had stored its evidence just before
	}
	if r.Verdict != drill.Unproven || r.Ending.How != drill.EndedDied || r.Ending.Phase == "" || r.Drill != "nightly" || r.Started.IsZero() {
		t.Errorf("%s, ended %+v", r.Verdict, r.Ending)
	}
	wantWhys(t, r)
}

// killedIn starts a drill and kills it in a phase.
func (s *store) killedIn(t *testing.T, phase string) (*child, leftovers) {
	t.Helper()
	d := s.startDrill(t, phase)
	d.await(t, phase)
	made := d.leftovers(t)
	if err := d.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = d.cmd.Wait()
	if made.id == "" {
		t.Fatal("the drill had ended")
	}
	return d, made
}

// TestDeadDrillsAreToldOnce is about whoever finds a dead drill: another cluster's drills are cleared and not told, evidence that
// could not be stored is stored later, and none twice.
func TestDeadDrillsAreToldOnce(t *testing.T) {
	t.Parallel()
	s := newScene(t, pgtest.Newest(t), nil)
	s.quietStory()

	t.Run("by another cluster", func(t *testing.T) {
		d, made := s.killedIn(t, drill.PhaseFetch)
		other := *s.finder(d.work).Cluster
		soon(t, func() bool {
			reaped, err := drill.Reap(t.Context(), d.work)
			if err != nil {
				t.Error(err)
			}
			return len(reaped) == 1
		})
		if left := leavings(d.work); len(left) != 1 || !strings.HasSuffix(left[0], ".lock") {
			t.Errorf("left are %v, want the lock", left)
		}
		if living, err := drill.Living(d.work); err != nil || len(living) != 0 {
			t.Errorf("living: %v, %v", living, err)
		}
		f := s.finder(d.work)
		f.Cluster = &other
		f.Fate = func(id string) error {
			if id != made.id {
				t.Errorf("asked for %s", id)
			}
			return errors.New("the machine burned")
		}
		settled, err := f.Settle(t.Context())
		if err != nil || len(settled) != 1 || !strings.Contains(check(t, settled[0], drill.CheckRecovery).Detail, "the machine burned") {
			t.Errorf("settled %v: %v", settled, err)
		}
		s.wantDead(t, made.id)
		wantNoLeavings(t, d.work)
	})
	t.Run("that had stored its report", func(t *testing.T) {
		d, made := s.killedIn(t, drill.PhaseFetch)
		prefix := regexp.MustCompile(`^clusters/[^/]*/[0-9]+/`).FindString(s.objects("*/*/*")[0])
		s.place.Write(t, prefix+"drills/"+made.id+"/report.html", []byte("<p>another"))
		s.settleSoon(t, d.work)
		s.wantDead(t, made.id)
		wantNoLeavings(t, d.work)
	})
	t.Run("that had stored everything", func(t *testing.T) {
		d, made := s.killedIn(t, drill.PhaseFetch)
		note, err := os.ReadFile(filepath.Join(d.work, made.id+".lock"))
		if err != nil {
			t.Fatal(err)
		}
		s.settleSoon(t, d.work)
		if err := os.WriteFile(filepath.Join(d.work, made.id+".lock"), note, 0o600); err != nil {
			t.Fatal(err)
		}
		if settled, err := s.finder(d.work).Settle(t.Context()); err != nil || len(settled) != 0 {
			t.Errorf("told twice: %v, %v", settled, err)
		}
		wantNoLeavings(t, d.work)
	})
	t.Run("killed at its deadline, its time over", func(t *testing.T) {
		d, made := s.killedIn(t, drill.PhaseReplay)
		f := s.finder(d.work)
		f.Now = func() time.Time { return time.Now().Add(20000 * time.Hour) }
		f.Fate = func(string) error { return &drill.DeadlineError{Deadline: 20000 * time.Hour} }
		var settled []*drill.Result
		soon(t, func() bool {
			var err error
			if settled, err = f.Settle(t.Context()); err != nil {
				t.Error(err)
			}
			return len(settled) > 0
		})
		if len(settled) != 1 || settled[0].ID != made.id {
			t.Fatalf("settled %v", settled)
		}
		r := settled[0]
		if r.Verdict != drill.Fail || check(t, r, drill.CheckTime).Result != drill.Fail || r.Ending.How != drill.EndedDeadline {
			tell(t, r)
		}
		if why := check(t, r, drill.CheckRecovery); why.Result != drill.Unproven || !strings.Contains(why.Detail, "killed at its deadline") {
			t.Errorf("%+v", why)
		}
	})
}

// TestEvidenceThatWasKeptIsDelivered is about drills that ended while the repository was away.
func TestEvidenceThatWasKeptIsDelivered(t *testing.T) {
	t.Parallel()
	s := newScene(t, pgtest.Newest(t), nil)
	work := t.TempDir()
	keep := func(cluster string) *drill.Result {
		r := &drill.Result{ID: catalog.NewID(time.Now()), Cluster: cluster, Drill: "nightly", Verdict: drill.Unproven, Started: time.Now().UTC()}
		dir := filepath.Join(work, "evidence", r.ID)
		body, err := json.Marshal(r)
		if err := errors.Join(err, os.MkdirAll(dir, 0o700), os.WriteFile(filepath.Join(dir, "evidence.json"), body, 0o600),
			os.WriteFile(filepath.Join(dir, "report.html"), []byte("<p>"), 0o600)); err != nil {
			t.Fatal(err)
		}
		return r
	}
	own, others := keep(clusterName), keep("other")
	for range 2 {
		if settled, err := s.finder(work).Settle(t.Context()); err != nil || len(settled) != 0 {
			t.Errorf("settled %v: %v", settled, err)
		}
	}
	s.wantKept(t, own)
	left, err := os.ReadDir(filepath.Join(work, "evidence"))
	if err != nil || len(left) != 1 || left[0].Name() != others.ID {
		t.Errorf("left are %v, want that of the other cluster: %v", left, err)
	}
}

func TestDrillsThatBeginAreSeenByOthers(t *testing.T) {
	t.Parallel()
	s := newScene(t, pgtest.Newest(t), nil)
	s.quietStory()
	o := s.options(t)
	o.ID = catalog.NewID(time.Now())
	seen := map[string]bool{}
	o.Progress = func(phase string, _, _ int64) {
		living, err := drill.Living(o.WorkDirectory)
		if err != nil {
			t.Error(err)
		}
		for _, l := range living {
			if l.ID != o.ID || l.Cluster != clusterName || l.Drill != "nightly" || l.PID != os.Getpid() || l.Started.IsZero() {
				t.Errorf("%+v", l)
			}
			seen[l.Phase] = true
		}
	}
	if r := s.drill(t, o); r.ID != o.ID || r.Verdict != drill.Pass || r.Ending.How != drill.EndedFinished {
		t.Errorf("%s is %s, ended %+v", r.ID, r.Verdict, r.Ending)
	}
	for _, phase := range phases[1:] {
		if !seen[phase] {
			t.Errorf("nobody saw that it was at %q: %v", phase, seen)
		}
	}
	o.ID = "../../etc"
	if _, err := drill.Run(t.Context(), o); err == nil || errors.Is(err, storage.ErrNotFound) {
		t.Errorf("an id that is none: %v", err)
	}
}
