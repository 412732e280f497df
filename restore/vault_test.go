package restore_test

import (
	"bytes"
	"cmp"
	"io"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"lifeboat/internal/objectstore"
	"lifeboat/internal/wal"
	"lifeboat/restore"
	"lifeboat/storage"
	"lifeboat/storage/catalog"
	"lifeboat/storage/fault"
)

// dawn is when the vaults' history begins.
var dawn = time.Date(2026, 11, 22, 6, 0, 0, 0, time.UTC)

const vaultSegment = 1 << 20

// vault is a repository with made-up content: segments whose headers say what a test wants, and small backups.
type vault struct {
	t          testing.TB
	place      *objectstore.Place
	bucket     storage.Bucket // the place's
	repository *catalog.Repository
	cluster    *catalog.Cluster
}

func newVault(t testing.TB) *vault {
	t.Helper()
	place := objectstore.NewPlace(t)
	repository := place.Create(t, dawn)
	identity := catalog.Identity{SystemIdentifier: 7000000000000000001, WALSegmentSize: vaultSegment}
	cluster, err := repository.Register(t.Context(), clusterName, identity, dawn)
	if err != nil {
		t.Fatal(err)
	}
	return &vault{t: t, place: place, bucket: place.Bucket, repository: repository, cluster: cluster}
}

// failing is the same repository behind a script of faults. What opens it is not harmed.
func (v *vault) failing(rules ...fault.Rule) (*catalog.Cluster, *fault.Set) {
	v.t.Helper()
	set := fault.NewSet(rules...)
	bucket := &lateFaults{Bucket: v.bucket}
	repository, err := catalog.Open(v.t.Context(), bucket)
	if err != nil {
		v.t.Fatal(err)
	}
	cluster, err := repository.With(v.place.Keys).Cluster(v.t.Context(), clusterName)
	if err != nil {
		v.t.Fatal(err)
	}
	bucket.Bucket = fault.Wrap(v.bucket, set)
	return cluster, set
}

// lateFaults is a bucket that can be exchanged.
type lateFaults struct{ storage.Bucket }

// segment archives a segment of zeros. Its header tells of records all through it, and the last transaction in it ended
// that many minutes after dawn.
func (v *vault) segment(tli wal.TimelineID, number wal.SegmentNumber, change func(*wal.Summary)) wal.FileName {
	v.t.Helper()
	start := wal.Start(number, vaultSegment)
	at := dawn.Add(time.Duration(number) * time.Minute)
	summary := &wal.Summary{
		Version: 15, SystemIdentifier: v.cluster.Identity().SystemIdentifier, SegmentSize: vaultSegment, Timeline: tli,
		FirstRecord: start + 40, LastRecord: start + vaultSegment/2, LastRecordEnd: start + vaultSegment, Switched: true,
		FirstTime: at, LastTime: at, FirstXactTime: at, LastXactTime: at, MinXID: 1000, MaxXID: 1000,
	}
	if change != nil {
		change(summary)
	}
	name := wal.SegmentFile(tli, number, vaultSegment)
	v.put(name, make([]byte, vaultSegment), summary)
	return name
}

func (v *vault) put(name wal.FileName, content []byte, summary *wal.Summary) {
	v.t.Helper()
	file := catalog.WALFile{
		Name: name, Size: int64(len(content)), Summary: summary,
		Open: func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(content)), nil },
	}
	if _, err := v.cluster.PutWAL(v.t.Context(), file, dawn); err != nil {
		v.t.Fatal(err)
	}
}

func (v *vault) segments(tli wal.TimelineID, from, to wal.SegmentNumber) {
	for number := from; number <= to; number++ {
		v.segment(tli, number, nil)
	}
}

func (v *vault) history(tli wal.TimelineID, text string) {
	v.put(wal.HistoryFile(tli), []byte(text), nil)
}

// tree is the content of a backup: nil is a directory.
type tree map[string][]byte

