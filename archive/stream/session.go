package stream

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"
	"golang.org/x/sync/errgroup"

	"lifeboat/internal/wal"
)

const (
	maxWaiting   = 32      // messages between the goroutine that reads and the one that writes
	maxBatch     = 4 << 20 // bytes that are synced together
	statusPeriod = time.Second
	quietPeriods = 10 // without a word, after which the server is asked for one
	silence      = time.Minute
	farewell     = 5 * time.Second
	patience     = 10 * time.Second // with a repository that does not confirm what the server waits for
)

// errTimelineEnded says that the server has sent all there is of a timeline.
var errTimelineEnded = errors.New("the timeline has ended")

var errImpatient = errors.New("the server waits for the repository to have all WAL, as it does when it shuts down: it is not kept waiting any longer")

// session connects, finds its place, and streams until something ends that.
func (r *Receiver) session(ctx context.Context) error {
	if err := r.spool.settle(); err != nil {
		return fmt.Errorf("prepare the spool: %w", err)
	}
	conn, err := r.o.Connect(ctx)
	if err != nil {
		r.spool.believe() // the server may be lost for good
		return fmt.Errorf("connect: %w", err)
	}
	defer disconnect(ctx, conn)
	placer := placer{r: r, commands: commands{conn}}
	at, err := placer.find(ctx)
	signal(r.shipper.wake) // there may be histories and gaps
	if err != nil {
		return err
	}
	hijacked, err := placer.commands.start(ctx, r.o.Slot, at.timeline, at.from)
	if err != nil {
		if isCode(err, codeNotPrerequisite) && placer.commands.readsSlots() {
			r.remake = true // the slot is a physical one, and was invalidated
		}
		return r.judge(err)
	}
	r.o.Log.Info("receiving WAL", keySlot, r.o.Slot, keyTimeline, at.timeline, keyLSN, at.from)
	s := &session{r: r, conn: hijacked.Conn, frontend: hijacked.Frontend, floor: at.floor, messages: make(chan message, maxWaiting)}
	before := r.spool.durableEnd()
	err = s.run(ctx)
	if r.spool.durableEnd() != before {
		r.removed = 0
	}
	return r.judge(err)
}

// disconnect closes a connection that no stream has taken over.
func disconnect(ctx context.Context, conn *pgconn.PgConn) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), farewell)
	defer cancel()
	_ = conn.Close(ctx) // the session's error says more
}

// judge draws the conclusions from how a stream ended for the next session.
func (r *Receiver) judge(err error) error {
	if isRemoved(err) {
		r.removed++
		r.remake = r.remake || r.removed == 1
	}
	if isCode(err, codeUndefinedObject) {
		r.remake = true
	}
	return err
}

// session is one copy stream.
type session struct {
	r        *Receiver
	conn     net.Conn
	frontend *pgproto3.Frontend
	messages chan message
	floor    wal.LSN

	// Of the goroutine that writes.
	quiet   int // periods without a message
	waiting int // periods since the server first asked for an answer that the repository does not allow; 0: it does not wait
}

// run reads and writes until one of both ends.
func (s *session) run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(ctx, func() { _ = s.conn.Close() })() // makes the goroutine that reads return
	s.r.setConnected(true)
	defer s.r.setConnected(false)
	var group errgroup.Group
	group.Go(func() error {
		defer close(s.messages)
		return s.read(ctx)
	})
	group.Go(func() error {
		err := s.write(ctx)
		if err != nil {
			cancel()
		}
		return err
	})
	err := group.Wait()
	if errors.Is(err, errTimelineEnded) {
		s.leave()
	}
	_ = s.conn.Close() // nothing more is expected of it
	return err
}

