package catalog

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"lifeboat/storage"
	"lifeboat/storage/fault"
)

// An object that has rotted in a store which keeps checksums cannot be read at all. That is damage, not an outage.
func TestObjectThatItsStoreCallsDamagedIsDamage(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	whole := segment(t, "000000010000000000000004", "")
	if _, err := s.cluster.PutWAL(t.Context(), whole, sceneTime); err != nil {
		t.Fatal(err)
	}
	key := s.cluster.walKey(whole.Name)
	rotten := fmt.Errorf("get it: %w", storage.ErrDamaged)
	for name, action := range map[string]fault.Action{"at once": fault.Fail(rotten), "in the body": fault.Truncate(300, rotten)} {
		bucket := fault.Wrap(s.bucket, fault.NewSet(fault.Rule{Op: fault.Get, Key: key, Times: -1, Action: action}))
		repo := must(Open(t.Context(), bucket))(t)
		report, err := repo.Scrub(t.Context(), ScrubOptions{})
		if err != nil || len(report.Damaged) != 1 || report.Damaged[0].Key != key || !strings.Contains(report.Damaged[0].Detail, "checksum") {
			t.Errorf("%s: %+v, %v", name, report.Damaged, err)
		}
		cluster := must(repo.Cluster(t.Context(), "main"))(t)
		var damage *DamagedError
		if _, err := cluster.WALHeader(t.Context(), whole.Name); !errors.As(err, &damage) {
			t.Errorf("%s: its header is %v", name, err)
		}
	}
}
