package restore_test

import (
	"errors"
	"strings"
	"testing"

	"lifeboat/internal/objectstore"
	"lifeboat/internal/wal"
	"lifeboat/restore"
	"lifeboat/storage/catalog"
	"lifeboat/storage/catalog/seal"
)

// stranger is an identity that nothing was sealed for.
func stranger(t *testing.T) *seal.Identities {
	t.Helper()
	text, _, err := seal.Generate(false)
	if err != nil {
		t.Fatal(err)
	}
	identities, err := seal.ParseIdentities(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	return identities
}

func TestWhatDoesNotOpenIsNotPlannedFrom(t *testing.T) {
	t.Parallel()
	place := objectstore.NewSealedPlace(t)
	repository := place.Create(t, dawn)
	identity := catalog.Identity{SystemIdentifier: 7000000000000000001, WALSegmentSize: vaultSegment}
	cluster, err := repository.Register(t.Context(), clusterName, identity, dawn)
	if err != nil {
		t.Fatal(err)
	}
	v := &vault{t: t, place: place, bucket: place.Bucket, repository: repository, cluster: cluster}
	v.segment(1, 1, nil)
	v.segment(1, 2, func(s *wal.Summary) { s.Tablespaces = []string{"/srv/space"} })
	v.backup("20261122T060000Z-full-aaaaaa", 1, 1, smallTree(), nil)

	for name, tc := range map[string]struct {
		identities *seal.Identities
		opens      bool
		wrong      bool
	}{
		"the right identity":    {identities: place.Keys.Identities, opens: true},
		"no identity":           {},
		"a stranger's identity": {identities: stranger(t), wrong: true},
	} {
		t.Run(name, func(t *testing.T) {
			keys := place.Keys
			keys.Identities = tc.identities
			seen, err := repository.With(keys).Cluster(t.Context(), clusterName)
			if err != nil {
				t.Fatal(err)
			}
			plan, err := restore.MakePlan(t.Context(), seen, restore.Target{Kind: restore.KindLatest},
				restore.PlanOptions{Directory: t.TempDir(), Now: dawn})
			var wrong *seal.WrongIdentityError
			switch {
			case tc.opens && (err != nil || len(plan.CreatesTablespaces) != 1):
				t.Errorf("%v, with %d tablespaces", err, len(plan.CreatesTablespaces))
			case tc.wrong && !errors.As(err, &wrong), !tc.opens && !tc.wrong && !errors.Is(err, seal.ErrNoIdentity):
				t.Errorf("planned, or refused for another reason: %v", err)
			}
		})
	}
}
