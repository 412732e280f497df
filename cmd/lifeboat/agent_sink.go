package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"lifeboat/archive"
	"lifeboat/internal/wal"
	"lifeboat/storage/catalog"
)

// sink brings what the streamer receives into the repository. Whole segments go where those of the hooks go, and compare
// with them; tails go to the nearest repository that can be reached.
type sink struct {
	*tended
	shop  *shop
	spool string
}

func (s *sink) cluster() *catalog.Cluster { return s.shop.scene.cluster }

// Segment implements stream.Sink.
func (s *sink) Segment(ctx context.Context, path string) error {
	name, err := s.file(ctx, path)
	if err != nil {
		return err
	}
	if err := s.cluster().DropTail(ctx, name); err != nil {
		s.app.log.Warn("the tail of a whole segment stays until it expires", keyFile, name.String(), keyError, err)
	}
	return nil
}

func (s *sink) file(ctx context.Context, path string) (wal.FileName, error) {
	options := archive.PushOptions{
		Clock: s.app.now, Store: s.app.storeOptions(s.shop.scene), DataDirectory: s.shop.directory, Intake: s.shop.intake,
	}
	result, err := archive.Push(ctx, s.cluster(), path, options)
	s.counts.streamed(result, err)
	if err != nil {
		return result.Name, err
	}
	s.noteCopies(s.shop.scene, result)
	return result.Name, nil
}

// History implements stream.Sink.
func (s *sink) History(ctx context.Context, tli wal.TimelineID, content []byte) error {
	directory, err := os.MkdirTemp("", "lifeboat-history-")
	if err != nil {
		return fmt.Errorf("store the history of timeline %s: %w", tli, err)
	}
	path := filepath.Join(directory, wal.HistoryFile(tli).String())
	if err = os.WriteFile(path, content, 0o600); err == nil {
		_, err = s.file(ctx, path)
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
	return nil
}

// summary reads the segment from its first byte on, from the spool: it may have become whole meanwhile.
func (s *sink) summary(name wal.FileName, to uint32) (wal.Summary, error) {
	path := filepath.Join(s.spool, name.String())
	file, err := os.Open(path + ".partial")
	if errors.Is(err, fs.ErrNotExist) {
		file, err = os.Open(path)
	}
	if err != nil {
		return wal.Summary{}, err
	}
	defer file.Close()
	return catalog.SummarizeTail(file, to, name, s.cluster().Identity().WALSegmentSize)
}

// TailEnd implements stream.Sink.
func (s *sink) TailEnd(ctx context.Context, name wal.FileName) (uint32, error) {
	pieces, err := s.cluster().Tail(ctx, name)
	var end uint32
	for _, piece := range pieces {
		end = max(end, piece.To)
	}
	return end, err
}

// Lost implements stream.Sink.
func (s *sink) Lost(ctx context.Context, tli wal.TimelineID, from, to wal.LSN, why string) error {
	s.app.log.Error("WAL was lost: take a new base backup", "timeline", tli, "from", from, "to", to, "why", why)
	return s.cluster().PutGap(ctx, catalog.LostWAL{Timeline: tli, From: from, To: to, Why: why}, s.app.now())
}
