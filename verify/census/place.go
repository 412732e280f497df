package census

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"

	"lifeboat/internal/wal"
)

// errNoWAL stands for the cut of a census that was not given the server's pg_wal.
var errNoWAL = errors.New("the server's pg_wal was not at hand")

// placer finds for each database a snapshot that has a place in the WAL.
type placer struct {
	control *pgx.Conn
	wal     walDirectory // without a path when there is none
	id      string
	limit   int // attempts
	logger  *slog.Logger
}

// place takes snapshots of all databases at once, and again of those whose snapshot had no cut, until each has one or
// the attempts are used up. Afterwards every holder has a snapshot, and the restore point is made.
func (p *placer) place(ctx context.Context, holders []*holder) (RestorePoint, error) {
	pending := holders
	for attempt := 1; len(pending) > 0; attempt++ {
		if err := p.attempt(ctx, pending); err != nil {
			return RestorePoint{}, err
		}
		pending = withoutCut(pending)
		if attempt == p.limit || p.wal.path == "" {
			break
		}
		if err := p.giveUp(ctx, attempt, pending); err != nil {
			return RestorePoint{}, err
		}
	}
	return makeRestorePoint(ctx, p.control, "lifeboat-census-"+p.id)
}

// The pause before another attempt grows, so that the attempts outlast a disk that hangs for a second.
const (
	pauseStep = 2 * time.Millisecond
	pauseMost = 100 * time.Millisecond
)

// giveUp releases the snapshots that have no cut and waits a little.
func (p *placer) giveUp(ctx context.Context, attempt int, pending []*holder) error {
	for _, h := range pending {
		p.logger.Debug("the snapshot has no cut", keyDatabase, h.name, keyAttempt, attempt, keyWhy, h.noCut)
		if err := h.release(ctx); err != nil {
			return err
		}
	}
	return pause(ctx, min(time.Duration(attempt)*pauseStep, pauseMost))
}

// attempt takes one snapshot per database and judges it. WAL that cannot be read is the reason why there is no cut.
func (p *placer) attempt(ctx context.Context, pending []*holder) error {
	begin, err := askInsertLSN(ctx, p.control, p.wal.size)
	if err != nil {
		return err
	}
	if err := takeAll(ctx, pending); err != nil {
		return err
	}
	seen, err := p.read(ctx, begin)
	if err != nil {
		return err
	}
	for _, h := range pending {
		h.judge(seen)
	}
	return nil
}

// read reads the WAL from begin up to this moment.
func (p *placer) read(ctx context.Context, begin wal.LSN) (history, error) {
	if p.wal.path == "" {
		return history{unread: errNoWAL}, nil
	}
	end, err := askInsertLSN(ctx, p.control, p.wal.size)
	if err != nil {
		return history{}, err
	}
	if err := awaitFlush(ctx, p.control, end); err != nil {
		return history{}, err
	}
	return p.wal.readHistory(begin, end), nil
}

func takeAll(ctx context.Context, holders []*holder) error {
	group, ctx := errgroup.WithContext(ctx)
	for _, h := range holders {
		group.Go(func() error { return h.take(ctx) })
	}
	return group.Wait()
}

func withoutCut(holders []*holder) []*holder {
	var pending []*holder
	for _, h := range holders {
		if h.cut == nil {
			pending = append(pending, h)
		}
	}
	return pending
}
