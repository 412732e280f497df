package archive

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"lifeboat/internal/manifest"
	"lifeboat/internal/objectstore"
	"lifeboat/storage/catalog"
)

func newCatalogCluster(t *testing.T) *catalog.Cluster {
	t.Helper()
	repository := objectstore.NewPlace(t).Create(t, time.Now())
	identity := catalog.Identity{SystemIdentifier: 1, WALSegmentSize: 16 << 20}
	cluster, err := repository.Register(t.Context(), "main", identity, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return cluster
}

func newCopier(t *testing.T, cluster *catalog.Cluster) *copier {
	t.Helper()
	writer, err := cluster.StartBackup(t.Context(), catalog.StartedBackup{Label: "copy", Type: typeFull, Started: time.Now()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(writer.Abort)
	spool, err := newManifestSpool(17, 1)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(spool.close)
	return &copier{
		writer: writer, manifest: spool, pages: &pageCheck{}, progress: newTracker(nil),
		table: crc32.MakeTable(crc32.Castagnoli),
	}
}

// finished commits the copy and returns its index and the files that its manifest lists.
func (c *copier) finished(t *testing.T, cluster *catalog.Cluster) (*catalog.Index, map[string]manifest.File) {
	t.Helper()
	ref, totals, err := c.writer.Finish(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	record := catalog.Record{
		Label: "copy", Type: typeFull, Cluster: "main", SystemIdentifier: 1, WALSegmentSize: 16 << 20,
		Timeline: 1, StartLSN: 1, StopLSN: 2, FrameSize: catalog.FrameSize, Index: ref,
		Files: totals.Files, Directories: totals.Directories, ClusterBytes: totals.ClusterBytes, StoredBytes: totals.StoredBytes,
	}
	if err := c.writer.Commit(t.Context(), record); err != nil {
		t.Fatal(err)
	}
	index, err := cluster.OpenIndex(t.Context(), record)
	if err != nil {
		t.Fatal(err)
	}
	_, text, err := c.manifest.finish(1, 1, 2)
	if err != nil {
		t.Fatal(err)
	}
	listed := map[string]manifest.File{}
	_, err = manifest.Read(text, func(f manifest.File) error {
		listed[f.Path] = f
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return index, listed
}

// A file that grows, shrinks, comes or goes while it is read ends up in the backup at one size, with the bytes that its
// manifest entry has the sum of, or not at all.
func TestFilesThatChangeMeanwhileAreCopiedConsistently(t *testing.T) {
	t.Parallel()
	root := tree(t, "pg_tblspc/", "base/5/")
	path := func(i int) string { return filepath.Join(root, "base/5", fmt.Sprint(20000+i)) }
	const files = 200
	for i := range files {
		if err := os.WriteFile(path(i), pattern(i*3000), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cluster := newCatalogCluster(t)
	c := newCopier(t, cluster)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var group errgroup.Group
	begun := make(chan struct{})
	group.Go(func() error { return disturb(ctx, path, files, begun) })
	<-begun
	if err := c.run(t.Context(), newScanner(t, root), 3); err != nil {
		t.Fatal(err)
	}
	stop()
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
	index, listed := c.finished(t, cluster)
	copied := 0
	for entry, err := range index.Files(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		if entry.Directory {
			continue
		}
		copied++
		content := make([]byte, entry.Size)
		if _, err := index.ReadAt(t.Context(), entry.Path, content, 0); err != nil && !errors.Is(err, io.EOF) {
			t.Fatal(err)
		}
		f := listed[entry.Path]
		sum := manifest.ChecksumOfCRC32C(crc32.Checksum(content, c.table))
		if f.Size != entry.Size || !bytes.Equal(f.Checksum, sum) {
			t.Errorf("%s has %d bytes and checksum %x, the manifest says %d and %x", entry.Path, entry.Size, sum, f.Size, f.Checksum)
		}
	}
	if copied != len(listed) || copied == 0 {
		t.Errorf("%d files were copied, %d are listed", copied, len(listed))
	}
}

// disturb changes files until ctx ends, and closes begun when it has begun.
func disturb(ctx context.Context, path func(int) string, files int, begun chan struct{}) error {
	close(begun)
	for i := 0; ctx.Err() == nil; i++ {
		name := path(i * 7 % files)
		var err error
		switch i % 4 {
		case 0:
			err = os.RemoveAll(name)
		case 1:
			err = os.WriteFile(name, pattern(i%files*4000), 0o600)
		case 2:
			if err = os.Truncate(name, 100); errors.Is(err, fs.ErrNotExist) {
				err = nil
			}
		case 3:
			err = os.WriteFile(path(files+i%50), pattern(i%100*1000), 0o600)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// What vanishes between its listing and its turn is left out.
func TestFileThatVanishedSinceItWasListedIsLeftOut(t *testing.T) {
	t.Parallel()
	root := tree(t, "stays")
	cluster := newCatalogCluster(t)
	c := newCopier(t, cluster)
	stream, err := c.writer.NewStream(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	w := worker{copier: c, stream: stream, buffer: make([]byte, readSize)}
	for _, name := range []string{"stays", "went"} {
		it := item{source: filepath.Join(root, name)}
		it.Path = name
		if err := w.item(t.Context(), it); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := stream.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, listed := c.finished(t, cluster); len(listed) != 1 || listed["stays"].Size != 5 {
		t.Errorf("the manifest lists %v", listed) // the size is that of the file when it was opened
	}
}

func TestUnreadableFileEndsTheCopy(t *testing.T) {
	t.Parallel()
	root := tree(t, "directory/")
	c := newCopier(t, newCatalogCluster(t))
	stream, err := c.writer.NewStream(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	w := worker{copier: c, stream: stream, buffer: make([]byte, readSize)}
	symlink(t, filepath.Join(root, "directory"), filepath.Join(root, "link"))
	it := item{source: filepath.Join(root, "link")} // became a link since it was listed
	it.Path = "link"
	if err := w.item(t.Context(), it); err == nil {
		t.Error("a link was followed")
	}
}