// read hands over what the server sends, until that ends.
func (s *session) read(ctx context.Context) error {
	watchdog := time.AfterFunc(silence, func() { _ = s.conn.Close() })
	defer watchdog.Stop()
	for {
		watchdog.Reset(silence)
		received, err := s.frontend.Receive()
		watchdog.Stop()
		if err != nil {
			return fmt.Errorf("receive: %w", err)
		}
		m, err := interpret(received)
		if err != nil {
			return err
		}
		if m == nil {
			continue
		}
		select {
		case s.messages <- *m:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// interpret copies what the server said out of the connection's buffer; nil where it is of no concern.
func interpret(received pgproto3.BackendMessage) (*message, error) {
	switch received := received.(type) {
	case *pgproto3.CopyData:
		m, err := parseMessage(received.Data)
		m.data = append([]byte(nil), m.data...)
		return &m, err
	case *pgproto3.CopyDone:
		return nil, errTimelineEnded
	case *pgproto3.ErrorResponse:
		return nil, fmt.Errorf("the server ended the stream: %w", pgconn.ErrorResponseToPgError(received))
	case *pgproto3.CommandComplete:
		return nil, fmt.Errorf("the server ended the stream, as it does when it shuts down: %w", io.EOF)
	}
	return nil, nil
}

// write puts what was read into the spool and answers, until nothing more comes.
func (s *session) write(ctx context.Context) error {
	tick := time.NewTicker(statusPeriod)
	defer tick.Stop()
	s.answer(false)
	for {
		var err error
		select {
		case <-ctx.Done():
			return ctx.Err()
		case m, ok := <-s.messages:
			if !ok {
				return nil
			}
			err = s.take(m)
		case <-s.r.shipper.confirmed:
			if s.r.o.Durable == Repository {
				s.answer(false)
			}
		case <-tick.C:
			err = s.period()
		}
		if err != nil {
			return err
		}
	}
}

// take writes a message and those that wait behind it, syncs them together, and answers.
func (s *session) take(m message) error {
	s.quiet = 0
	asked, bytes, end, ok := false, 0, m.end, true
	var err error
	for more := true; more && ok && err == nil && bytes < maxBatch; {
		asked, end = asked || m.reply, m.end
		bytes += len(m.data)
		if err = s.r.spool.put(m.start, m.data); err != nil || bytes >= maxBatch {
			break
		}
		select {
		case m, ok = <-s.messages:
		default:
			more = false
		}
	}
	s.r.noteServerEnd(end)
	if bytes > 0 {
		if syncErr := s.r.spool.sync(); syncErr != nil {
			return errors.Join(err, syncErr)
		}
	}
	if asked {
		s.asked()
	}
	s.answer(false)
	return s.explain(err)
}

// explain says what a full disk means.
func (s *session) explain(err error) error {
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return fmt.Errorf("the spool's disk is full, WAL waits in the replication slot: %w", err)
	}
	return err
}

// asked makes haste where the server waits for what only the repository can confirm. Servers ask when they shut down, and
// end only when everything is confirmed (WalSndDone in walsender.c).
func (s *session) asked() {
	if s.promised() == s.r.spool.durableEnd() {
		s.waiting = 0
		return
	}
	s.waiting = max(s.waiting, 1)
	s.r.shipper.hurry()
}

// period is what happens each second.
func (s *session) period() error {
	s.quiet++
	if s.waiting > 0 {
		s.waiting++
	}
	switch {
	case s.promised() == s.r.spool.durableEnd():
		s.waiting = 0
	case s.waiting > int(patience/statusPeriod):
		return errImpatient
	}
	s.answer(s.quiet >= quietPeriods)
	return nil
}

// promised is up to where the server may believe that WAL is durable.
func (s *session) promised() wal.LSN {
	durable := s.r.spool.durableEnd()
	if s.r.o.Durable == Repository {
		return min(durable, s.r.spool.repositoryEnd())
	}
	return durable
}

// answer tells the server how far things are. What is durable stays unsaid while it would take the slot back to WAL that it
// does not keep, as it may after a gap. An error shows in the goroutine that reads.
func (s *session) answer(ping bool) {
	a := answer{written: s.r.spool.writtenEnd(), durable: s.promised(), ping: ping}
	if a.durable < s.floor {
		a.durable = 0
	}
	s.frontend.Send(&pgproto3.CopyData{Data: a.encode(s.r.o.Clock())})
	_ = s.frontend.Flush()
}

// leave ends the stream politely after a timeline's end, so that the slot is free when it returns.
func (s *session) leave() {
	limit := time.AfterFunc(farewell, func() { _ = s.conn.Close() })
	defer limit.Stop()
	s.frontend.Send(&pgproto3.CopyDone{})
	if s.frontend.Flush() != nil {
		return
	}
	for {
		m, err := s.frontend.Receive()
		if _, ready := m.(*pgproto3.ReadyForQuery); err != nil || ready {
			break
		}
	}
	s.frontend.Send(&pgproto3.Terminate{})
	_ = s.frontend.Flush() // the connection is closed in any case
}
