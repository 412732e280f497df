package verify

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"lifeboat/internal/objectstore"
	"lifeboat/internal/pgtest"
	"lifeboat/internal/wal"
	"lifeboat/storage/catalog"
)

const label = "20261122T102103Z-full-abcdef"

var sceneTime = time.Date(2026, 11, 22, 10, 21, 3, 0, time.UTC)

// material is what a real server has left: WAL segments of 1 MiB before, during and after a base backup, and what
// PostgreSQL says of that backup.
type material struct {
	system   uint64
	segments map[string][]byte
	record   catalog.Record
}

func gather(t *testing.T) material {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	archive := pgtest.TempDir(t)
	server := pgtest.Start(t, pgtest.Debian(t), pgtest.Options{WALSegmentMB: 1, ArchiveCommand: "cp %p " + archive + "/%f"})
	server.Exec(ctx, "CREATE TABLE filler AS SELECT repeat('x', 500) FROM generate_series(1, 3000)")
	var m material
	m.backUp(t, ctx, server)
	server.Exec(ctx, "INSERT INTO filler SELECT repeat('y', 500) FROM generate_series(1, 3000)")
	server.Exec(ctx, "SELECT pg_switch_wal()")
	server.Stop()
	m.read(t, archive)
	return m
}

func (m *material) backUp(t *testing.T, ctx context.Context, server *pgtest.Cluster) {
	t.Helper()
	conn := server.Conn(ctx)
	if _, err := conn.Exec(ctx, "SELECT pg_backup_start('test', true)"); err != nil {
		t.Fatal(err)
	}
	server.Exec(ctx, "INSERT INTO filler SELECT repeat('z', 500) FROM generate_series(1, 4500)")
	var stop, start, checkpoint, text string
	err := conn.QueryRow(ctx, "SELECT lsn::text, labelfile FROM pg_backup_stop(false)").Scan(&stop, &text)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := fmt.Sscanf(text, "START WAL LOCATION: %s (file %s\nCHECKPOINT LOCATION: %s", &start, new(string), &checkpoint); err != nil {
		t.Fatal(err)
	}
	if err := conn.QueryRow(ctx, "SELECT system_identifier FROM pg_control_system()").Scan(&m.system); err != nil {
		t.Fatal(err)
	}
	m.record = catalog.Record{
		Label: label, Type: "full", Cluster: "main", SystemIdentifier: m.system, PostgresVersion: 150008, Timeline: 1,
		StartLSN: lsn(t, start), CheckpointLSN: lsn(t, checkpoint), StopLSN: lsn(t, stop),
		StartTime: sceneTime, StopTime: sceneTime.Add(time.Minute), WALSegmentSize: wal.MinSegmentSize,
		BackupLabel: text, FrameSize: catalog.FrameSize, Tool: "lifeboat test",
	}
}

