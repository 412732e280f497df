package restore_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"lifeboat/internal/pgtest"
	"lifeboat/internal/wal"
	"lifeboat/restore"
	"lifeboat/storage"
	"lifeboat/storage/catalog"
)

// shipTail stores what the server has written of its present segment, in two pieces.
func (s *scene) shipTail(ctx context.Context) (wal.FileName, wal.LSN) {
	s.t.Helper()
	size := s.cluster.Identity().WALSegmentSize
	segment, err := wal.ParseFileName(s.Value(ctx, "SELECT pg_walfile_name(pg_current_wal_flush_lsn())"))
	if err != nil {
		s.t.Fatal(err)
	}
	end, err := wal.ParseLSN(s.Value(ctx, "SELECT pg_current_wal_flush_lsn()"))
	if err != nil {
		s.t.Fatal(err)
	}
	file, err := os.Open(filepath.Join(s.Value(ctx, "SHOW data_directory"), "pg_wal", segment.String()))
	if err != nil {
		s.t.Fatal(err)
	}
	defer file.Close()
	to := uint32(end - segment.Start(size))
	for _, span := range [][2]uint32{{0, to / 2}, {to / 3, to}} {
		piece := catalog.TailPiece{Segment: segment, From: span[0], Data: make([]byte, span[1]-span[0])}
		_, err := file.ReadAt(piece.Data, int64(span[0]))
		summary, scanErr := catalog.SummarizeTail(file, span[1], segment, size)
		piece.Summary = &summary
		if err := errors.Join(err, scanErr, s.cluster.PutTail(ctx, piece, dawn)); err != nil {
			s.t.Fatal(err)
		}
	}
	return segment, end
}

// TestRecoveryToTheEndOfATail loses the server in the middle of a segment, of which the repository has what was written.
func TestRecoveryToTheEndOfATail(t *testing.T) {
	t.Parallel()
	pgtest.Each(t, func(t *testing.T, install pgtest.Install) {
		ctx := t.Context()
		s := newScene(t, install, pgtest.Options{WALSegmentMB: 1, Settings: map[string]string{ledgerSettings: "on"}})
		s.Exec(ctx, "CREATE TABLE ledger (id int PRIMARY KEY, xid text)")
		s.backup(ctx)
		keepMany(ctx, t, s.Cluster, 1, 5)
		s.archiveAll(ctx, s.Cluster)
		kept := keepMany(ctx, t, s.Cluster, 6, 8)
		segment, end := s.shipTail(ctx)
		if _, err := s.cluster.WALHeader(ctx, segment); err == nil {
			t.Fatalf("segment %s is archived: the test proves nothing", segment)
		}
		if err := restore.FetchAhead(ctx, s.cluster, segment, filepath.Join(t.TempDir(), "x")); !errors.Is(err, storage.ErrNotFound) {
			t.Errorf("a tail, which may grow, was fetched ahead: %v", err)
		}
		for name, c := range map[string]struct {
			target restore.Target
			want   int
		}{
			"latest": {restore.Target{Kind: restore.KindLatest}, 8},
			"time":   {restore.Target{Kind: restore.KindTime, Time: kept[6].committed}, 6},
			"xid":    {restore.Target{Kind: restore.KindXID, XID: kept[7].xid}, 7},
			"lsn":    {restore.Target{Kind: restore.KindLSN, LSN: kept[7].after}, 7},
		} {
			t.Run(name, func(t *testing.T) {
				running, _ := s.recover(t, s.restore(t, c.target, s.planOptions(t)))
				if got := value(t, running, state); got != whole(c.want) {
					t.Errorf("the ledger has %s, want %s", got, whole(c.want))
				}
			})
		}
		for name, beyond := range map[string]restore.Target{
			"position": {Kind: restore.KindLSN, LSN: end + 4096},
			"xid":      {Kind: restore.KindXID, XID: kept[8].xid + 100},
			"time":     {Kind: restore.KindTime, Time: s.now(ctx).Add(time.Hour)},
		} {
			var unreachable *restore.UnreachableError
			if _, err := restore.MakePlan(ctx, s.cluster, beyond, s.planOptions(t)); !errors.As(err, &unreachable) {
				t.Errorf("%s behind the tail: %v", name, err)
			}
		}
	})
}

func TestFetchOfTails(t *testing.T) {
	t.Parallel()
	pgtest.Each(t, func(t *testing.T, install pgtest.Install) {
		ctx := t.Context()
		s := newScene(t, install, pgtest.Options{WALSegmentMB: 1})
		s.archiveAll(ctx, s.Cluster)
		s.Exec(ctx, "CREATE TABLE ledger (id int)")
		segment, end := s.shipTail(ctx)
		dest := filepath.Join(t.TempDir(), "RECOVERYXLOG")
		if outcome, err := fetch(t, s.cluster, segment.String(), dest); outcome != restore.Found {
			t.Fatalf("%v, %v", outcome, err)
		}
		size := s.cluster.Identity().WALSegmentSize
		want, err := os.ReadFile(filepath.Join(s.Value(ctx, "SHOW data_directory"), "pg_wal", segment.String()))
		if err != nil {
			t.Fatal(err)
		}
		clear(want[end-segment.Start(size):])
		if got, err := os.ReadFile(dest); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%d bytes that are not the server's: %v", len(got), err)
		}
		next := wal.SegmentFile(segment.Timeline, segment.SegmentNumber(size)+1, size)
		if outcome, err := fetch(t, s.cluster, next.String(), dest); outcome != restore.Absent {
			t.Errorf("behind the tail: %v, %v", outcome, err)
		}
		s.archiveAll(ctx, s.Cluster)
		s.Exec(ctx, "CREATE TABLE more (id int)")
		s.archiveAll(ctx, s.Cluster)
		s.hide(t, segment)
		if outcome, err := fetch(t, s.cluster, segment.String(), dest); outcome != restore.Unknown || !errors.Is(err, restore.ErrGap) {
			t.Errorf("with later WAL: %v, %v", outcome, err)
		}
	})
}
