package stream

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"golang.org/x/sync/errgroup"

	"lifeboat/internal/wal"
)

// Sink takes what the receiver has. Each method returns nil only when that is durable in the repository, and takes the same
// once more without an error. The methods are called by several goroutines, for one segment by one at a time.
type Sink interface {
	// Segment takes a whole segment file of the spool, named as PostgreSQL names it.
	Segment(ctx context.Context, path string) error
	// History takes the content of a timeline's history file. Nothing of that timeline is handed over before.
	History(ctx context.Context, tli wal.TimelineID, content []byte) error
	// Tail takes the next bytes of an unfinished segment, from an offset in it.
	Tail(ctx context.Context, name wal.FileName, from uint32, data []byte) error
	// TailEnd is how much of an unfinished segment the repository has, in bytes, contiguous from 0. ErrLonger where it has more
	// in one piece than was received, which so cannot be compared.
	TailEnd(ctx context.Context, name wal.FileName) (uint32, error)
	// End is where the repository's WAL ends on the way to a timeline, within what belongs to that way; zero where it has
	// none. An empty spool begins there.
	End(ctx context.Context, history wal.TimelineHistory) (wal.LSN, error)
	// Lost takes note of WAL that can never be received, from inclusive, to exclusive: of what the repository lacks of it.
	Lost(ctx context.Context, tli wal.TimelineID, from, to wal.LSN, why string) error
}

// ErrLonger says that the repository has more of a segment than was received, and that what was received cannot be compared
// with it yet. It will be when more comes. Where none will, since the timeline ended there, as it does when a standby is promoted
// that had not received all, what was received is stored beside it.
var ErrLonger = errors.New("the repository has more of the segment than was received")

// Durability is where WAL must be before the server is told that it is durable.
type Durability int

const (
	Spool      Durability = iota // on the disk of the spool
	Repository                   // in the repository
)

// Options say what a Receiver receives, and where to.
type Options struct {
	// Connect opens a connection for physical replication (replication=true). It is asked anew for every attempt, so it may
	// lead to another server of the cluster after a failover.
	Connect func(ctx context.Context) (*pgconn.PgConn, error)
	// Slot is the name of the physical replication slot, which is made where it is missing.
	Slot string
	// Spool is a directory of this receiver's own. It is made where it is missing; its parent must exist.
	Spool string
	// SpoolLimit is how many bytes the spool may hold before receiving stops; below one means no limit but the disk's. It
	// must leave room for two segments.
	SpoolLimit int64
	// Interval is the time between two tails; below one means a second.
	Interval time.Duration
	Durable  Durability
	// SegmentSize must be the server's.
	SegmentSize wal.SegmentSize
	Sink        Sink
	Clock       func() time.Time
	Log         *slog.Logger
}

// Position is a place that the receiver has reached, and when.
type Position struct {
	LSN  wal.LSN   // zero: none yet
	Time time.Time // of the last move
}

// Status is how a Receiver stands.
type Status struct {
	Connected         bool
	Timeline          wal.TimelineID // that is being received; zero where nothing is known yet
	Received          Position       // written to the spool
	SpoolDurable      Position       // and synced
	RepositoryDurable Position       // in the repository, without a hole since the oldest that the spool holds
	ServerEnd         wal.LSN        // how far the server's WAL goes, as it said last
	SpoolBytes        int64
	LastError         string // of receiving or shipping; stays when it is over
	LastErrorTime     time.Time
}

// RefusedError says why the receiver must not go on by itself: the spool and the server do not belong together.
type RefusedError struct{ Reason string }

func (e *RefusedError) Error() string { return e.Reason }

func refuse(format string, args ...any) error {
	return &RefusedError{Reason: fmt.Sprintf(format, args...)}
}

// Receiver receives the WAL of one cluster.
type Receiver struct {
	o       Options
	spool   *spool
	shipper *shipper
	remake  bool // the slot is of no use any more: it is dropped and made anew
	removed int  // how many times in a row the server did not have what comes next

	mu     sync.Mutex
	status Status
}

