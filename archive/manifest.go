package archive

import (
	"fmt"
	"io"
	"os"
	"sync"

	"lifeboat/internal/manifest"
	"lifeboat/internal/wal"
	"lifeboat/storage/catalog"
)

// manifestSpool gathers the manifest on local disk, in the order in which the workers finish files.
type manifestSpool struct {
	mu     sync.Mutex
	file   *os.File // has no name any more
	writer *manifest.Writer
}

// newManifestSpool begins a manifest in the format of the server's version. The caller closes it.
func newManifestSpool(major int, systemIdentifier uint64) (*manifestSpool, error) {
	file, err := os.CreateTemp("", "lifeboat-manifest-")
	if err != nil {
		return nil, fmt.Errorf("spool the manifest: %w", err)
	}
	if err := os.Remove(file.Name()); err != nil {
		_ = file.Close() // the first error counts
		return nil, fmt.Errorf("spool the manifest: %w", err)
	}
	return &manifestSpool{
		file:   file,
		writer: manifest.NewWriter(file, manifest.FormatOf(major), systemIdentifier),
	}, nil
}

// add lists a file with the CRC-32C of its content. It is safe for concurrent use.
func (m *manifestSpool) add(meta catalog.FileMeta, sum uint32) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.writer.AddFile(manifest.File{
		Path:      meta.Path,
		Size:      meta.Size,
		Modified:  meta.ModTime,
		Algorithm: manifest.CRC32C,
		Checksum:  manifest.ChecksumOfCRC32C(sum),
	})
}

// finish ends the manifest with the WAL from start up to stop, exclusive, and returns its size and content. The content
// lives until close.
func (m *manifestSpool) finish(tli wal.TimelineID, start, stop wal.LSN) (int64, io.Reader, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.writer.Finish([]manifest.WALRange{{Timeline: tli, Start: start, End: stop}}); err != nil {
		return 0, nil, err
	}
	size, err := m.file.Seek(0, io.SeekEnd)
	if err != nil {
		return 0, nil, fmt.Errorf("spool the manifest: %w", err)
	}
	return size, io.NewSectionReader(m.file, 0, size), nil
}

func (m *manifestSpool) close() { _ = m.file.Close() } // nothing in it is needed any more
