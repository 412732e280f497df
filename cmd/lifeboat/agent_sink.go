package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"lifeboat/archive"
	"lifeboat/archive/stream"
	"lifeboat/internal/wal"
	"lifeboat/storage/catalog"
)

// sink brings what the streamer receives into the repository. Whole segments go where those of the hooks go, and compare
// with them; tails go to the nearest repository that can be reached.
type sink struct {
	*tended
	shop  *shop // its data directory may not be known
	spool string
	folds folds
}

func (s *sink) cluster() *catalog.Cluster { return s.shop.scene.cluster }

// Segment implements stream.Sink.
func (s *sink) Segment(ctx context.Context, path string) error {
	name, err := wal.ParseFileName(filepath.Base(path))
	if err == nil {
		err = s.file(ctx, path)
	}
	if err != nil {
		return err
	}
	if err := s.cluster().DropTail(ctx, name); err != nil {
		s.app.log.Warn("the tail of a whole segment stays until it expires", keyFile, name.String(), keyError, err)
	}
	return nil
}

func (s *sink) file(ctx context.Context, path string) error {
	result, err := s.store(ctx, s.shop, path, s.shop.directory)
	s.counts.streamed(result, err)
	if err != nil {
		return err
	}
	s.noteCopies(s.shop.scene, result)
	return nil
}

// History implements stream.Sink.
func (s *sink) History(ctx context.Context, tli wal.TimelineID, content []byte) error {
	directory, err := os.MkdirTemp("", "lifeboat-history-")
	if err != nil {
		return fmt.Errorf("store the history of timeline %s: %w", tli, err)
	}
	path := filepath.Join(directory, wal.HistoryFile(tli).String())
	if err = os.WriteFile(path, content, 0o600); err == nil {
		err = s.file(ctx, path)
	}
	return errors.Join(err, os.RemoveAll(directory))
}

// Tail implements stream.Sink.
func (s *sink) Tail(ctx context.Context, name wal.FileName, from uint32, data []byte) error {
	piece := catalog.TailPiece{Segment: name, From: from, Data: data}
	summary, err := s.summary(name, from+uint32(len(data)))
	if err == nil && s.cluster().Seals() {
		piece.Secret, err = archive.Secret(ctx, s.cluster().Identity(), s.shop.directory)
	}
	if err == nil {
		piece.Summary = &summary
		err = s.cluster().PutTail(ctx, piece, s.app.now())
	}
	if err != nil {
		s.counts.failed(err)
		return fmt.Errorf("store the tail of %s: %w", name, err)
	}
	s.counts.streamedTail(len(data))
	s.fold(ctx, piece)
	return nil
}

// summary reads the segment from its first byte on, from the spool.
func (s *sink) summary(name wal.FileName, to uint32) (wal.Summary, error) {
	file, err := s.open(name)
	if err != nil {
		return wal.Summary{}, err
	}
	defer file.Close()
	return catalog.SummarizeTail(file, to, name, s.cluster().Identity().WALSegmentSize)
}

// open opens a segment of the spool, which may have become whole meanwhile.
func (s *sink) open(name wal.FileName) (*os.File, error) {
	path := filepath.Join(s.spool, name.String())
	file, err := os.Open(path + ".partial")
	if errors.Is(err, fs.ErrNotExist) {
		file, err = os.Open(path)
	}
	return file, err
}

// TailEnd implements stream.Sink. Of several repositories the nearest is asked: to store once more what another one has does
// no harm.
func (s *sink) TailEnd(ctx context.Context, name wal.FileName) (end uint32, err error) {
	err = s.cluster().Nearest(ctx, func(ctx context.Context, cluster *catalog.Cluster) (err error) {
		end, err = s.tailEnd(ctx, cluster, name)
		return err
	})
	return end, err
}

// tailEnd is how much of the segment the repository has of this server. Another one may have stored it, so the last piece that
// the spool has, too, is compared, by storing it once more; before there is one nothing is added.
func (s *sink) tailEnd(ctx context.Context, cluster *catalog.Cluster, name wal.FileName) (uint32, error) {
	pieces, err := cluster.Tail(ctx, name)
	if err != nil || len(pieces) == 0 {
		return 0, err
	}
	spooled, err := s.spooled(name)
	if err != nil {
		return 0, err
	}
	var last catalog.TailRange
	for _, piece := range pieces {
		if piece.To > last.To && int64(piece.To) <= int64(len(spooled)) {
			last = piece
		}
	}
	if last.To == 0 {
		return 0, fmt.Errorf("compare the tail of %s with the %d bytes that have been received: %w", name, len(spooled), stream.ErrLonger)
	}
	return last.To, s.Tail(ctx, name, last.From, spooled[last.From:last.To])
}

// spooled is what the spool has of a segment.
func (s *sink) spooled(name wal.FileName) ([]byte, error) {
	file, err := s.open(name)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return io.ReadAll(file)
}

// End implements stream.Sink.
func (s *sink) End(ctx context.Context, history wal.TimelineHistory) (wal.LSN, error) {
	inventory, err := s.cluster().Inventory(ctx)
	if err != nil {
		return 0, err
	}
	var newest wal.LSN
	for _, tli := range history.Path() {
		from, to, _ := history.Span(tli)
		for _, run := range inventory.Runs {
			end := endOf(run)
			if to != 0 {
				end = min(end, to)
			}
			if run.Timeline == tli && end > from {
				newest = max(newest, end)
			}
		}
	}
	return newest, nil
}

// endOf is where a run's WAL ends, a tail's counted.
func endOf(run catalog.WALRun) wal.LSN {
	if run.Tail != 0 {
		return run.Tail
	}
	return run.To
}

// Lost implements stream.Sink. Archiving may have stored what streaming has missed.
func (s *sink) Lost(ctx context.Context, tli wal.TimelineID, from, to wal.LSN, why string) error {
	inventory, err := s.cluster().Inventory(ctx)
	if err != nil {
		return err
	}
	gaps := lacking(inventory.Runs, catalog.LostWAL{Timeline: tli, From: from, To: to, Why: why})
	if len(gaps) == 0 {
		s.app.log.Info("WAL that streaming has missed is in the repository all the same", "timeline", tli, "from", from, "to", to)
	}
	for _, gap := range gaps {
		s.app.log.Error("WAL was lost: it takes a new base backup to go on", "timeline", tli, "from", gap.From, "to", gap.To, "why", why)
		if err := s.cluster().PutGap(ctx, gap, s.app.now()); err != nil {
			return err
		}
		s.lostWAL.Store(true)
	}
	return nil
}

// lacking is what of the WAL no run covers. The runs are in order.
func lacking(runs []catalog.WALRun, lost catalog.LostWAL) []catalog.LostWAL {
	var gaps []catalog.LostWAL
	at := lost.From
	for _, run := range runs {
		if run.Timeline != lost.Timeline || endOf(run) <= at || run.From >= lost.To {
			continue
		}
		if at < run.From {
			gaps = append(gaps, catalog.LostWAL{Timeline: lost.Timeline, From: at, To: run.From, Why: lost.Why})
		}
		at = endOf(run)
	}
	if at < lost.To {
		gaps = append(gaps, catalog.LostWAL{Timeline: lost.Timeline, From: at, To: lost.To, Why: lost.Why})
	}
	return gaps
}