// smallTree is the least that makes a cluster.
func smallTree() tree {
	return tree{
		"PG_VERSION": []byte("15\n"), "backup_label": []byte("START WAL LOCATION\n"),
		"global": nil, "global/pg_control": bytes.Repeat([]byte("c"), 8192), "global/1262": bytes.Repeat([]byte("d"), 3*8192),
		"pg_wal": nil, "pg_tblspc": nil, "base": nil, "base/1": nil, "base/1/empty": {},
		"base/1/big":           bytes.Repeat([]byte("relation"), 5*catalog.FrameSize/8+100),
		"base/1/holes":         append(make([]byte, 3*catalog.FrameSize), 1),
		"base/1/zeros":         make([]byte, 2*catalog.FrameSize+8192),
		"postgresql.auto.conf": []byte("work_mem = '5MB'\nrecovery_target_name = 'old'"),
		"standby.signal":       {}, "tablespace_map": []byte("16400 /nowhere\n"),
	}
}

// backup stores a tree as a backup from the segment's start to a place a little behind.
func (v *vault) backup(label string, tli wal.TimelineID, segment wal.SegmentNumber, content tree, change func(*catalog.Record)) catalog.Record {
	v.t.Helper()
	ctx := v.t.Context()
	w, err := v.cluster.StartBackup(ctx, catalog.StartedBackup{Label: label, Type: "full", Started: dawn, Host: "here"})
	if err != nil {
		v.t.Fatal(err)
	}
	v.t.Cleanup(w.Abort)
	v.fill(w, content)
	ref, totals, err := w.Finish(ctx)
	if err != nil {
		v.t.Fatal(err)
	}
	start := wal.Start(segment, vaultSegment) + 40
	at := dawn.Add(time.Duration(segment) * time.Minute)
	record := catalog.Record{
		Label: label, Type: "full", Cluster: clusterName, SystemIdentifier: v.cluster.Identity().SystemIdentifier,
		PostgresVersion: 150008, Timeline: tli, StartLSN: start, CheckpointLSN: start + 56, StopLSN: start + 400,
		StartTime: at.Add(-time.Minute), StopTime: at.Add(-30 * time.Second), WALSegmentSize: vaultSegment,
		BackupLabel: "START WAL LOCATION\n", Tablespaces: []catalog.Tablespace{}, Superuser: "postgres",
		Settings: map[string]string{}, Files: totals.Files, Directories: totals.Directories, ClusterBytes: totals.ClusterBytes,
		StoredBytes: totals.StoredBytes, DamagedPages: []catalog.DamagedPage{}, Index: ref, FrameSize: catalog.FrameSize,
		References: []string{}, Tool: "test",
	}
	if change != nil {
		change(&record)
	}
	if err := w.Commit(ctx, record); err != nil {
		v.t.Fatal(err)
	}
	return record
}

// fill deals the tree out to two streams, pg_control last.
func (v *vault) fill(w *catalog.BackupWriter, content tree) {
	v.t.Helper()
	ctx := v.t.Context()
	paths := slices.SortedFunc(maps.Keys(content), func(a, b string) int {
		aLast, bLast := strings.HasSuffix(a, "pg_control"), strings.HasSuffix(b, "pg_control")
		if aLast != bLast {
			return map[bool]int{true: 1, false: -1}[aLast]
		}
		return cmp.Compare(a, b)
	})
	for part := range 2 {
		s, err := w.NewStream(ctx)
		if err != nil {
			v.t.Fatal(err)
		}
		for i, path := range paths {
			if i%2 != part {
				continue
			}
			meta := catalog.FileMeta{Path: path, Mode: 0o600, ModTime: dawn, Size: int64(len(content[path]))}
			if content[path] == nil {
				meta.Mode = 0o700
				err = s.AddDirectory(meta)
			} else {
				err = s.AddFile(ctx, meta, bytes.NewReader(content[path]))
			}
			if err != nil {
				v.t.Fatal(err)
			}
		}
		if err := s.Close(ctx); err != nil {
			v.t.Fatal(err)
		}
	}
}

// planTo plans a restore to a target.
func (v *vault) planTo(target restore.Target, change func(*restore.PlanOptions)) (restore.Plan, error) {
	o := restore.PlanOptions{Directory: "/restored", FetchCommand: "fetch %f %p", Now: dawn.Add(24 * time.Hour)}
	if change != nil {
		change(&o)
	}
	return restore.MakePlan(v.t.Context(), v.cluster, target, o)
}

// plan plans a restore of the newest backup into a directory.
func (v *vault) plan(directory string) restore.Plan {
	v.t.Helper()
	plan, err := v.planTo(restore.Target{Kind: restore.KindLatest}, func(o *restore.PlanOptions) { o.Directory = directory })
	if err != nil {
		v.t.Fatal(err)
	}
	return plan
}

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }
