package stream

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"lifeboat/internal/wal"
)

const (
	segmentWorkers = 4       // whole segments on their way at the same time
	maxTail        = 4 << 20 // bytes of one tail
)

// shipper brings what the spool holds into the sink, and removes what is there. What fails is tried again, for ever, and
// never in the way of receiving.
type shipper struct {
	spool    *spool
	sink     Sink
	interval time.Duration
	log      *slog.Logger
	failed   func(error)

	wake      chan struct{} // something is new to ship, or something ended
	confirmed chan struct{} // the repository has more than before
	winding   chan struct{} // closed when nothing more is received
	jobs      errgroup.Group

	mu      sync.Mutex
	busy    map[string]bool // keys of the jobs under way
	due     bool            // a tail is
	pause   backoff         // shared: trouble is mostly the sink's
	trouble int             // failures since the beginning
}

// job ships one thing. Two jobs of one key never run at the same time.
type job struct {
	key string
	run func(ctx context.Context) error
}

func newShipper(o Options, s *spool, failed func(error)) *shipper {
	return &shipper{
		spool: s, sink: o.Sink, interval: o.Interval, log: o.Log, failed: failed,
		wake: make(chan struct{}, 1), confirmed: make(chan struct{}, 1), winding: make(chan struct{}),
		busy: map[string]bool{}, due: true,
	}
}

// run ships until ctx ends, or until nothing is left to do or something fails after wind.
func (h *shipper) run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer h.jobs.Wait()
	defer cancel()
	tick := time.NewTicker(h.interval)
	defer tick.Stop()
	trouble := -1 // failures when winding began
	for {
		running := h.launch(ctx)
		if trouble >= 0 && (running == 0 || h.failures() > trouble) {
			return nil
		}
		winding := h.winding
		if trouble >= 0 {
			winding = nil
		}
		select {
		case <-ctx.Done():
			return nil
		case <-winding:
			trouble = h.failures()
			h.setDue()
		case <-tick.C:
			h.setDue()
		case <-h.wake:
		}
	}
}

// wind says that nothing more is received.
func (h *shipper) wind() {
	h.spool.believe()
	close(h.winding)
}

func (h *shipper) failures() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.trouble
}

// setDue lets the next tail go now.
func (h *shipper) setDue() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.due = true
}

// hurry ships the tail without waiting for its interval.
func (h *shipper) hurry() {
	h.setDue()
	signal(h.wake)
}

// signal leaves a note in a channel of one place.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// launch starts what can be started and returns how many jobs are under way.
func (h *shipper) launch(ctx context.Context) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, j := range h.plan() {
		h.busy[j.key] = true
		h.jobs.Go(func() error {
			h.do(ctx, j)
			return nil
		})
	}
	return len(h.busy)
}

