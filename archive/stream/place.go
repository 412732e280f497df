package stream

import (
	"context"
	"fmt"

	"lifeboat/internal/wal"
)

// place is where a session begins to receive.
type place struct {
	timeline wal.TimelineID
	from     wal.LSN
	floor    wal.LSN // the slot must not be taken back before it: the server may not have that WAL any more
}

// placer decides, for one connection, where receiving begins, and brings slot and spool there.
type placer struct {
	r        *Receiver
	commands commands
	server   server
}

// find refuses a server that is not the spool's, makes the slot where it is missing, follows the server's timelines, and
// notes what was lost.
func (p *placer) find(ctx context.Context) (place, error) {
	if err := p.recognise(ctx); err != nil {
		return place{}, err
	}
	slot, err := p.slot(ctx)
	if err != nil {
		return place{}, err
	}
	history, err := p.ancestry(ctx)
	if err != nil {
		return place{}, err
	}
	if _, _, ok := p.r.spool.end(); !ok {
		if err := p.beginAt(ctx, slot, history); err != nil {
			return place{}, err
		}
	}
	if err := p.goOn(ctx, slot, history); err != nil {
		return place{}, err
	}
	tli, _, _ := p.r.spool.end()
	return place{timeline: tli, from: p.r.spool.resume(), floor: p.floor(slot)}, nil
}

func (p *placer) recognise(ctx context.Context) (err error) {
	if p.server, err = p.commands.identify(ctx); err != nil {
		return err
	}
	p.r.noteServerEnd(p.server.flushed)
	size, err := p.commands.segmentSize(ctx)
	if err != nil {
		return err
	}
	if size != p.r.o.SegmentSize {
		return refuse("the server's WAL segments have %d bytes, the receiver is set up for %d", size, p.r.o.SegmentSize)
	}
	return p.r.spool.claim(p.server.system)
}

// slot is the state of the slot, made anew where it is missing or of no use. Servers before version 15 do not say where it
// stands.
func (p *placer) slot(ctx context.Context) (slot, error) {
	name := p.r.o.Slot
	if !p.commands.readsSlots() {
		if _, _, ok := p.r.spool.end(); ok && !p.r.remake {
			return slot{}, nil
		}
		return slot{}, p.remakeSlot(ctx, p.r.remake)
	}
	s, err := p.commands.readSlot(ctx, name)
	if err != nil {
		return slot{}, err
	}
	if s.restart.IsValid() && !p.r.remake {
		return s, nil
	}
	if s.exists {
		p.r.o.Log.Warn("the replication slot keeps no WAL any more: it is made anew", keySlot, name)
	}
	if err := p.remakeSlot(ctx, s.exists); err != nil {
		return slot{}, err
	}
	return p.commands.readSlot(ctx, name)
}

func (p *placer) remakeSlot(ctx context.Context, drop bool) error {
	if drop {
		if err := p.commands.dropSlot(ctx, p.r.o.Slot); err != nil {
			return err
		}
	}
	if err := p.commands.createSlot(ctx, p.r.o.Slot); err != nil {
		return err
	}
	p.r.remake = false
	return nil
}

// start is the first segment that the server still has for certain, and its timeline.
func (p *placer) start(s slot) (wal.TimelineID, wal.SegmentNumber) {
	tli, lsn := p.server.timeline, p.server.flushed
	if s.restart.IsValid() {
		lsn = s.restart
	}
	if s.timeline != 0 {
		tli = s.timeline
	}
	return tli, wal.SegmentOf(lsn, p.r.o.SegmentSize)
}

// floor is the start of the segment that the slot stands in.
func (p *placer) floor(s slot) wal.LSN {
	return wal.Start(wal.SegmentOf(s.restart, p.r.o.SegmentSize), p.r.o.SegmentSize)
}

// beginAt begins an empty spool: where the slot stands, or where the repository ends, if that is before. The server may
// have that WAL still, though no slot has kept it.
func (p *placer) beginAt(ctx context.Context, s slot, history wal.TimelineHistory) error {
	tli, segno := p.start(s)
	end, err := p.r.o.Sink.End(ctx, history)
	if err != nil {
		return fmt.Errorf("ask the repository where its WAL ends: %w", err)
	}
	if end != 0 && wal.SegmentOf(end, p.r.o.SegmentSize) < segno {
		tli, segno = history.TimelineAt(end), wal.SegmentOf(end, p.r.o.SegmentSize)
	}
	if err := p.saveHistories(ctx, history, tli-1, tli); err != nil {
		return err
	}
	p.r.o.Log.Info("receiving WAL begins", keySlot, p.r.o.Slot, keyTimeline, tli, keyLSN, wal.Start(segno, p.r.o.SegmentSize))
	return p.r.spool.begin(tli, segno)
}

