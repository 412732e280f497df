package catalog

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"lifeboat/internal/wal"
)

const sceneLabel = "20261122T102103Z-full-abcdef"

// tree is the content of files by their paths; a directory has nil.
type tree map[string][]byte

// randomTree has files of sizes around the borders of pages, tar blocks and frames, of all degrees of disorder.
func randomTree(seed uint64) tree {
	rng := rand.New(rand.NewPCG(seed, 7))
	sizes := []int{0, 1, 511, 512, 513, 8192, FrameSize - 1, FrameSize, FrameSize + 1, 2 * FrameSize, 3*FrameSize + 8192}
	t := tree{"base": nil, "base/empty directory": nil, "pg_wal": nil}
	for i := range 20 + rng.IntN(30) {
		t[fmt.Sprintf("base/%d/%d", rng.IntN(4), i)] = randomContent(rng, sizes[rng.IntN(len(sizes))])
	}
	t["base/ünïcode "+string(bytes.Repeat([]byte("long"), 50))+"/file"] = randomContent(rng, 100)
	t["PG_VERSION"] = []byte("15\n")
	return t
}

// randomContent is noise, text, or nothing but zeros, in stretches.
func randomContent(rng *rand.Rand, size int) []byte {
	content := make([]byte, size)
	for at := 0; at < size; at += 4096 {
		part := content[at:min(at+4096, size)]
		switch kind := rng.IntN(4) + rng.IntN(2)*size%2; kind {
		case 0:
			for i := range part {
				part[i] = byte(rng.Uint32())
			}
		case 1:
			copy(part, bytes.Repeat([]byte("all work and no play "), 200))
		}
	}
	return content
}

func (t tree) paths() []string {
	paths := make([]string, 0, len(t))
	for path := range t {
		paths = append(paths, path)
	}
	slices.Sort(paths)
	return paths
}

func (t tree) meta(path string) FileMeta {
	m := FileMeta{Path: path, Mode: 0o600, ModTime: sceneTime.Add(-time.Hour), Size: int64(len(t[path]))}
	if t[path] == nil {
		m.Mode = 0o700
	}
	return m
}

// addTo adds one path to a stream.
func (t tree) addTo(ctx context.Context, s *Stream, path string) error {
	if t[path] == nil {
		return s.AddDirectory(t.meta(path))
	}
	return s.AddFile(ctx, t.meta(path), bytes.NewReader(t[path]))
}

// write starts a backup, deals the tree out to streams in turn, and closes them.
func (t tree) write(tb testing.TB, c *Cluster, label string, packSize int64, streams int) *BackupWriter {
	tb.Helper()
	w, err := c.StartBackup(tb.Context(), StartedBackup{Label: label, Type: "full", Started: sceneTime, Host: "db1"})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(w.Abort)
	w.packSize = packSize
	for n := range streams {
		s, err := w.NewStream(tb.Context())
		if err != nil {
			tb.Fatal(err)
		}
		for i, path := range t.paths() {
			if i%streams != n {
				continue
			}
			if err := t.addTo(tb.Context(), s, path); err != nil {
				tb.Fatal(err)
			}
		}
		if err := s.Close(tb.Context()); err != nil {
			tb.Fatal(err)
		}
	}
	return w
}

// backUp writes the tree as a whole backup.
func (t tree) backUp(tb testing.TB, c *Cluster, label string, packSize int64, streams int) Record {
	tb.Helper()
	w := t.write(tb, c, label, packSize, streams)
	ref, totals, err := w.Finish(tb.Context())
	if err != nil {
		tb.Fatal(err)
	}
	rec := recordOf(c, label, ref, totals)
	if err := w.Commit(tb.Context(), rec); err != nil {
		tb.Fatal(err)
	}
	return rec
}

func recordOf(c *Cluster, label string, ref IndexRef, totals Totals) Record {
	return Record{
		Label: label, Type: "full", Cluster: c.Name(), SystemIdentifier: c.Identity().SystemIdentifier,
		PostgresVersion: 150008, Timeline: 1, StartLSN: 0x100028, CheckpointLSN: 0x100060, StopLSN: 0x100138,
		StartTime: sceneTime, StopTime: sceneTime.Add(time.Minute), WALSegmentSize: c.Identity().WALSegmentSize,
		DataChecksums: true, BackupLabel: "START WAL LOCATION: 0/100028 (file 000000010000000000000001)\n",
		Tablespaces: []Tablespace{}, Superuser: "postgres", Settings: map[string]string{"max_connections": "100"},
		Files: totals.Files, Directories: totals.Directories, ClusterBytes: totals.ClusterBytes,
		StoredBytes: totals.StoredBytes, DamagedPages: []DamagedPage{}, Index: ref, FrameSize: FrameSize,
		References: []string{}, Tool: "lifeboat test",
	}
}

// soundSegment is a segment that PostgreSQL would accept: one page header, a segment switch, and nothing.
func soundSegment(t *testing.T, name string) WALFile {
	t.Helper()
	file := must(wal.ParseFileName(name))(t)
	content := switchedSegment(file.Start(wal.MinSegmentSize), file.Timeline)
	f := fileOf(t, name, content)
	found := must(wal.ScanSegment(bytes.NewReader(content), f.Size, f.Name, wal.ScanOptions{}))(t)
	f.Summary = &found
	return f
}

func switchedSegment(start wal.LSN, tli wal.TimelineID) []byte {
	little := binary.LittleEndian
	page := little.AppendUint16(nil, 0xD110) // PostgreSQL 15
	page = little.AppendUint16(page, 2)      // XLP_LONG_HEADER
	page = little.AppendUint32(page, uint32(tli))
	page = little.AppendUint64(page, uint64(start))
	page = little.AppendUint64(page, 0) // nothing remains of a record before
	page = little.AppendUint64(page, sceneIdentity().SystemIdentifier)
	page = little.AppendUint32(page, uint32(wal.MinSegmentSize))
	page = little.AppendUint32(page, 8192)
	record := little.AppendUint32(nil, 24)
	record = little.AppendUint32(record, 0)
	record = little.AppendUint64(record, uint64(start)-24)
	record = append(record, 0x40, 0, 0, 0) // XLOG_SWITCH
	record = little.AppendUint32(record, crc32.Checksum(record, crc32.MakeTable(crc32.Castagnoli)))
	content := make([]byte, wal.MinSegmentSize)
	copy(content, append(page, record...))
	return content
}