func (h *shipper) do(ctx context.Context, j job) {
	err := j.run(ctx)
	if err != nil && ctx.Err() == nil {
		h.fail(ctx, j, err)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if err == nil {
		h.pause.reset()
	}
	delete(h.busy, j.key)
	signal(h.confirmed)
	signal(h.wake)
}

// fail tells of a failure and waits before the job may run again.
func (h *shipper) fail(ctx context.Context, j job, err error) {
	h.failed(err)
	h.log.Warn("shipping WAL failed and will be tried again", keyFile, j.key, keyError, err)
	h.mu.Lock()
	h.trouble++
	h.due = true
	h.pause.lengthen()
	pause := h.pause.next
	h.mu.Unlock()
	signal(h.wake)
	sleep(ctx, pause)
}

// plan says what can be started: gaps and histories first, then whole segments in order, and the tail when it is due.
// Nothing of a timeline goes before its history. The lock is held.
func (h *shipper) plan() []job {
	w := h.spool.waiting()
	var jobs []job
	for _, g := range w.gaps {
		jobs = append(jobs, job{g.file(), func(ctx context.Context) error { return h.shipGap(ctx, g) }})
	}
	held := map[wal.TimelineID]bool{}
	for _, tli := range w.histories {
		held[tli] = true
		jobs = append(jobs, job{wal.HistoryFile(tli).String(), func(ctx context.Context) error { return h.shipHistory(ctx, tli) }})
	}
	jobs = append(jobs, h.planPieces(w, held)...)
	return h.idle(jobs)
}

func (h *shipper) planPieces(w waiting, held map[wal.TimelineID]bool) []job {
	var jobs []job
	for _, p := range w.closed[:min(len(w.closed), segmentWorkers)] {
		if held[p.name.Timeline] {
			continue
		}
		jobs = append(jobs, job{p.name.String(), func(ctx context.Context) error { return h.shipClosed(ctx, p) }})
	}
	// Behind many whole segments that the repository lacks, a tail is of no use yet.
	if h.due && w.current != nil && !held[w.current.name.Timeline] && len(w.closed) <= segmentWorkers {
		p := w.current
		jobs = append(jobs, job{p.name.String(), func(ctx context.Context) error { return h.shipTail(ctx, p, false) }})
		h.due = h.busy[p.name.String()]
	}
	return jobs
}

// idle leaves out what is under way.
func (h *shipper) idle(jobs []job) []job {
	var idle []job
	for _, j := range jobs {
		if !h.busy[j.key] {
			idle = append(idle, j)
		}
	}
	return idle
}

func (h *shipper) shipGap(ctx context.Context, g gap) error {
	if err := h.sink.Lost(ctx, g.timeline, g.from, g.to, g.why); err != nil {
		return err
	}
	return h.spool.removeGap(g)
}

func (h *shipper) shipHistory(ctx context.Context, tli wal.TimelineID) error {
	content, err := h.spool.readNote(wal.HistoryFile(tli).String())
	if err != nil {
		return err
	}
	if err := h.sink.History(ctx, tli, content); err != nil {
		return err
	}
	return h.spool.removeHistory(tli)
}

// shipClosed ships a piece that does not grow any more, and removes it.
func (h *shipper) shipClosed(ctx context.Context, p *piece) error {
	var err error
	if p.whole {
		err = h.sink.Segment(ctx, h.spool.path(p.name.String()))
	} else {
		err = h.shipTail(ctx, p, true)
	}
	if err != nil {
		return err
	}
	return h.spool.remove(p)
}

// shipTail ships what the repository lacks of a piece, up to where it is durable now. A closed one does not grow any more.
func (h *shipper) shipTail(ctx context.Context, p *piece, closed bool) error {
	from, to, asked := h.spool.tailRange(p)
	if to == 0 {
		return nil
	}
	if !asked {
		end, err := h.sink.TailEnd(ctx, p.name)
		if errors.Is(err, ErrLonger) && closed {
			end, err = 0, nil
		}
		if err != nil {
			return err
		}
		h.spool.setTail(p, end)
		from = end
	}
	for from < to {
		data := make([]byte, min(to-from, maxTail))
		if err := h.spool.read(p.name, data, from); err != nil {
			return err
		}
		if err := h.sink.Tail(ctx, p.name, from, data); err != nil {
			return err
		}
		from += uint32(len(data))
		h.spool.setTail(p, from)
		signal(h.confirmed)
	}
	return nil
}

// waiting is what the repository lacks.
type waiting struct {
	gaps      []gap
	histories []wal.TimelineID
	closed    []*piece // whole, or ended early; oldest first
	current   *piece   // where its tail is longer than what the repository has, and not doubted
}

func (s *spool) waiting() waiting {
	s.mu.Lock()
	defer s.mu.Unlock()
	w := waiting{gaps: append([]gap(nil), s.gaps...), histories: append([]wal.TimelineID(nil), s.histories...)}
	if len(s.pieces) == 0 {
		return w
	}
	w.closed = append(w.closed, s.pieces[:len(s.pieces)-1]...)
	if p := s.newest(); p.durable > p.tail && !s.doubted {
		w.current = p
	}
	return w
}

// tailRange is what of a piece's durable part the repository lacks, and whether it was asked what it has.
func (s *spool) tailRange(p *piece) (from, to uint32, asked bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return p.tail, p.durable, p.tailAsked
}

func (s *spool) setTail(p *piece, end uint32) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p.tail, p.tailAsked = end, true
	s.note()
}
