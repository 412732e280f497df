package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"lifeboat/internal/wal"
	"lifeboat/storage"
	"lifeboat/storage/catalog"
)

const (
	// The repository is asked for what it has not shown yet after the first of these times, then a quarter later each
	// time, at most the second.
	firstReadBack = 250 * time.Millisecond
	lastReadBack  = 5 * time.Second
	// maxUnread is how many heartbeats may be on their way. Where WAL is archived by whole segments that is hours.
	maxUnread = 4096
)

// beat is one commit that the agent made to see when the repository has it.
type beat struct {
	acknowledged time.Time
	segment      wal.FileName // in which its WAL ends
	end          wal.LSN
}

// heartbeat commits something small every now and then, and looks for it in the repository: what the repository does not
// show would be lost with the server.
type heartbeat struct {
	mu     sync.Mutex
	unread []beat
}

// oldest is the first commit that the repository has not shown yet.
func (h *heartbeat) oldest() (time.Time, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.unread) == 0 {
		return time.Time{}, false
	}
	return h.unread[0].acknowledged, true
}

func (h *heartbeat) add(b beat) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.unread = append(h.unread, b)
}

// next is the newest one of the oldest segment: if that is there, so are all before it.
func (h *heartbeat) next() (beat, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	var found beat
	for i, b := range h.unread {
		if i > 0 && b.segment != found.segment {
			break
		}
		found = b
	}
	return found, len(h.unread) > 0
}

// readUpTo takes out those that end at end or before, in the segment of the name.
func (h *heartbeat) readUpTo(segment wal.FileName, end wal.LSN) []beat {
	h.mu.Lock()
	defer h.mu.Unlock()
	n := 0
	for n < len(h.unread) && h.unread[n].segment == segment && h.unread[n].end <= end {
		n++
	}
	read := h.unread[:n]
	h.unread = h.unread[n:]
	return read
}

// forget lets go of all: the server is a standby now, whose WAL is another's.
func (h *heartbeat) forget() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.unread = nil
}

func (h *heartbeat) full() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.unread) >= maxUnread
}

// beats commits heartbeats while the server is the primary, until ctx ends.
func (t *tended) beats(ctx context.Context) {
	interval := time.Duration(t.config.Heartbeat.Interval)
	if interval == 0 {
		return
	}
	for told := ""; pause(ctx, interval); {
		state := t.watch.now()
		if state.standby {
			t.pulse.forget()
		}
		if !state.answers || state.standby || t.pulse.full() {
			continue
		}
		err := t.beatsOnOneConnection(ctx, interval)
		if ctx.Err() != nil {
			return
		}
		t.counts.failed(err)
		if err.Error() != told {
			t.app.log.Warn("no heartbeat is written", keyError, err)
			told = err.Error()
		}
	}
}

func (t *tended) beatsOnOneConnection(ctx context.Context, interval time.Duration) error {
	conn, err := connector(t.config)(ctx, "")
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	for {
		if !t.pulse.full() {
			b, err := t.beat(ctx, conn)
			if err != nil {
				return err
			}
			t.pulse.add(b)
		}
		if !pause(ctx, interval) {
			return ctx.Err()
		}
	}
}

// beat commits a transaction that has nothing in it but a message that no one decodes
// (https://www.postgresql.org/docs/current/functions-admin.html#FUNCTIONS-REPLICATION, pg_logical_emit_message). The
// position that is asked for afterwards is one between records, not before the end of the commit's own.
func (t *tended) beat(ctx context.Context, conn *pgx.Conn) (beat, error) {
	ctx, cancel := context.WithTimeout(ctx, watchPatience)
	defer cancel()
	if _, err := conn.Exec(ctx, "SELECT pg_logical_emit_message(true, 'lifeboat', 'heartbeat')"); err != nil {
		return beat{}, fmt.Errorf("write a heartbeat: %w", err)
	}
	b := beat{acknowledged: t.app.now()}
	var end, segment string
	const position = "SELECT p::text, pg_walfile_name(p) FROM pg_current_wal_insert_lsn() AS p"
	if err := conn.QueryRow(ctx, position).Scan(&end, &segment); err != nil {
		return beat{}, fmt.Errorf("ask where a heartbeat ends: %w", err)
	}
	var err error
	if b.end, err = wal.ParseLSN(end); err != nil {
		return beat{}, err
	}
	b.segment, err = wal.ParseFileName(segment)
	return b, err
}

// readBeats looks in the repository for the heartbeats until ctx ends.
func (t *tended) readBeats(ctx context.Context) {
	if t.config.Heartbeat.Interval == 0 {
		return
	}
	wait := firstReadBack
	for pause(ctx, wait) {
		found, err := t.readBeat(ctx)
		if err != nil && ctx.Err() == nil {
			t.counts.failed(err)
			t.app.log.Debug("heartbeats are not looked for", keyError, err)
		}
		wait = min(wait*5/4, lastReadBack)
		if found {
			wait = firstReadBack
		}
	}
}

// readBeat asks the repository how far it has the segment of the next heartbeats. It is true where nothing is missing, or
// less than before.
func (t *tended) readBeat(ctx context.Context) (bool, error) {
	next, ok := t.pulse.next()
	if !ok {
		return true, nil
	}
	header, err := t.shop.Load().scene.cluster.SegmentHeader(ctx, next.segment)
	switch {
	case errors.Is(err, storage.ErrNotFound), errors.Is(err, catalog.ErrUnfinished):
		return false, nil
	case err != nil:
		return false, err
	case header.Summary == nil:
		return false, fmt.Errorf("%s does not say how far it goes", next.segment)
	}
	read := t.pulse.readUpTo(next.segment, header.Summary.LastRecordEnd)
	now := t.app.now()
	for _, b := range read {
		t.counts.readBack(now.Sub(b.acknowledged))
	}
	return len(read) > 0, nil
}
