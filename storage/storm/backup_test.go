package storm

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"slices"

	"golang.org/x/sync/errgroup"

	"lifeboat/storage"
	"lifeboat/storage/catalog"
)

const (
	streams      = 3
	largeContent = 20 << 20 // more than drivers send in one part
)

// tree is the content of a backup's files by their paths.
type tree map[string][]byte

// newTree has some dozen files; one tree in eight has one that is sent in several parts.
func newTree(rng *rand.Rand) tree {
	t := tree{"PG_VERSION": []byte("15\n"), "base/empty": nil}
	sizes := []int{1, 8192, catalog.FrameSize - 1, catalog.FrameSize, catalog.FrameSize + 1, 3*catalog.FrameSize + 8192}
	for i := range 6 + rng.IntN(12) {
		t[fmt.Sprintf("base/%d/%d", rng.IntN(3), i)] = noise(rng, sizes[rng.IntN(len(sizes))])
	}
	if rng.IntN(8) == 0 {
		t["base/large"] = noise(rng, largeContent)
	}
	return t
}

func noise(rng *rand.Rand, size int) []byte {
	p := make([]byte, size)
	fill(rng, p)
	return p
}

// backUp makes one backup, and gives up on a label when anything fails, as the product does.
func (s *ship) backUp() {
	for try := range attempts {
		rng := rand.New(rand.NewPCG(s.seed, 300+uint64(try)))
		label := catalog.NewLabel(stormTime, "full")
		content := newTree(rng)
		s.enter(func() { s.trees[label] = content })
		err := s.writeBackup(label, content)
		if err == nil {
			s.count(&s.backups)
			s.enter(func() { s.committed[label] = true })
			s.tryToRemove(label)
			return
		}
		s.failure("backup "+label, err)
		s.cleanUp(label)
	}
}

func (s *ship) writeBackup(label string, content tree) error {
	w, err := s.agent.StartBackup(s.ctx, catalog.StartedBackup{
		Label: label, Type: "full", Started: stormTime, Host: "db1",
	})
	if err != nil {
		return err
	}
	defer w.Abort()
	if err := writeStreams(s.ctx, w, content); err != nil {
		return err
	}
	ref, totals, err := w.Finish(s.ctx)
	if err != nil {
		return err
	}
	s.enter(func() { s.tried[label] = true })
	return s.commit(w, recordOf(label, ref, totals))
}

func writeStreams(ctx context.Context, w *catalog.BackupWriter, content tree) error {
	group, ctx := errgroup.WithContext(ctx)
	for n := range streams {
		group.Go(func() error {
			stream, err := w.NewStream(ctx)
			if err != nil {
				return err
			}
			for i, path := range slices.Sorted(maps.Keys(content)) {
				if i%streams != n {
					continue
				}
				meta := catalog.FileMeta{Path: path, Mode: 0o600, ModTime: stormTime, Size: int64(len(content[path]))}
				if err := stream.AddFile(ctx, meta, bytes.NewReader(content[path])); err != nil {
					return errors.Join(err, stream.Close(ctx))
				}
			}
			return stream.Close(ctx)
		})
	}
	return group.Wait()
}

// commit asks again where the outcome is unknown, as Commit allows.
func (s *ship) commit(w *catalog.BackupWriter, rec catalog.Record) error {
	err := w.Commit(s.ctx, rec)
	for range attempts {
		if err == nil {
			return nil
		}
		s.failure("commit "+rec.Label, err)
		err = w.Commit(s.ctx, rec)
	}
	return err
}

func recordOf(label string, ref catalog.IndexRef, totals catalog.Totals) catalog.Record {
	return catalog.Record{
		Label: label, Type: "full", Cluster: clusterName, SystemIdentifier: systemIdentifier,
		PostgresVersion: 150008, Timeline: 1, StartLSN: 0x100028, CheckpointLSN: 0x100060, StopLSN: 0x100138,
		StartTime: stormTime, StopTime: stormTime, WALSegmentSize: segmentSize, DataChecksums: true,
		BackupLabel: "START WAL LOCATION: 0/100028 (file 000000010000000000000001)\n",
		Tablespaces: []catalog.Tablespace{}, Superuser: "postgres", Settings: map[string]string{"max_connections": "100"},
		Files: totals.Files, Directories: totals.Directories, ClusterBytes: totals.ClusterBytes,
		StoredBytes: totals.StoredBytes, DamagedPages: []catalog.DamagedPage{}, Index: ref, FrameSize: catalog.FrameSize,
		References: []string{}, Tool: "lifeboat test",
	}
}

