package verify

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"lifeboat/internal/objectstore"
	"lifeboat/internal/wal"
	"lifeboat/storage/catalog"
)

// TestEvidenceThatIsGoneOrWrittenAnewShows removes evidence from the middle, writes one anew with a checksum of its own
// that holds, and lets the oldest expire.
func TestEvidenceThatIsGoneOrWrittenAnewShows(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		remove, rewrite string
		want            Severity
		words           string
	}{
		"whole":             {want: OK},
		"the oldest is":     {remove: "20261101", want: OK},
		"one of the middle": {remove: "20261103", want: Warn, words: "it is gone, though older evidence is there and that of drill 20261104T040000Z-aaaaaa names it"},
		"written anew":      {remove: "20261104", rewrite: "20261104T040000Z-aaaaaa", want: Fail, words: "is not what the evidence of drill 20261105T040000Z-aaaaaa says it was"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			place := objectstore.NewPlace(t)
			repository := place.Create(t, sceneTime)
			cluster, err := repository.Register(t.Context(), "main", catalog.Identity{SystemIdentifier: 1, WALSegmentSize: wal.MinSegmentSize}, sceneTime)
			if err != nil {
				t.Fatal(err)
			}
			for day := 1; day <= 6; day++ {
				putDrill(t, cluster, fmt.Sprintf("202611%02dT040000Z-aaaaaa", day))
			}
			if c.remove != "" {
				for _, key := range place.Objects(t, "clusters/main/*/drills/"+c.remove+"*/*") {
					place.Remove(t, key)
				}
			}
			if c.rewrite != "" {
				putDrill(t, cluster, c.rewrite)
			}
			report, err := Repository(t.Context(), repository, Options{})
			if err != nil {
				t.Fatal(err)
			}
			if c.words != "" && !report.has(c.want, c.words) {
				t.Errorf("findings %+v", report.Findings)
			}
			if c.words == "" && (report.has(Fail, "") || report.has(Warn, "it is gone")) {
				t.Errorf("findings %+v", report.Findings)
			}
		})
	}
}

// putDrill stores evidence with links to what is there.
func putDrill(t *testing.T, cluster *catalog.Cluster, id string) {
	t.Helper()
	links, _, err := cluster.LastEvidence(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	body, err := json.Marshal(map[string]any{"id": id, "previous": links, "at": time.Now()})
	if err == nil {
		err = cluster.PutEvidence(t.Context(), id, nil, body)
	}
	if err != nil {
		t.Fatal(err)
	}
}
