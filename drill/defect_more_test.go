package drill_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"lifeboat/archive"
	"lifeboat/drill"
	"lifeboat/internal/objectstore"
	"lifeboat/internal/pgtest"
	"lifeboat/internal/wal"
	"lifeboat/storage/catalog"
	"lifeboat/storage/limit"
	"lifeboat/verify/census"
)

// furtherDefects need the server: its WAL, or another look at it.
func (s *scene) furtherDefects(h history) []defect {
	s.t.Helper()
	poor := s.poorCensus()
	strayDir := s.straySegment()
	defects := append(exchanges(), late()...)
	return append(defects, []defect{
		{
			name: "a role that lost its rights", want: drill.Unproven, check: drill.CheckRows, detail: "no SELECT",
			seed: func(_ *testing.T, s *store, _ *drill.Options) { s.putCensus(poor) },
		},
		{
			name: "the WAL of a census lost", want: drill.Fail, check: drill.TargetRPO, detail: "production had WAL that the archive does not have",
			seed: func(t *testing.T, s *store, o *drill.Options) {
				c := copyOf(t, h.census)
				for i := range c.Databases {
					c.Databases[i].Cut = nil
				}
				c.RestorePoint.LSN, o.Targets.RPO = 1<<40, time.Millisecond
				s.putCensus(c)
			},
		},
		{
			name: "an extra row", want: drill.Fail, check: drill.CheckRows, detail: "public.ledger: 500 rows, not 499",
			seed: changeLedger(h.census, func(t *census.Table) { t.Rows-- }),
		},
		{
			name: "a census of another cluster", want: drill.Fail, check: drill.CheckRows, detail: "is of the cluster with system identifier 7",
			seed: func(t *testing.T, s *store, _ *drill.Options) {
				c := copyOf(t, h.census)
				c.SystemIdentifier = 7
				s.putCensus(c)
			},
		},
		{
			name: "a record of another cluster", want: drill.Fail, check: drill.CheckRepository, detail: "record.json",
			seed: func(t *testing.T, s *store, _ *drill.Options) { s.foreignRecord(t) },
		},
		{
			name: "WAL of a timeline that nothing leads to", want: drill.Fail, check: drill.CheckRepository, detail: "00000002.history is missing",
			seed: func(t *testing.T, s *store, _ *drill.Options) {
				if _, err := archive.Push(t.Context(), s.cluster, strayDir, archive.PushOptions{Clock: time.Now}); err != nil {
					t.Fatal(err)
				}
			},
		},
	}...)
}

// exchanges put something in the place of objects.
func exchanges() []defect {
	return []defect{
		{
			name: "two segments in each other's place", want: drill.Fail, check: drill.CheckRepository,
			seed: func(_ *testing.T, s *store, _ *drill.Options) {
				segments := s.objects("wal/*/*/*")
				a, b := segments[len(segments)-1], segments[len(segments)-2]
				was := s.place.Read(s.t, a)
				s.place.Write(s.t, a, s.place.Read(s.t, b))
				s.place.Write(s.t, b, was)
			},
		},
		{
			name: "two packs in each other's place", want: drill.Fail, check: drill.CheckRepository,
			seed: func(_ *testing.T, s *store, _ *drill.Options) {
				packs := s.objects("backups/*/packs/*/*")
				a, b := packs[0], last(packs)
				was := s.place.Read(s.t, a)
				s.place.Write(s.t, a, s.place.Read(s.t, b))
				s.place.Write(s.t, b, was)
			},
		},
		{
			name: "a truncated pack", want: drill.Fail, check: drill.CheckRepository,
			seed: func(_ *testing.T, s *store, _ *drill.Options) { s.truncate(s.objects("backups/*/packs/*/*")[0]) },
		},
		{
			name: "a truncated segment", want: drill.Fail, check: drill.CheckRepository,
			seed: func(_ *testing.T, s *store, _ *drill.Options) { s.truncate(s.objects("wal/*/*/*")[0]) },
		},
		{
			name: "a missing index", want: drill.Fail, check: drill.CheckRepository,
			seed: func(_ *testing.T, s *store, _ *drill.Options) { s.place.Remove(s.t, s.objects("backups/*/index")[0]) },
		},
	}
}

// truncate cuts an object in half.
func (s *store) truncate(key string) {
	s.t.Helper()
	whole := s.place.Read(s.t, key)
	s.place.Write(s.t, key, whole[:len(whole)/2])
}

// late are of what came too late, or takes too long.
func late() []defect {
	lost := func(production func(context.Context, wal.TimelineID, wal.LSN) (drill.ProductionState, error)) func(*testing.T, *store, *drill.Options) {
		return func(_ *testing.T, s *store, o *drill.Options) {
			s.place.Remove(s.t, last(s.objects("wal/*/*/*")))
			o.Targets.RPO, o.Production = time.Millisecond, production
		}
	}
	return []defect{
		{
			name: "the newest WAL lost", want: drill.Fail, check: drill.TargetRPO, detail: "60.0 s",
			seed: lost(func(context.Context, wal.TimelineID, wal.LSN) (drill.ProductionState, error) {
				now := time.Now()
				return drill.ProductionState{Clock: now, FirstUnarchived: now.Add(-time.Minute)}, nil
			}),
		},
		{
			name: "the newest WAL lost, and production silent", want: drill.Unproven, check: drill.TargetRPO, detail: "production is not known here",
			seed: lost(nil),
		},
		{
			name: "a stale census", want: drill.Unproven, check: drill.CheckRows, detail: "is promised: what was compared is of then",
			seed: func(_ *testing.T, _ *store, o *drill.Options) { o.Targets.MaxCensusAge = time.Millisecond },
		},
		{
			name: "a clock that was set back", want: drill.Unproven, check: drill.CheckBackup, detail: "lies in the future of this machine's clock",
			seed: func(_ *testing.T, _ *store, o *drill.Options) {
				o.Now = func() time.Time { return time.Now().Add(-48 * time.Hour) }
			},
		},
		{
			name: "a network that is too slow", want: drill.Fail, check: drill.CheckTime, detail: "1 TB would take",
			seed: func(t *testing.T, s *store, o *drill.Options) {
				s.wrapped(t, o, limit.Options{Download: 4 << 20})
				o.Targets.RestorePerTerabyte = 3 * time.Hour // 90 MB a second
			},
		},
	}
}