// tryToRemove treats a committed backup as a leaving of a dead writer, which must be refused.
func (s *ship) tryToRemove(label string) {
	err := s.agent.RemoveUnfinished(s.ctx, label)
	switch {
	case err == nil:
		s.violation("backup %s is committed and was removed as unfinished", label)
	case !errors.Is(err, catalog.ErrCommitted):
		s.failure("remove "+label, err)
	}
}

// cleanUp removes what a failed backup left, as far as the trouble lets it.
func (s *ship) cleanUp(label string) {
	err := s.agent.RemoveUnfinished(s.ctx, label)
	switch {
	case errors.Is(err, catalog.ErrCommitted):
		if !s.tried[label] {
			s.violation("backup %s has a record that nobody stored", label)
		}
	case err != nil:
		s.failure("remove "+label, err)
	}
}

// readBackups reads the files of the backups that are committed, in part.
func (s *ship) readBackups(rng *rand.Rand) {
	trees := map[string]tree{}
	s.enter(func() {
		for label := range s.committed {
			trees[label] = s.trees[label]
		}
	})
	for label, want := range trees {
		if err := readBackup(s.ctx, s.cluster, label, want, rng.IntN(4)); err != nil {
			s.present("read backup "+label, err)
			continue
		}
		s.count(&s.reads)
	}
}

// errOther says that a backup holds something else than was put into it.
var errOther = errors.New("other content than was backed up")

// readBackup lists the files of a backup and reads each one in every so many; zero means all.
func readBackup(ctx context.Context, c *catalog.Cluster, label string, want tree, every int) error {
	rec, err := c.Record(ctx, label)
	if err != nil {
		return err
	}
	index, err := c.OpenIndex(ctx, rec)
	if err != nil {
		return err
	}
	seen := 0
	for entry, err := range index.Files(ctx) {
		if err != nil {
			return err
		}
		seen++
		if every > 0 && seen%every != 0 {
			continue
		}
		if err := readFile(ctx, index, entry, want); err != nil {
			return err
		}
	}
	if seen != len(want) {
		return fmt.Errorf("%d of %d files: %w", seen, len(want), errOther)
	}
	return nil
}

// readFile reads a file by its frames, as a restore does, and one byte of it by its place.
func readFile(ctx context.Context, index *catalog.Index, entry catalog.FileEntry, want tree) error {
	content, ok := want[entry.Path]
	if !ok || entry.Size != int64(len(content)) {
		return fmt.Errorf("file %s of %d bytes: %w", entry.Path, entry.Size, errOther)
	}
	var got []byte
	for _, frame := range entry.Frames {
		plain, err := readFrame(ctx, index, frame)
		if err != nil {
			return err
		}
		got = append(got, plain...)
	}
	if !bytes.Equal(got, content) {
		return fmt.Errorf("content of %s: %w", entry.Path, errOther)
	}
	if len(content) == 0 {
		return nil
	}
	one := make([]byte, 1)
	if _, err := index.ReadAt(ctx, entry.Path, one, entry.Size-1); err != nil {
		return err
	}
	if one[0] != content[len(content)-1] {
		return fmt.Errorf("last byte of %s: %w", entry.Path, errOther)
	}
	return nil
}

func readFrame(ctx context.Context, index *catalog.Index, f catalog.Frame) ([]byte, error) {
	body, err := index.ReadPack(ctx, f.Pack, f.Offset, int64(f.Length))
	if err != nil {
		return nil, err
	}
	stored := make([]byte, f.Length)
	_, err = io.ReadFull(body, stored)
	if err := errors.Join(err, body.Close()); err != nil {
		return nil, err
	}
	return index.DecodeFrame(nil, stored, f)
}

// missing reports whether an error says that something is not there.
func missing(err error) bool { return errors.Is(err, storage.ErrNotFound) }