// The keys of log lines.
const (
	keyError    = "error"
	keyFile     = "file"
	keyFrom     = "from"
	keyLSN      = "lsn"
	keySlot     = "slot"
	keyTimeline = "timeline"
	keyTo       = "to"
)

// slotName is what ReplicationSlotValidateName in slot.c accepts.
var slotName = regexp.MustCompile(`^[a-z0-9_]{1,63}$`)

// New recovers the spool and holds it until Run returns: a second receiver on the same directory is refused.
func New(o Options) (*Receiver, error) {
	switch {
	case !slotName.MatchString(o.Slot):
		return nil, fmt.Errorf("replication slot %q: a name has 1 to 63 lower-case letters, digits and underscores", o.Slot)
	case !o.SegmentSize.Valid():
		return nil, fmt.Errorf("WAL segments of %d bytes do not exist", o.SegmentSize)
	case o.SpoolLimit > 0 && o.SpoolLimit < 2*int64(o.SegmentSize):
		return nil, fmt.Errorf("a spool limited to %d bytes cannot hold two segments of %d bytes", o.SpoolLimit, o.SegmentSize)
	}
	if o.Interval < 1 {
		o.Interval = time.Second
	}
	spool, err := openSpool(o.Spool, o.SegmentSize, o.SpoolLimit, o.Clock)
	if err != nil {
		return nil, fmt.Errorf("recover the spool %s: %w", o.Spool, err)
	}
	r := &Receiver{o: o, spool: spool}
	r.shipper = newShipper(o, spool, r.noteError)
	return r, nil
}

// Run receives and ships until ctx ends, and then returns nil. Whatever fails is tried again. The exception is a
// *RefusedError, which needs a person: it is returned after what the spool holds was shipped, or could not be. Run is
// called once.
func (r *Receiver) Run(ctx context.Context) error {
	defer r.spool.close()
	var group errgroup.Group
	group.Go(func() error { return r.shipper.run(ctx) })
	group.Go(func() error {
		defer r.shipper.wind()
		return r.receive(ctx)
	})
	return group.Wait()
}

// Status is how the receiver stands now.
func (r *Receiver) Status() Status {
	r.mu.Lock()
	status := r.status
	r.mu.Unlock()
	r.spool.report(&status)
	return status
}

func (r *Receiver) noteError(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.status.LastError, r.status.LastErrorTime = err.Error(), r.o.Clock()
}

func (r *Receiver) setConnected(connected bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.status.Connected = connected
}

func (r *Receiver) noteServerEnd(end wal.LSN) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.status.ServerEnd = end
}

// receive holds one session after the other until ctx ends or somebody is needed.
func (r *Receiver) receive(ctx context.Context) error {
	var pause backoff
	for ctx.Err() == nil {
		if !r.awaitRoom(ctx) {
			return nil
		}
		before := r.spool.durableEnd()
		err := r.session(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if refused := (*RefusedError)(nil); errors.As(err, &refused) {
			r.noteError(err)
			r.o.Log.Error("receiving WAL is refused", keySlot, r.o.Slot, keyError, err)
			return err
		}
		if r.spool.durableEnd() != before {
			pause.reset()
		}
		if errors.Is(err, errTimelineEnded) {
			continue
		}
		r.noteError(err)
		r.o.Log.Warn("receiving WAL was interrupted", keySlot, r.o.Slot, keyError, err)
		pause.wait(ctx)
	}
	return nil
}

// awaitRoom waits while the spool is so full that a session could not receive a segment; false where ctx ended.
func (r *Receiver) awaitRoom(ctx context.Context) bool {
	if r.spool.hasRoom() {
		return true
	}
	err := fmt.Errorf("the spool %s has reached its limit: WAL waits in the replication slot", r.o.Spool)
	r.noteError(err)
	r.o.Log.Error("receiving WAL has stopped", keySlot, r.o.Slot, keyError, err)
	for !r.spool.hasRoom() {
		if !sleep(ctx, roomPoll) {
			return false
		}
	}
	r.o.Log.Info("receiving WAL goes on: the spool has room again", keySlot, r.o.Slot)
	return true
}