// saveHistory puts a timeline's history into the spool; the first timeline has none.
func (p *placer) saveHistory(ctx context.Context, tli wal.TimelineID) error {
	if tli == 1 {
		return nil
	}
	content, err := p.commands.history(ctx, tli)
	if err != nil {
		return err
	}
	return p.r.spool.addHistory(tli, content)
}

// saveHistories saves the histories of the timelines on the way from one to another. The server may lack those in between.
func (p *placer) saveHistories(ctx context.Context, history wal.TimelineHistory, after, last wal.TimelineID) error {
	for _, tli := range history.Path() {
		if tli <= after || tli > last {
			continue
		}
		err := p.saveHistory(ctx, tli)
		if isCode(err, codeUndefinedFile) && tli != history.Timeline {
			p.r.o.Log.Warn("the server has no history of a timeline that it comes from", keyTimeline, tli)
			continue
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// goOn finds the way from the spool's end to the server's timeline.
func (p *placer) goOn(ctx context.Context, s slot, history wal.TimelineHistory) error {
	if p.r.removed > 1 { // with a new slot, too
		p.r.removed = 0
		if err := p.skip(ctx, s, history); err != nil {
			return err
		}
	}
	for {
		tli, end, _ := p.r.spool.end()
		_, to, _ := history.Span(tli)
		if tli == history.Timeline || end < to {
			return nil
		}
		if err := p.follow(ctx, history, tli, end, to); err != nil {
			return err
		}
	}
}

// ancestry is the history of the server's timeline, which must come from the spool's if that has any.
func (p *placer) ancestry(ctx context.Context) (wal.TimelineHistory, error) {
	history := wal.TimelineHistory{Timeline: p.server.timeline}
	if p.server.timeline > 1 {
		content, err := p.commands.history(ctx, p.server.timeline)
		if err != nil {
			return history, err
		}
		if history, err = wal.ParseHistory(p.server.timeline, content); err != nil {
			return history, err
		}
	}
	tli, _, ok := p.r.spool.end()
	if !ok {
		return history, nil
	}
	if _, _, ok := history.Span(tli); !ok {
		return history, refuse("the spool %s holds WAL of timeline %s, and the server is on timeline %s, which does not descend from it",
			p.r.o.Spool, tli, p.server.timeline)
	}
	return history, nil
}

// follow begins the next timeline, from the start of the segment in which it branched off, as pg_receivewal does.
func (p *placer) follow(ctx context.Context, history wal.TimelineHistory, tli wal.TimelineID, end, to wal.LSN) error {
	next := history.TimelineAt(to)
	if end > to {
		p.r.o.Log.Warn("more of a timeline was received than the server's timeline has taken over",
			keyTimeline, tli, keyFrom, to, keyTo, end)
	}
	if err := p.saveHistories(ctx, history, tli, next); err != nil {
		return err
	}
	p.r.o.Log.Info("following a new timeline", keyTimeline, next, keyLSN, to)
	return p.r.spool.begin(next, wal.SegmentOf(to, p.r.o.SegmentSize))
}

// skip notes what can never be received as lost, on each timeline that it lies on, and goes on where the server still has
// WAL.
func (p *placer) skip(ctx context.Context, s slot, history wal.TimelineHistory) error {
	_, end, _ := p.r.spool.end()
	tli, segno := p.start(s)
	start := wal.Start(segno, p.r.o.SegmentSize)
	if start <= end {
		return nil // it is there after all
	}
	for _, g := range lostRanges(history, tli, p.r.spool.timeline(), end, start) {
		g.why = fmt.Sprintf("the server removed WAL that replication slot %s had not received", p.r.o.Slot)
		p.r.o.Log.Error("WAL is lost: make a new base backup", keyTimeline, g.timeline, keyFrom, g.from, keyTo, g.to, keySlot, p.r.o.Slot)
		if err := p.r.spool.addGap(g); err != nil {
			return err
		}
	}
	if err := p.saveHistories(ctx, history, p.r.spool.timeline(), tli); err != nil {
		return err
	}
	return p.r.spool.begin(tli, segno)
}

// lostRanges cuts a range at the points where timelines branched off, from timeline first to timeline last.
func lostRanges(history wal.TimelineHistory, last, first wal.TimelineID, from, to wal.LSN) []gap {
	var gaps []gap
	for _, tli := range history.Path() {
		if tli < first || tli > last {
			continue
		}
		begin, end, _ := history.Span(tli)
		g := gap{timeline: tli, from: max(from, begin), to: to}
		if end != 0 {
			g.to = min(to, end)
		}
		if tli == first {
			g.from = from
		}
		if g.from < g.to {
			gaps = append(gaps, g)
		}
	}
	return gaps
}