func lsn(t *testing.T, text string) wal.LSN {
	t.Helper()
	l, err := wal.ParseLSN(text)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func (m *material) read(t *testing.T, archive string) {
	t.Helper()
	entries, err := os.ReadDir(archive)
	if err != nil {
		t.Fatal(err)
	}
	m.segments = map[string][]byte{}
	for _, entry := range entries {
		name, err := wal.ParseFileName(entry.Name())
		if err != nil || name.Kind != wal.Segment {
			continue
		}
		if m.segments[entry.Name()], err = os.ReadFile(filepath.Join(archive, entry.Name())); err != nil {
			t.Fatal(err)
		}
	}
	if first, last := m.span(); last-first < 2 || len(m.segments) < int(last-first)+3 {
		t.Fatalf("the server made too little WAL: %d segments", len(m.segments))
	}
}

// span is the first and last segment that the backup needs.
func (m *material) span() (first, last wal.SegmentNumber) {
	return wal.SegmentOf(m.record.StartLSN, wal.MinSegmentSize), wal.LastSegmentOf(m.record.StopLSN, wal.MinSegmentSize)
}

func (m *material) names() []string {
	var names []string
	for name := range m.segments {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// scene is a repository made of the material.
type scene struct {
	t       *testing.T
	place   *objectstore.Place
	repo    *catalog.Repository
	cluster *catalog.Cluster
}

// newScene stores everything, but for what the function takes out.
func newScene(t *testing.T, m material, change func(files map[string]string, record *catalog.Record, segments map[string][]byte)) *scene {
	t.Helper()
	return newSceneAt(t, objectstore.NewPlace(t), m, change)
}

// newSceneAt is newScene at a place of one's own.
func newSceneAt(t *testing.T, place *objectstore.Place, m material, change func(files map[string]string, record *catalog.Record, segments map[string][]byte)) *scene {
	t.Helper()
	s := &scene{t: t, place: place, repo: place.Create(t, sceneTime)}
	var err error
	identity := catalog.Identity{SystemIdentifier: m.system, WALSegmentSize: wal.MinSegmentSize}
	if s.cluster, err = s.repo.Register(t.Context(), "main", identity, sceneTime); err != nil {
		t.Fatal(err)
	}
	files := map[string]string{"PG_VERSION": "15\n", "global/pg_control": "control", "backup_manifest": "{}", "base/1/1": strings.Repeat("page", 3000)}
	segments := map[string][]byte{}
	for name, content := range m.segments {
		segments[name] = content
	}
	record := m.record
	change(files, &record, segments)
	for name, content := range segments {
		s.archive(name, content)
	}
	if record.Label != "" {
		s.backUp(record, files)
	}
	return s
}

func unchanged(map[string]string, *catalog.Record, map[string][]byte) {}

func (s *scene) archive(name string, content []byte) {
	s.t.Helper()
	parsed, err := wal.ParseFileName(name)
	if err != nil {
		s.t.Fatal(err)
	}
	f := catalog.WALFile{Name: parsed, Size: int64(len(content)), Open: func() (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(content)), nil
	}}
	if parsed.Kind == wal.Segment {
		summary, err := wal.ScanSegment(bytes.NewReader(content), f.Size, parsed, wal.ScanOptions{})
		if err != nil {
			s.t.Fatal(err)
		}
		f.Summary = &summary
	}
	if _, err := s.cluster.PutWAL(s.t.Context(), f, sceneTime); err != nil {
		s.t.Fatal(err)
	}
}

func (s *scene) backUp(record catalog.Record, files map[string]string) {
	s.t.Helper()
	ctx := s.t.Context()
	w, err := s.cluster.StartBackup(ctx, catalog.StartedBackup{Label: record.Label, Type: "full", Started: sceneTime, Host: "db1"})
	if err != nil {
		s.t.Fatal(err)
	}
	defer w.Abort()
	stream, err := w.NewStream(ctx)
	if err != nil {
		s.t.Fatal(err)
	}
	for path, content := range files {
		meta := catalog.FileMeta{Path: path, Mode: 0o600, ModTime: sceneTime, Size: int64(len(content))}
		if err := stream.AddFile(ctx, meta, strings.NewReader(content)); err != nil {
			s.t.Fatal(err)
		}
	}
	if err := stream.Close(ctx); err != nil {
		s.t.Fatal(err)
	}
	ref, totals, err := w.Finish(ctx)
	if err != nil {
		s.t.Fatal(err)
	}
	record.Index, record.Files, record.Directories = ref, totals.Files, totals.Directories
	record.ClusterBytes, record.StoredBytes = totals.ClusterBytes, totals.StoredBytes
	if err := w.Commit(ctx, record); err != nil {
		s.t.Fatal(err)
	}
}

func (s *scene) verify(o Options) Report {
	s.t.Helper()
	report, err := Repository(s.t.Context(), s.repo, o)
	if err != nil {
		s.t.Fatal(err)
	}
	return report
}
