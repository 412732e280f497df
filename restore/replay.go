package restore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"lifeboat/internal/wal"
)

// errStopReplay ends a replay early.
var errStopReplay = errors.New("seen enough")

// eachRecord reads the trail's records in order, from the first one that starts in segment number first, until visit
// returns errStopReplay or the WAL ends. An unfinished record at the very end is left out, as recovery does. Segments
// are verified whole, one at a time, in an unnamed file.
func (t *trail) eachRecord(ctx context.Context, first int, visit func(*wal.Record) error) error {
	open := &segmentFile{ctx: ctx, trail: t}
	defer open.close()
	reader := wal.NewReader(wal.ChainSegments(t.size(), open.segment), t.size())
	err := reader.FindFrom(max(t.segments[first].name.Start(t.size()), t.record.StartLSN))
	for err == nil {
		var record *wal.Record
		if record, err = reader.Next(); err == nil {
			err = visit(record)
		}
	}
	if errors.Is(err, errStopReplay) || errors.Is(err, io.EOF) || errors.Is(err, wal.ErrIncomplete) || t.endOfTail(err) {
		return nil
	}
	return fmt.Errorf("read WAL: %w", err)
}

// endOfTail says whether err is how the WAL shows its end where only the tail of its last segment is stored: zeros.
func (t *trail) endOfTail(err error) bool {
	var corrupt *wal.CorruptError
	return t.run.Tail != 0 && errors.As(err, &corrupt) && corrupt.LSN >= t.run.LastRecordEnd
}

// segmentFile holds the segment that is being read.
type segmentFile struct {
	ctx   context.Context // of the one replay that the value serves
	trail *trail
	file  *os.File
}

func (s *segmentFile) segment(number wal.SegmentNumber) (io.ReaderAt, error) {
	i := int(number - s.trail.segments[0].name.SegmentNumber(s.trail.size()))
	if i < 0 || i >= len(s.trail.segments) {
		return nil, io.EOF
	}
	if err := s.fresh(); err != nil {
		return nil, err
	}
	_, err := s.trail.cluster.GetSegment(s.ctx, s.trail.segments[i].name, s.file)
	return io.NewSectionReader(s.file, 0, int64(s.trail.size())), err
}

// fresh replaces the file by an empty one without a name.
func (s *segmentFile) fresh() error {
	s.close()
	file, err := os.CreateTemp("", "lifeboat-wal-*")
	if err != nil {
		return fmt.Errorf("create a temporary file: %w", err)
	}
	s.file = file
	if err := os.Remove(file.Name()); err != nil {
		return fmt.Errorf("unlink a temporary file: %w", err)
	}
	return nil
}

func (s *segmentFile) close() {
	if s.file != nil {
		_ = s.file.Close() // an unnamed file has nothing to lose
		s.file = nil
	}
}
