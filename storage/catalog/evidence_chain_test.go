package catalog

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

func chainID(n int) string { return fmt.Sprintf("202611%02dT040000Z-aaaaaa", n) }

// chained stores the evidence of so many drills, each with the links that it is to hold.
func (s *scene) chained(t *testing.T, drills int) {
	t.Helper()
	for n := 1; n <= drills; n++ {
		s.putLinked(t, n, `"pass"`)
	}
}

func (s *scene) putLinked(t *testing.T, n int, verdict string) {
	t.Helper()
	links, problems, err := s.cluster.LastEvidence(t.Context())
	if err != nil || len(problems) > 0 {
		t.Fatal(err, problems)
	}
	body := fmt.Sprintf(`{"verdict":%s,"previous":%s}`, verdict, must(json.Marshal(links))(t))
	if err := s.cluster.PutEvidence(t.Context(), chainID(n), nil, json.RawMessage(body)); err != nil {
		t.Fatal(err)
	}
}

func (s *scene) dropEvidence(t *testing.T, numbers ...int) {
	t.Helper()
	for _, n := range numbers {
		if err := os.RemoveAll(filepath.Dir(s.path(s.cluster.drillKey(chainID(n), evidenceFile)))); err != nil {
			t.Fatal(err)
		}
	}
}

// TestEvidenceChain wants what was taken from the middle, or changed, to show, and what expiry takes not to.
func TestEvidenceChain(t *testing.T) {
	t.Parallel()
	const drills = 12
	cases := map[string]struct {
		harm    func(t *testing.T, s *scene)
		broken  []BrokenLink
		expired string
	}{
		"whole":               {harm: func(*testing.T, *scene) {}},
		"expired":             {harm: func(t *testing.T, s *scene) { s.dropEvidence(t, 1, 2, 3) }, expired: chainID(3)},
		"all but the newest":  {harm: func(t *testing.T, s *scene) { s.dropEvidence(t, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11) }, expired: chainID(11)},
		"one of the middle":   {harm: func(t *testing.T, s *scene) { s.dropEvidence(t, 6) }, broken: []BrokenLink{{ID: chainID(6), By: chainID(7), Gone: true}}},
		"expired and removed": {harm: func(t *testing.T, s *scene) { s.dropEvidence(t, 1, 2, 5) }, broken: []BrokenLink{{ID: chainID(5), By: chainID(6), Gone: true}}, expired: chainID(2)},
		"as many as have links to each other": {harm: func(t *testing.T, s *scene) { s.dropEvidence(t, 3, 4, 5, 6, 7, 8, 9, 10) }, broken: []BrokenLink{
			{ID: chainID(3), By: chainID(11), Gone: true}, {ID: chainID(4), By: chainID(11), Gone: true}, {ID: chainID(5), By: chainID(11), Gone: true},
			{ID: chainID(6), By: chainID(11), Gone: true}, {ID: chainID(7), By: chainID(11), Gone: true}, {ID: chainID(8), By: chainID(11), Gone: true},
			{ID: chainID(9), By: chainID(11), Gone: true}, {ID: chainID(10), By: chainID(11), Gone: true},
		}},
		"written anew": {harm: func(t *testing.T, s *scene) {
			s.dropEvidence(t, 9)
			body := json.RawMessage(`{"verdict":"fail"}`)
			if err := s.cluster.PutEvidence(t.Context(), chainID(9), nil, body); err != nil {
				t.Fatal(err)
			}
		}, broken: []BrokenLink{{ID: chainID(9), By: chainID(10)}}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inEachForm(t, func(t *testing.T, form form) {
				s := form.scene(t)
				s.chained(t, drills)
				c.harm(t, s)
				chain := must(s.cluster.CheckEvidenceChain(t.Context()))(t)
				if !slices.Equal(chain.Broken(), c.broken) || chain.Expired() != c.expired {
					t.Errorf("broken %+v, expired %q", chain.Broken(), chain.Expired())
				}
			})
		})
	}
}

// TestEvidenceChainCopesWithExpiry expires evidence by ever shorter times.
func TestEvidenceChainCopesWithExpiry(t *testing.T) {
	t.Parallel()
	inEachForm(t, func(t *testing.T, form form) {
		s := oldScene(t, form)
		s.chained(t, 12)
		before := len(must(s.cluster.EvidenceIDs(t.Context()))(t))
		for keep := 25; keep >= 5; keep -= 4 {
			policy := scenePolicy
			policy.KeepEvidence = time.Duration(keep) * day
			plan := PlanExpiry(must(s.cluster.TakeStock(t.Context()))(t), policy, sceneTime)
			if _, err := s.cluster.Expire(t.Context(), plan); err != nil {
				t.Fatal(err)
			}
			if broken := must(s.cluster.CheckEvidenceChain(t.Context()))(t).Broken(); len(broken) > 0 {
				t.Errorf("kept for %d days: %+v", keep, broken)
			}
		}
		left := must(s.cluster.EvidenceIDs(t.Context()))(t)
		if len(left) > before-10 || slices.Contains(left, chainID(9)) {
			t.Errorf("%d drills are left of %d: %q", len(left), before, left)
		}
	})
}

// TestEvidenceThatRanBesideOthersIsLinked stores a drill's evidence after that of later ones.
func TestEvidenceThatRanBesideOthersIsLinked(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	for _, n := range []int{1, 3, 4, 2, 5} {
		s.putLinked(t, n, `"pass"`)
	}
	s.dropEvidence(t, 2)
	chain := must(s.cluster.CheckEvidenceChain(t.Context()))(t)
	if want := []BrokenLink{{ID: chainID(2), By: chainID(5), Gone: true}}; !slices.Equal(chain.Broken(), want) {
		t.Errorf("broken %+v", chain.Broken())
	}
}

func TestEvidenceThatCannotBeReadIsNoBreak(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.chained(t, 3)
	s.overwrite(t, s.cluster.drillKey(chainID(2), evidenceFile), []byte("{}"))
	chain := must(s.cluster.CheckEvidenceChain(t.Context()))(t)
	if broken := chain.Broken(); len(broken) > 0 {
		t.Errorf("broken %+v", broken)
	}
	if _, problems, err := s.cluster.LastEvidence(t.Context()); err != nil || len(problems) != 1 {
		t.Errorf("problems %v, %v", problems, err)
	}
}

func TestProvenEvidenceSaysWhoSigned(t *testing.T) {
	t.Parallel()
	keys := newKeys(t)
	plain, signed := newScene(t), signedScene(t)
	plain.chained(t, 1)
	read := must(plain.cluster.ProvenEvidence(t.Context(), chainID(1)))(t)
	if read.Proof.Key != "" || read.Proof.Verified || read.Proof.SHA256 != sumOfBody(read.Body) {
		t.Errorf("not signed: %+v", read.Proof)
	}
	trusted := signed.repo.keys.Trusted
	read = must(signed.cluster.ProvenEvidence(t.Context(), "drill-1"))(t)
	if read.Proof.Key != trusted[0].ID() || !read.Proof.Verified {
		t.Errorf("signed: %+v", read.Proof)
	}
	nobody := signed.with(t, Keys{})
	if read = must(nobody.cluster.ProvenEvidence(t.Context(), "drill-1"))(t); read.Proof.Key != trusted[0].ID() || read.Proof.Verified {
		t.Errorf("nobody is trusted: %+v", read.Proof)
	}
	stranger := signed.with(t, Keys{Trusted: keys.Trusted})
	if _, err := stranger.cluster.ProvenEvidence(t.Context(), "drill-1"); err == nil {
		t.Error("a stranger's signature is taken")
	}
}
