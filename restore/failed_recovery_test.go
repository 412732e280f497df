package restore_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"lifeboat/internal/pgtest"
	"lifeboat/internal/wal"
	"lifeboat/restore"
	"lifeboat/restore/server"
)

// TestRecoveryThatCannotReachItsTarget takes from a restored directory, or from the repository, what recovery needs. The
// server must end, and never take writes.
func TestRecoveryThatCannotReachItsTarget(t *testing.T) {
	t.Parallel()
	pgtest.Each(t, func(t *testing.T, install pgtest.Install) {
		ctx := t.Context()
		s := newScene(t, install, pgtest.Options{WALSegmentMB: 1, Settings: map[string]string{ledgerSettings: "on"}})
		s.Exec(ctx, "CREATE TABLE ledger (id int PRIMARY KEY, xid text)")
		record := s.backup(ctx)
		for round := range 3 {
			keepMany(ctx, t, s.Cluster, 10*round, 10*round+3)
			s.archiveAll(ctx, s.Cluster)
		}
		s.Stop() // no more WAL comes
		gone := wal.SegmentFile(1, wal.SegmentOf(record.StopLSN, record.WALSegmentSize)+1, record.WALSegmentSize)
		for name, c := range map[string]struct {
			spoil func(t *testing.T, plan restore.Plan)
			says  string
		}{
			"WAL missing in the middle": {func(t *testing.T, _ restore.Plan) { s.hide(t, gone) }, "could not restore file"},
			"damaged WAL":               {func(t *testing.T, _ restore.Plan) { s.flip(t, gone) }, "could not restore file"},
			"no backup_label": {func(t *testing.T, plan restore.Plan) {
				remove(t, filepath.Join(plan.Directory, "backup_label"))
			}, "checkpoint"},
			"neither backup_label nor signal": {func(t *testing.T, plan restore.Plan) {
				remove(t, filepath.Join(plan.Directory, "backup_label"))
				remove(t, filepath.Join(plan.Directory, "recovery.signal"))
			}, "checkpoint"},
			"no pg_control": {func(t *testing.T, plan restore.Plan) {
				remove(t, filepath.Join(plan.Directory, "global", "pg_control"))
			}, ""},
		} {
			t.Run(name, func(t *testing.T) {
				o := s.planOptions(t)
				o.Action = restore.ActionPromote
				plan := s.restore(t, restore.Target{Kind: restore.KindLatest}, o)
				c.spoil(t, plan)
				running := s.run(t, plan)
				ctx, cancel := context.WithTimeout(ctx, patience)
				defer cancel()
				proof, err := running.AwaitTarget(ctx)
				var failed *server.RecoveryError
				if !errors.As(err, &failed) || !strings.Contains(failed.Reason, c.says) {
					t.Errorf("%+v, %v; want a RecoveryError that says %q", proof, err, c.says)
				}
				if log, err := running.Log(); err != nil || strings.Contains(log, "ready to accept connections") {
					t.Errorf("the server took writes, %v", err)
				}
			})
		}
	})
}

func remove(t *testing.T, path string) {
	t.Helper()
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
}

// objectOf is the key of a WAL object in the repository.
func (s *scene) objectOf(t *testing.T, name wal.FileName) string {
	t.Helper()
	found := s.place.Objects(t, "clusters/*/*/wal/*/*/"+name.String())
	if len(found) != 1 {
		t.Fatal(found)
	}
	return found[0]
}

// hide takes an object out of the repository until the test ends.
func (s *scene) hide(t *testing.T, name wal.FileName) {
	t.Helper()
	key := s.objectOf(t, name)
	s.place.PutBackLater(t, key)
	s.place.Remove(t, key)
}

// flip changes a bit in the middle of an object until the test ends.
func (s *scene) flip(t *testing.T, name wal.FileName) {
	t.Helper()
	key := s.objectOf(t, name)
	s.place.PutBackLater(t, key)
	s.place.Flip(t, key)
}
