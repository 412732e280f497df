package catalog

import (
	"encoding/json"
	"errors"
	"slices"
	"testing"

	"lifeboat/storage"
	"lifeboat/storage/fault"
)

const drillID = "20261122T102103Z-abcdef"

func (s *scene) putEvidence(t *testing.T) {
	t.Helper()
	files := map[string][]byte{"report.html": []byte("<html>"), "empty.log": nil}
	if err := s.cluster.PutEvidence(t.Context(), drillID, files, json.RawMessage(`{ "verdict": "pass" }`)); err != nil {
		t.Fatal(err)
	}
}

func TestEvidenceRoundTrip(t *testing.T) {
	t.Parallel()
	inEachForm(t, func(t *testing.T, form form) {
		s := form.scene(t)
		s.putEvidence(t)
		s.putEvidence(t) // once more, as after a lost response
		if got := must(s.cluster.Evidence(t.Context(), drillID))(t); string(got) != `{"verdict":"pass"}` {
			t.Errorf("evidence is %s", got)
		}
		for name, want := range map[string]string{"report.html": "<html>", "empty.log": ""} {
			if got := must(s.cluster.EvidenceFile(t.Context(), drillID, name))(t); string(got) != want {
				t.Errorf("%s is %q, want %q", name, got, want)
			}
		}
		if _, err := s.cluster.EvidenceFile(t.Context(), drillID, "other.html"); !errors.Is(err, storage.ErrNotFound) {
			t.Errorf("unknown file: %v", err)
		}
		if got := must(s.cluster.EvidenceIDs(t.Context()))(t); !slices.Equal(got, []string{drillID}) {
			t.Errorf("ids are %q", got)
		}
	})
}

func TestEvidenceIsNeverReplaced(t *testing.T) {
	t.Parallel()
	inEachForm(t, func(t *testing.T, form form) {
		s := form.scene(t)
		s.putEvidence(t)
		for what, err := range map[string]error{
			"other body": s.cluster.PutEvidence(t.Context(), drillID, nil, json.RawMessage(`{}`)),
			"other file": s.cluster.PutEvidence(t.Context(), drillID,
				map[string][]byte{"report.html": []byte("<HTML>")}, json.RawMessage(`{}`)),
		} {
			if !isExists(err) {
				t.Errorf("%s: %v, want storage.ErrExists", what, err)
			}
		}
	})
}

func TestEvidenceWithoutItsLastDocumentIsNone(t *testing.T) {
	t.Parallel()
	inEachForm(t, func(t *testing.T, form form) {
		s := form.scene(t)
		c := s.faulty(t, fault.Rule{Op: fault.Put, After: 1, Action: fault.Fail(errOutage)})
		err := c.PutEvidence(t.Context(), drillID, map[string][]byte{"report.html": nil}, json.RawMessage(`{}`))
		if !errors.Is(err, errOutage) {
			t.Fatalf("error is %v", err)
		}
		if got := must(c.EvidenceIDs(t.Context()))(t); len(got) != 0 {
			t.Errorf("ids are %q", got)
		}
		if _, err := c.Evidence(t.Context(), drillID); !errors.Is(err, storage.ErrNotFound) {
			t.Errorf("evidence: %v", err)
		}
	})
}

func TestEvidenceFilesAreProven(t *testing.T) {
	t.Parallel()
	inEachForm(t, func(t *testing.T, form form) {
		for damage, content := range map[string][]byte{"changed": []byte("<htmL>"), "longer": []byte("<html>>"), "empty": nil} {
			s := form.scene(t)
			s.putEvidence(t)
			s.overwrite(t, s.cluster.drillKey(drillID, "report.html"), content)
			if _, err := s.cluster.EvidenceFile(t.Context(), drillID, "report.html"); !isDamaged(err) {
				t.Errorf("%s: %v, want a *DamagedError", damage, err)
			}
		}
		s := form.scene(t)
		s.putEvidence(t)
		if err := s.bucket.Delete(t.Context(), s.cluster.drillKey(drillID, "report.html")); err != nil {
			t.Fatal(err)
		}
		if _, err := s.cluster.EvidenceFile(t.Context(), drillID, "report.html"); !isDamaged(err) {
			t.Errorf("deleted: %v, want a *DamagedError", err)
		}
	})
}

func TestEvidenceRefusesNamesThatCannotStandInAKey(t *testing.T) {
	t.Parallel()
	inEachForm(t, func(t *testing.T, form form) {
		s := form.scene(t)
		for _, name := range []string{"", "..", "a/b", ".hidden", "evidence.json", "report.html.minisig", "ä"} {
			files := map[string][]byte{"a.html": nil, name: nil}
			if err := s.cluster.PutEvidence(t.Context(), drillID, files, json.RawMessage(`{}`)); !errors.Is(err, ErrName) {
				t.Errorf("file %q: %v, want ErrName", name, err)
			}
		}
		for _, id := range []string{"", "..", "a/b", "a.b"} {
			if err := s.cluster.PutEvidence(t.Context(), id, nil, json.RawMessage(`{}`)); !errors.Is(err, ErrName) {
				t.Errorf("id %q: %v, want ErrName", id, err)
			}
		}
		for info, err := range s.bucket.List(t.Context(), s.cluster.root) {
			t.Errorf("something was stored: %v, %v", info, err)
		}
	})
}

func TestCensusRoundTrip(t *testing.T) {
	t.Parallel()
	inEachForm(t, func(t *testing.T, form form) {
		s := form.scene(t)
		put := func(body string) error { return s.cluster.PutCensus(t.Context(), drillID, json.RawMessage(body)) }
		if err := errors.Join(put(`{ "rows": 5 }`), put(`{"rows":5}`)); err != nil {
			t.Fatal(err)
		}
		if err := put(`{"rows":6}`); !isExists(err) {
			t.Errorf("other census of the same id: %v", err)
		}
		if got := must(s.cluster.Census(t.Context(), drillID))(t); string(got) != `{"rows":5}` {
			t.Errorf("census is %s", got)
		}
		if got := must(s.cluster.CensusIDs(t.Context()))(t); !slices.Equal(got, []string{drillID}) {
			t.Errorf("ids are %q", got)
		}
	})
}

func TestCensusAndEvidenceOfAnotherIDAreDamaged(t *testing.T) {
	t.Parallel()
	inEachForm(t, func(t *testing.T, form form) {
		s := form.scene(t)
		s.putEvidence(t)
		if err := s.cluster.PutCensus(t.Context(), drillID, json.RawMessage(`{}`)); err != nil {
			t.Fatal(err)
		}
		s.overwrite(t, s.cluster.censusKey("other"), s.object(t, s.cluster.censusKey(drillID)))
		s.overwrite(t, s.cluster.drillKey("other", evidenceFile), s.object(t, s.cluster.drillKey(drillID, evidenceFile)))
		for what, err := range map[string]error{
			"census":   second(s.cluster.Census(t.Context(), "other")),
			"evidence": second(s.cluster.Evidence(t.Context(), "other")),
		} {
			if !isProblem(err) {
				t.Errorf("%s: %v, want a problem", what, err)
			}
		}
	})
}
