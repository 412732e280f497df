package archive

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"lifeboat/internal/wal"
	"lifeboat/storage"
	"lifeboat/storage/catalog"
)

// How often the repository is asked for a segment that is not there yet.
const (
	walPollFirst = 100 * time.Millisecond
	walPollMost  = 2 * time.Second

	walPollPatience = 5 * time.Second // with a repository that is away, where there is another one
)

// walWait waits until the WAL that a backup needs is in the repository, read back and verified as far as the keys at hand
// allow: a server that cannot open what it seals proves the stored bytes.
type walWait struct {
	cluster  *catalog.Cluster
	session  *session
	progress *tracker
	limit    time.Duration // for each segment, from when the one before it was there
}

// segments waits for every segment of a timeline that holds WAL from start up to stop, exclusive.
func (w *walWait) segments(ctx context.Context, tli wal.TimelineID, start, stop wal.LSN) error {
	size := w.cluster.Identity().WALSegmentSize
	last := wal.LastSegmentOf(stop, size)
	for segno := wal.SegmentOf(start, size); segno <= last; segno++ {
		if err := w.segment(ctx, wal.SegmentFile(tli, segno, size)); err != nil {
			return err
		}
	}
	return nil
}

func (w *walWait) segment(ctx context.Context, name wal.FileName) error {
	deadline := time.NewTimer(w.limit)
	defer deadline.Stop()
	for pause := walPollFirst; ; pause = min(2*pause, walPollMost) {
		err := w.check(ctx, name)
		if err == nil {
			return nil
		}
		if !notYet(err) {
			return fmt.Errorf("verify that the backup's WAL is in the repository: %w", err)
		}
		w.progress.waitingFor(name.String())
		if err := w.session.alive(ctx); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-deadline.C:
			return w.late(ctx, name)
		case <-time.After(pause):
		}
	}
}

// check proves the file. Where there are several repositories, one that is away is not waited for long.
func (w *walWait) check(ctx context.Context, name wal.FileName) error {
	if w.cluster.HasCopies() {
		ctx = storage.WithPatience(ctx, walPollPatience)
	}
	_, err := w.cluster.CheckWAL(ctx, name)
	return err
}

// notYet says whether the file may still come: no repository that can be asked has it.
func notYet(err error) bool {
	return errors.Is(err, storage.ErrNotFound) || errors.Is(err, catalog.ErrNotSeen)
}

// late explains a segment that did not come.
func (w *walWait) late(ctx context.Context, name wal.FileName) error {
	state, err := w.session.archiver(ctx)
	if err != nil {
		return err
	}
	return &OperatorError{
		Message: fmt.Sprintf("WAL segment %s, which the backup needs, did not reach the repository within %s; %s",
			name, w.limit, state),
		Hint: "the server's log says what archive_command answered; check that it pushes into this repository and cluster",
	}
}

// history makes sure that the repository knows where the timeline comes from: PostgreSQL recovers on no timeline but
// the first one without its history file (xlogrecovery.c: validateRecoveryParameters). A cluster that branched off
// before it archived into this repository still has the file in pg_wal.
func (w *walWait) history(ctx context.Context, tli wal.TimelineID, dataDirectory string, now func() time.Time) error {
	if tli == 1 {
		return nil
	}
	name := wal.HistoryFile(tli)
	err := w.check(ctx, name)
	if notYet(err) {
		path := filepath.Join(dataDirectory, "pg_wal", name.String())
		_, err = Push(ctx, w.cluster, path, PushOptions{Clock: now})
	}
	if err != nil {
		return fmt.Errorf("make sure that the history of timeline %s is in the repository: %w", tli, err)
	}
	return nil
}