// wrapped opens the repository for a drill through limits.
func (s *store) wrapped(t *testing.T, o *drill.Options, limits limit.Options) {
	t.Helper()
	repository, err := catalog.Open(t.Context(), limit.Wrap(s.place.Bucket, limits))
	if err != nil {
		t.Fatal(err)
	}
	o.Repository = repository.With(s.place.Keys)
	if o.Cluster, err = o.Repository.Cluster(t.Context(), clusterName); err != nil {
		t.Fatal(err)
	}
}

// wrongKeys is a drill that has another identity than the one that the repository is sealed for.
func wrongKeys() defect {
	return defect{
		name: "a wrong key", want: drill.Unproven, check: drill.CheckPITR, detail: "none of the identities at hand fits",
		seed: func(t *testing.T, s *store, o *drill.Options) {
			other, own := objectstore.NewKeys(t), s.place.Keys
			own.Identities = other.Identities
			repository, err := s.place.OpenWith(t.Context(), own)
			if err != nil {
				t.Fatal(err)
			}
			o.Repository = repository
			if o.Cluster, err = repository.Cluster(t.Context(), clusterName); err != nil {
				t.Fatal(err)
			}
		},
	}
}

// foreignRecord puts a backup of another cluster beside this one's.
func (s *store) foreignRecord(t *testing.T) {
	t.Helper()
	ctx := t.Context()
	identity := s.cluster.Identity()
	identity.SystemIdentifier++
	other, err := s.repository.Register(ctx, "other", identity, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	inventory, err := s.cluster.Inventory(ctx)
	if err != nil {
		t.Fatal(err)
	}
	record := inventory.Backups[0]
	record.Label = strings.Replace(record.Label, "-full-", "-full-zz", 1)[:len(record.Label)]
	w, err := other.StartBackup(ctx, catalog.StartedBackup{Label: record.Label, Type: "full", Started: time.Now(), Host: "here"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.Abort)
	ref, totals, err := w.Finish(ctx)
	if err != nil {
		t.Fatal(err)
	}
	record.Cluster, record.SystemIdentifier, record.Index = "other", identity.SystemIdentifier, ref
	record.Files, record.Directories, record.ClusterBytes, record.StoredBytes = totals.Files, totals.Directories, totals.ClusterBytes, totals.StoredBytes
	if err := w.Commit(ctx, record); err != nil {
		t.Fatal(err)
	}
	own := filepath.Dir(filepath.Dir(s.objects("backups/*/record.json")[0]))
	for _, key := range s.place.Objects(t, "clusters/other/[0-9]*/backups/*/*") {
		s.place.Write(t, own+"/"+record.Label+"/"+filepath.Base(key), s.place.Read(t, key))
	}
}

// poorCensus is one of a role that may not read the ledger. It is not stored.
func (s *scene) poorCensus() *census.Census {
	s.t.Helper()
	ctx := s.t.Context()
	s.server.Exec(ctx, "CREATE ROLE poor LOGIN; GRANT EXECUTE ON FUNCTION pg_create_restore_point(text) TO poor")
	c, err := census.Take(ctx, census.Options{
		Connect: func(ctx context.Context, database string) (*pgx.Conn, error) {
			if database == "" {
				database = "postgres"
			}
			return pgx.Connect(ctx, strings.Replace(s.server.DSN(database), "user=postgres", "user=poor", 1))
		},
		Identity: s.cluster.Identity(), ID: catalog.NewID(time.Now().Add(2 * time.Second)),
		WALDirectory: filepath.Join(s.server.DataDir, "pg_wal"), Logger: drillOptions(s.repository, s.cluster, "", "").Log, Clock: time.Now,
	})
	if err != nil {
		s.t.Fatalf("census as a poor role: %v", err)
	}
	s.archiveAll()
	return c
}

// straySegment is a file of a segment of the server, as if it were of timeline 2.
func (s *scene) straySegment() string {
	s.t.Helper()
	s.server.Exec(s.t.Context(), "SELECT pg_logical_emit_message(false, 'a segment', 'that is not empty')")
	name := s.server.Value(s.t.Context(), "SELECT pg_walfile_name(pg_current_wal_insert_lsn())")
	s.archiveAll()
	file, err := wal.ParseFileName(name)
	if err != nil {
		s.t.Fatal(err)
	}
	var content bytes.Buffer
	if _, err := s.cluster.GetWAL(s.t.Context(), file, &content); err != nil {
		s.t.Fatal(err)
	}
	raw := content.Bytes()
	for page := 0; page < len(raw); page += wal.PageSize {
		if !bytes.Equal(raw[page:page+4], make([]byte, 4)) {
			binary.LittleEndian.PutUint32(raw[page+4:], 2)
		}
	}
	path := filepath.Join(pgtest.TempDir(s.t), "00000002"+name[8:])
	if err := os.WriteFile(path, raw, 0o600); err != nil {
		s.t.Fatal(err)
	}
	return path
}
