package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"lifeboat/archive/stream"
)

// emptySpool ships what was received before, until the repository has it, once for each time that WAL was received. It
// gives up for a primary that answers, and is tried again after that.
func (t *tended) emptySpool(ctx context.Context, s *shop) {
	if t.emptied || t.config.WAL.Stream && !t.watch.now().tried {
		return
	}
	err := t.drain(ctx, s)
	switch {
	case ctx.Err() != nil, errors.Is(err, context.Canceled):
	case err != nil:
		t.counts.failed(err)
		t.app.log.Error("what was received is not in the repository", keyError, err, "again_in", openPause)
		pause(ctx, openPause)
	default:
		t.emptied = true
	}
}

// drain ships the spool; one that is not there has nothing.
func (t *tended) drain(ctx context.Context, s *shop) error {
	spool := spoolDirectory(t.settings, t.name)
	if _, err := os.Stat(spool); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	receiver, err := stream.New(t.streamOptions(s, spool))
	if err != nil {
		return fmt.Errorf("ship what was received: %w", err)
	}
	if err := t.through(ctx, receiver, receiver.Drain, t.receives); err != nil {
		return fmt.Errorf("ship what was received: %w", err)
	}
	t.app.log.Info("the repository has all that was received", keyLSN, receiver.Status().RepositoryDurable.LSN)
	return nil
}
