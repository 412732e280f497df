package archive

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"maps"
	"slices"
	"strconv"

	"lifeboat/internal/backuplabel"
	"lifeboat/internal/control"
	"lifeboat/internal/manifest"
	"lifeboat/storage/catalog"
)

// labelFile tells recovery where to begin. Only a backup has it.
const labelFile = "backup_label"

// finish stores what can be known only after the server's stop, pg_control as the very last file of all, and fills the
// record.
func (b *baseBackup) finish(ctx context.Context) error {
	if err := b.describe(); err != nil {
		return err
	}
	raw, _, err := readControl(ctx, b.DataDirectory)
	if err != nil {
		return err
	}
	// A pg_control that is read without backup_label must not start as after a crash.
	if raw, err = control.Neutralise(raw); err != nil {
		return err
	}
	pgControl := b.generated(controlFile, raw)
	if err := b.addGenerated(ctx, pgControl); err != nil {
		return err
	}
	if err := b.inOwnStream(ctx, func(s *catalog.Stream) error { return pgControl.store(ctx, s) }); err != nil {
		return err
	}
	index, totals, err := b.writer.Finish(ctx)
	b.record.Index = index
	b.record.Files, b.record.Directories = totals.Files, totals.Directories
	b.record.ClusterBytes, b.record.StoredBytes = totals.ClusterBytes, totals.StoredBytes
	return err
}

// addGenerated stores the files that do not come from the data directory, and the manifest after all that it lists.
func (b *baseBackup) addGenerated(ctx context.Context, pgControl generatedFile) error {
	files, err := missingConfig(b.DataDirectory, b.server.settings)
	if err != nil {
		return err
	}
	b.record.GeneratedConfig = len(files) > 0
	files[labelFile] = []byte(b.stopped.label)
	return b.inOwnStream(ctx, func(s *catalog.Stream) error {
		for _, name := range slices.Sorted(maps.Keys(files)) {
			file := b.generated(name, files[name])
			if err := errors.Join(file.store(ctx, s), file.list(b.manifest)); err != nil {
				return err
			}
		}
		if err := pgControl.list(b.manifest); err != nil {
			return err
		}
		return b.addManifest(ctx, s)
	})
}

// inOwnStream writes a stream that is durable when it returns nil.
func (b *baseBackup) inOwnStream(ctx context.Context, write func(*catalog.Stream) error) error {
	stream, err := b.writer.NewStream(ctx)
	if err != nil {
		return err
	}
	if err := write(stream); err != nil {
		return err
	}
	return stream.Close(ctx)
}

// addManifest ends the manifest and stores it.
func (b *baseBackup) addManifest(ctx context.Context, s *catalog.Stream) error {
	size, content, err := b.manifest.finish(b.record.Timeline, b.record.StartLSN, b.record.StopLSN)
	if err != nil {
		return err
	}
	meta := catalog.FileMeta{Path: manifest.Name, Mode: generatedMode, ModTime: b.Clock(), Size: size}
	return s.AddFile(ctx, meta, content)
}

// generatedMode is the mode of files that are not copied.
const generatedMode = 0o600

// generatedFile is a small file that is made here.
type generatedFile struct {
	meta    catalog.FileMeta
	content []byte
}

func (b *baseBackup) generated(path string, content []byte) generatedFile {
	meta := catalog.FileMeta{Path: path, Mode: generatedMode, ModTime: b.Clock(), Size: int64(len(content))}
	return generatedFile{meta: meta, content: content}
}

func (f generatedFile) store(ctx context.Context, s *catalog.Stream) error {
	return s.AddFile(ctx, f.meta, bytes.NewReader(f.content))
}

func (f generatedFile) list(m *manifestSpool) error {
	return m.add(f.meta, crc32.Checksum(f.content, crc32.MakeTable(crc32.Castagnoli)))
}

// describe fills in what the server said, before and at the end.
func (b *baseBackup) describe() error {
	label, err := backuplabel.Parse([]byte(b.stopped.label))
	if err != nil {
		return err
	}
	if label.StartLSN != b.record.StartLSN || b.stopped.lsn < label.StartLSN {
		return fmt.Errorf("the server's backup_label starts at %s, the backup at %s, and stops at %s",
			label.StartLSN, b.record.StartLSN, b.stopped.lsn)
	}
	r := &b.record
	r.Label, r.Type, r.Cluster, r.Tool = b.Label, typeFull, b.Cluster.Name(), b.Tool
	r.SystemIdentifier, r.WALSegmentSize = b.server.identity.SystemIdentifier, b.server.identity.WALSegmentSize
	r.PostgresVersion, r.DataChecksums = b.session.version, b.server.dataChecksums
	r.Timeline, r.CheckpointLSN = label.StartTimeline, label.CheckpointLSN
	r.StopLSN, r.StopTime = b.stopped.lsn, b.stopped.at
	r.BackupLabel, r.TablespaceMap = b.stopped.label, b.stopped.tablespaceMap
	r.Superuser, r.Settings, r.FrameSize = b.server.superuser, b.server.settings, catalog.FrameSize
	r.Tablespaces, err = b.listTablespaces()
	return err
}

// listTablespaces are those that were read and those that the server has in its map: one that came or went meanwhile
// can be in either alone.
func (b *baseBackup) listTablespaces() ([]catalog.Tablespace, error) {
	locations := map[uint32]string{}
	mapped, err := backuplabel.ParseTablespaceMap([]byte(b.stopped.tablespaceMap))
	if err != nil {
		return nil, err
	}
	for _, t := range mapped {
		locations[t.OID] = t.Path
	}
	for _, t := range b.tablespaces {
		oid, err := strconv.ParseUint(t.oid, 10, 32)
		if err != nil {
			return nil, fmt.Errorf("tablespace %s: %w", t.oid, err)
		}
		locations[uint32(oid)] = t.location
	}
	list := []catalog.Tablespace{}
	for _, oid := range slices.Sorted(maps.Keys(locations)) {
		list = append(list, catalog.Tablespace{OID: oid, Name: b.names[oid], Location: locations[oid]})
	}
	return list, nil
}
