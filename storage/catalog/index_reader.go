package catalog

import (
	"context"
	"io"
	"iter"
)

// Index reads the index of one backup, and through it the backup's frames. It is safe for concurrent use.
type Index struct{}

// OpenIndex reads the index's directory and pack table. Damage is a *DamagedError.
func (c *Cluster) OpenIndex(ctx context.Context, rec Record) (*Index, error) { return nil, errUnwritten }

// Close frees what the index holds in memory.
func (ix *Index) Close() {}

// Files yields every entry in the order of paths, bytewise. An error ends it.
func (ix *Index) Files(ctx context.Context) iter.Seq2[FileEntry, error] {
	return func(yield func(FileEntry, error) bool) { yield(FileEntry{}, errUnwritten) }
}

// File is the entry of one path; storage.ErrNotFound where there is none.
func (ix *Index) File(ctx context.Context, path string) (FileEntry, error) {
	return FileEntry{}, errUnwritten
}

// ReadAt reads from a file of the backup, like io.ReaderAt: fewer than len(p) bytes come with an error, io.EOF at the end.
func (ix *Index) ReadAt(ctx context.Context, path string, p []byte, off int64) (int, error) {
	return 0, errUnwritten
}

// ReadPack opens a range of stored bytes of a pack; the caller closes it.
func (ix *Index) ReadPack(ctx context.Context, pack uint32, offset, length int64) (io.ReadCloser, error) {
	return nil, errUnwritten
}

// DecodeFrame checks the stored bytes of a frame against its sum and appends the plain bytes to dst[:0]. Damage is a
// *DamagedError. It is safe for concurrent use.
func (ix *Index) DecodeFrame(dst, stored []byte, f Frame) ([]byte, error) { return nil, errUnwritten }
