package catalog

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"lifeboat/storage"
)

// StartedBackup says who began a backup, and when. Its document is the first object of a backup.
type StartedBackup struct {
	Label   string    `json:"label"` // see NewLabel
	Type    string    `json:"type"`  // "full"
	Started time.Time `json:"started"`
	Host    string    `json:"host"`
}

// BackupWriter writes the objects of one base backup: packs by its streams, then the index, then the record. The
// backup exists once Commit has returned nil, and not before. Its methods are for one goroutine, NewStream excepted.
type BackupWriter struct {
	cluster  *Cluster
	started  StartedBackup
	packSize int64 // stored bytes that close a pack
	packs    packTable
	ctx      context.Context // of the uploads, which live longer than a call
	cancel   context.CancelFunc

	mu      sync.Mutex // guards streams
	streams []*Stream

	finished bool
	ref      IndexRef

	content []byte // of the record, in plain
	record  []byte // its document, as it was last sent
}

// StartBackup claims the label by storing its started document: of several writers one succeeds, the others get
// storage.ErrExists. The uploads of the backup end with ctx, and go to the nearest copy that took the document. The caller ends it by Commit or Abort.
func (c *Cluster) StartBackup(ctx context.Context, started StartedBackup) (*BackupWriter, error) {
	if err := checkID("start backup", started.Label); err != nil {
		return nil, err
	}
	if c.copies != nil {
		return ask(ctx, c.copies, func(hurried context.Context, c *Cluster) (*BackupWriter, error) {
			if err := c.claimLabel(hurried, started); err != nil {
				return nil, err
			}
			return c.newBackup(ctx, started), nil
		})
	}
	if err := c.claimLabel(ctx, started); err != nil {
		return nil, err
	}
	return c.newBackup(ctx, started), nil
}

func (c *Cluster) claimLabel(ctx context.Context, started StartedBackup) error {
	if err := c.claimDocument(ctx, c.startedKey(started.Label), kindStarted, started); err != nil {
		return fmt.Errorf("start backup %s: %w", started.Label, err)
	}
	return nil
}

func (c *Cluster) newBackup(ctx context.Context, started StartedBackup) *BackupWriter {
	w := &BackupWriter{cluster: c, started: started, packSize: packSize}
	w.ctx, w.cancel = context.WithCancel(ctx)
	return w
}

// NewStream begins a further stream of packs. It may be called by several goroutines. The uploads of the stream end
// with the context of StartBackup.
func (w *BackupWriter) NewStream(ctx context.Context) (*Stream, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("new stream: %w", err)
	}
	if len(w.streams) == maxStreams {
		return nil, fmt.Errorf("new stream: a backup has at most %d", maxStreams)
	}
	s, err := newStream(w.ctx, w, uint32(len(w.streams)))
	if err != nil {
		return nil, fmt.Errorf("new stream: %w", err)
	}
	w.streams = append(w.streams, s)
	return s, nil
}

// Finish stores the index. Every stream must be closed without an error. When it returns nil all packs and the index
// are durable.
func (w *BackupWriter) Finish(ctx context.Context) (IndexRef, Totals, error) {
	if w.finished {
		return IndexRef{}, Totals{}, errors.New("finish backup: it is finished already")
	}
	if err := w.checkStreams(); err != nil {
		return IndexRef{}, Totals{}, fmt.Errorf("finish backup %s: %w", w.started.Label, err)
	}
	ref, err := w.storeIndex(ctx)
	if err != nil {
		return IndexRef{}, Totals{}, fmt.Errorf("finish backup %s: %w", w.started.Label, err)
	}
	w.ref, w.finished = ref, true
	return ref, ref.Totals, nil
}

func (w *BackupWriter) checkStreams() error {
	for _, s := range w.streams {
		if s.err != nil {
			return s.err
		}
		if !s.closed {
			return fmt.Errorf("stream %02x is not closed", s.packs.stream)
		}
	}
	return nil
}

// Commit stores the record, after which the backup exists. What the record says about the objects must be what Finish
// returned. A backup that RemoveUnfinished has taken for dead meanwhile is refused. An error of the store leaves it open
// whether the backup exists; the same call once more finds out.
func (w *BackupWriter) Commit(ctx context.Context, rec Record) error {
	if !w.finished {
		return errors.New("commit backup: it is not finished")
	}
	if err := w.checkRecord(rec); err != nil {
		return fmt.Errorf("commit backup %s: %w", w.started.Label, err)
	}
	if err := w.storeRecord(ctx, rec); err != nil {
		return fmt.Errorf("commit backup %s: %w", w.started.Label, err)
	}
	if err := w.cluster.checkStillStarted(ctx, rec.Label); err != nil {
		return fmt.Errorf("commit backup %s: %w", w.started.Label, err)
	}
	w.Abort()
	return nil
}

// storeRecord stores the record. What is sealed has other bytes each time, so the same record is told by its content.
func (w *BackupWriter) storeRecord(ctx context.Context, rec Record) error {
	rec.Recipients, rec.Locked = nil, nil
	content, err := json.Marshal(rec)
	if err != nil {
		return fmt.Errorf("encode record: %w", err)
	}
	if !bytes.Equal(content, w.content) {
		if w.record, err = w.cluster.encodeRecord(rec); err != nil {
			return err
		}
		w.content = content
	}
	key := w.cluster.recordKey(rec.Label)
	return w.cluster.putSigned(ctx, key, w.record, func([]byte) bool { return false })
}

// checkRecord makes sure that the record is one of this backup.
func (w *BackupWriter) checkRecord(rec Record) error {
	if rec.Label != w.started.Label || rec.Type != w.started.Type {
		return fmt.Errorf("record is that of %s backup %q", rec.Type, rec.Label)
	}
	if rec.Index != w.ref {
		return errors.New("record names another index")
	}
	return w.cluster.checkRecord(rec)
}

// checkStillStarted withdraws the record where somebody has taken the backup for dead and begun to delete it. Who
// deletes removes the started document first and then looks for the record, so that one of the two sees the other.
func (c *Cluster) checkStillStarted(ctx context.Context, label string) error {
	_, err := c.bucket.Stat(ctx, c.startedKey(label))
	if !errors.Is(err, storage.ErrNotFound) {
		return err
	}
	record := c.recordKey(label)
	for _, key := range []string{record, record + signatureSuffix} {
		if err := c.bucket.Delete(ctx, key); err != nil {
			return fmt.Errorf("withdraw the record: %w", err)
		}
	}
	return errors.New("it was taken for dead and removed meanwhile")
}

// Abort ends all uploads and frees local disk; what is stored is left for RemoveUnfinished. The streams must not be in
// use any more. After Commit, or a second time, it does nothing.
func (w *BackupWriter) Abort() {
	w.cancel()
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, s := range w.streams {
		s.abandon()
	}
	w.streams = nil
}
