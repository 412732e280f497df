package main

import (
	"context"
	"sync"

	"lifeboat/internal/wal"
	"lifeboat/storage/catalog"
)

// A segment that the server fills slowly comes in many pieces: one a second for hours. Every so often one takes the place of
// all of them. That sends their bytes again, hence only once they are a fair part of the whole, or very many.
const (
	foldPieces = 64       // fewer are left as they are
	foldGrowth = 4        // and those that are not at least one part in so many of the segment's bytes,
	foldAlways = 1024     // unless they are so many
	foldMost   = 64 << 20 // bytes; more would be too much to hold in memory
)

// folds counts the pieces of the segment that the server writes.
type folds struct {
	mu      sync.Mutex
	segment wal.FileName
	pieces  int
	folded  uint32 // end of the piece that begins the segment
}

// begin says that so many pieces of a segment are stored.
func (f *folds) begin(segment wal.FileName, pieces int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.segment, f.pieces, f.folded = segment, pieces, 0
}

// due counts one more piece, up to end, and says whether it is time to fold.
func (f *folds) due(segment wal.FileName, end uint32) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.segment != segment {
		f.segment, f.pieces, f.folded = segment, 0, 0
	}
	f.pieces++
	fresh := end - min(end, f.folded)
	return end <= foldMost && (f.pieces >= foldPieces && fresh >= end/foldGrowth || f.pieces >= foldAlways)
}

func (f *folds) done(segment wal.FileName, end uint32) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.segment == segment {
		f.pieces, f.folded = 1, end
	}
}

// fold puts one piece in the place of all those of a segment, last being the newest, where it is time to. What fails is
// tried again with the next one.
func (s *sink) fold(ctx context.Context, last catalog.TailPiece) {
	end := last.From + uint32(len(last.Data))
	if !s.folds.due(last.Segment, end) {
		return
	}
	err := s.foldUpTo(ctx, last, end)
	if err != nil {
		s.counts.failed(err)
		s.app.log.Warn("a tail stays in many pieces for now", keyFile, last.Segment.String(), keyError, err)
		return
	}
	s.folds.done(last.Segment, end)
}

func (s *sink) foldUpTo(ctx context.Context, last catalog.TailPiece, end uint32) error {
	file, err := s.spooled(last.Segment)
	if err != nil {
		return err
	}
	defer file.Close()
	whole := last
	whole.From, whole.Data = 0, make([]byte, end)
	if _, err := file.ReadAt(whole.Data, 0); err != nil {
		return err
	}
	return s.cluster().FoldTail(ctx, whole, s.app.now())
}
