package catalog

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"lifeboat/storage/file"
)

func (s *scene) head(t *testing.T) Head {
	t.Helper()
	return must(s.cluster.Head(t.Context(), must(s.cluster.Inventory(t.Context()))(t)))(t)
}

// grown has a backup, WAL on two timelines, a census and evidence.
func (s *scene) grown(t *testing.T, label, id string, last int) {
	t.Helper()
	sampleTree().backUp(t, s.cluster, label, packSize, 1)
	s.archive(t, 2, last-1, last)
	err := s.cluster.PutCensus(t.Context(), id, json.RawMessage(`{}`))
	if err == nil {
		err = s.cluster.PutEvidence(t.Context(), id, nil, json.RawMessage(`{}`))
	}
	if err != nil {
		t.Fatal(err)
	}
}

const (
	oldLabel, newLabel = "20261122T000000Z-full-aaaaaa", "20261123T000000Z-full-bbbbbb"
	oldID, newID       = "20261122T000000Z-aaaaaa", "20261123T000000Z-bbbbbb"
)

func TestHeadOfAnOlderCopyIsSetBack(t *testing.T) {
	t.Parallel()
	inEachForm(t, func(t *testing.T, form form) {
		s := form.scene(t)
		s.archive(t, 1, 1, 3)
		s.grown(t, oldLabel, oldID, 5)
		copied := filepath.Join(t.TempDir(), "copy")
		if err := os.CopyFS(copied, os.DirFS(s.dir)); err != nil {
			t.Fatal(err)
		}
		before := s.head(t)
		if lost := before.SetBack(before); len(lost) > 0 {
			t.Errorf("an unchanged repository: %q", lost)
		}
		s.grown(t, newLabel, newID, 7)
		after := s.head(t)
		if lost := before.SetBack(after); len(lost) > 0 {
			t.Errorf("a repository that has grown: %q", lost)
		}
		bucket := must(file.Open(copied, file.Options{}))(t)
		t.Cleanup(func() { bucket.Close() })
		set := (&scene{dir: copied, bucket: bucket, repo: must(Open(t.Context(), bucket))(t)}).with(t, s.repo.keys)
		lost := strings.Join(after.SetBack(set.head(t)), "\n")
		for _, want := range []string{"backup " + newLabel + " is gone", "segment 000000020000000000000007 is gone", "census " + newID, "drill " + newID} {
			if !strings.Contains(lost, want) {
				t.Errorf("%q is not said in %q", want, lost)
			}
		}
	})
}

func TestHeadSurvivesExpiryOfOldThings(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.archive(t, 1, 1, 3)
	s.grown(t, oldLabel, oldID, 5)
	before := s.head(t)
	s.grown(t, newLabel, newID, 7)
	for _, old := range []string{
		s.cluster.backupPrefix(oldLabel), s.cluster.walTimelinePrefix(1), s.cluster.censusKey(oldID), s.cluster.drillPrefix() + oldID,
		s.cluster.walTimelinePrefix(2) + "00000000/000000020000000000000004", s.cluster.walTimelinePrefix(2) + "00000000/000000020000000000000005",
	} {
		if err := os.RemoveAll(s.path(old)); err != nil {
			t.Fatal(err)
		}
	}
	if lost := before.SetBack(s.head(t)); len(lost) > 0 {
		t.Errorf("expired: %q", lost)
	}
}

func TestHeadSeesWhatNoChecksumCan(t *testing.T) {
	t.Parallel()
	known := Head{
		Cluster: "main", SystemIdentifier: 1, Backup: newLabel, Record: "ab", Census: newID, Evidence: newID,
		Timelines: []TimelineHead{{Timeline: 1, Segment: "1-9", To: 900}, {Timeline: 2, Segment: "2-12", To: 1200}},
	}
	for change, c := range map[string]struct {
		now  func(h *Head)
		lost int
	}{
		"nothing":                     {func(*Head) {}, 0},
		"another record":              {func(h *Head) { h.Record = "cd" }, 1},
		"no backup":                   {func(h *Head) { h.Backup, h.Record = "", "" }, 1},
		"shorter timeline":            {func(h *Head) { h.Timelines = []TimelineHead{h.Timelines[0], {Timeline: 2, To: 1100}} }, 1},
		"shorter old timeline":        {func(h *Head) { h.Timelines = []TimelineHead{{Timeline: 1, To: 800}, h.Timelines[1]} }, 1},
		"expired old timeline":        {func(h *Head) { h.Timelines = h.Timelines[1:] }, 0},
		"no newest timeline":          {func(h *Head) { h.Timelines = h.Timelines[:1] }, 1},
		"no WAL":                      {func(h *Head) { h.Timelines = nil }, 2},
		"older census":                {func(h *Head) { h.Census = oldID }, 1},
		"no evidence":                 {func(h *Head) { h.Evidence = "" }, 1},
		"no evidence, newer backup":   {func(h *Head) { h.Evidence, h.Backup = "", "3" }, 0},
		"older evidence, and newer":   {func(h *Head) { h.Evidence, h.Backup = oldID, "3" }, 1},
		"another cluster":             {func(h *Head) { h.SystemIdentifier = 2 }, 1},
		"everything newer":            {func(h *Head) { h.Backup, h.Record, h.Census, h.Evidence = "3", "x", "3", "3" }, 0},
		"a later timeline in between": {func(h *Head) { h.Timelines = []TimelineHead{{Timeline: 3, To: 1300}} }, 0},
	} {
		now := known
		now.Timelines = append([]TimelineHead(nil), known.Timelines...)
		c.now(&now)
		if lost := known.SetBack(now); len(lost) != c.lost {
			t.Errorf("%s: %q, want %d sentences", change, lost, c.lost)
		}
	}
	if lost := (Head{Cluster: "main", SystemIdentifier: 1}).SetBack(known); len(lost) > 0 {
		t.Errorf("from nothing: %q", lost)
	}
}

func TestHeadIsRememberedAsJSON(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.grown(t, oldLabel, oldID, 5)
	h := s.head(t)
	var again Head
	raw := must(json.Marshal(h))(t)
	if err := json.Unmarshal(raw, &again); err != nil {
		t.Fatal(err)
	}
	if h.Record == "" || len(h.Timelines) != 1 || len(h.SetBack(again))+len(again.SetBack(h)) > 0 {
		t.Errorf("head %+v is remembered as %s", h, raw)
	}
}
