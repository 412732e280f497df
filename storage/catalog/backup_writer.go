package catalog

import (
	"context"
	"errors"
	"io"
)

// errUnwritten stands in bodies that the next commit brings.
var errUnwritten = errors.New("not written yet")

// BackupWriter writes the objects of one base backup.
type BackupWriter struct{}

// Stream is a sequence of packs, written by one goroutine; streams are written in parallel.
type Stream struct{}

// StartBackup claims the label by storing its started document. The label must be new: storage.ErrExists otherwise.
func (c *Cluster) StartBackup(ctx context.Context, started StartedBackup) (*BackupWriter, error) {
	return nil, errUnwritten
}

// NewStream begins a further stream of packs.
func (w *BackupWriter) NewStream(ctx context.Context) (*Stream, error) { return nil, errUnwritten }

// AddDirectory adds an entry for a directory.
func (s *Stream) AddDirectory(meta FileMeta) error { return errUnwritten }

// AddFile adds a file of exactly meta.Size bytes, read from content.
func (s *Stream) AddFile(ctx context.Context, meta FileMeta, content io.Reader) error {
	return errUnwritten
}

// Close ends the stream; its packs are durable when it returns nil.
func (s *Stream) Close(ctx context.Context) error { return errUnwritten }

// Finish makes all packs and the index durable. Every stream must be closed.
func (w *BackupWriter) Finish(ctx context.Context) (IndexRef, Totals, error) {
	return IndexRef{}, Totals{}, errUnwritten
}

// Commit stores the record, after which the backup exists.
func (w *BackupWriter) Commit(ctx context.Context, rec Record) error { return errUnwritten }

// Abort ends all uploads and frees local disk; what is stored is left for RemoveUnfinished.
func (w *BackupWriter) Abort() {}

// RemoveUnfinished deletes what a dead writer left. A label that has a record is refused.
func (c *Cluster) RemoveUnfinished(ctx context.Context, label string) error { return errUnwritten }

// Record reads the record of a backup; storage.ErrNotFound where there is none.
func (c *Cluster) Record(ctx context.Context, label string) (Record, error) {
	return Record{}, errUnwritten
}
