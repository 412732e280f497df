package main

import (
	"context"
	"slices"
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

// folds knows the pieces of the segment that the server writes.
type folds struct {
	mu      sync.Mutex
	segment wal.FileName
	pieces  []catalog.TailRange // stored by this agent, or compared with what it has
	folded  uint32              // end of the piece that begins the segment
}

// due adds one more piece, and gives those that it is time to fold; none if it is not.
func (f *folds) due(segment wal.FileName, newest catalog.TailRange) []catalog.TailRange {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.segment != segment {
		f.segment, f.pieces, f.folded = segment, nil, 0
	}
	f.pieces = append(f.pieces, newest)
	fresh := newest.To - min(newest.To, f.folded)
	enough := len(f.pieces) >= foldPieces && fresh >= newest.To/foldGrowth || len(f.pieces) >= foldAlways
	if !enough || newest.To > foldMost {
		return nil
	}
	return slices.Clone(f.pieces)
}

func (f *folds) done(segment wal.FileName, end uint32) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.segment == segment {
		f.pieces, f.folded = []catalog.TailRange{{From: 0, To: end}}, end
	}
}

// fold puts one piece in the place of all those of a segment, last being the newest, where it is time to. What fails is
// tried again with the next one.
func (s *sink) fold(ctx context.Context, last catalog.TailPiece) {
	newest := catalog.TailRange{From: last.From, To: last.From + uint32(len(last.Data))}
	pieces := s.folds.due(last.Segment, newest)
	if len(pieces) == 0 {
		return
	}
	if err := s.foldInto(ctx, last, newest.To, pieces); err != nil {
		s.counts.failed(err)
		s.app.log.Warn("a tail stays in many pieces for now", keyFile, last.Segment.String(), keyError, err)
		return
	}
	s.folds.done(last.Segment, newest.To)
}

func (s *sink) foldInto(ctx context.Context, last catalog.TailPiece, end uint32, pieces []catalog.TailRange) error {
	file, err := s.open(last.Segment)
	if err != nil {
		return err
	}
	defer file.Close()
	whole := last
	whole.From, whole.Data = 0, make([]byte, end)
	if _, err := file.ReadAt(whole.Data, 0); err != nil {
		return err
	}
	return s.cluster().FoldTail(ctx, whole, pieces, s.app.now())
}
