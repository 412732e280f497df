package catalog

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"lifeboat/internal/wal"
	"lifeboat/storage"
)

// ErrUnfinished says that of a segment only its first bytes are stored, although later WAL of its timeline is there. So
// recovery must not take their end for the end of the WAL.
var ErrUnfinished = errors.New("only the first part of it is stored, but later WAL of its timeline is there")

// Tail lists the pieces of an unfinished segment that count: those that leave no byte out from 0 on. They may overlap.
// None is no error. Of several copies all count together, and a copy that cannot be asked is an error.
func (c *Cluster) Tail(ctx context.Context, segment wal.FileName) ([]TailRange, error) {
	pieces, err := c.tailPieces(ctx, segment)
	if err != nil {
		return nil, fmt.Errorf("list tail of %s: %w", segment, err)
	}
	counted, _ := contiguous(pieces)
	return counted, nil
}

// tailPieces lists all pieces of a segment, in order.
func (c *Cluster) tailPieces(ctx context.Context, segment wal.FileName) ([]TailRange, error) {
	if c.copies != nil {
		return c.copies.tailPieces(ctx, segment)
	}
	var pieces []TailRange
	for info, err := range c.bucket.List(ctx, c.tailPrefix(segment)) {
		if err != nil {
			return nil, err
		}
		if _, r, ok := c.parseTailKey(info.Key); ok {
			pieces = append(pieces, r)
		}
	}
	return pieces, nil
}

// GetTail writes a file of the whole size of a segment to dst: the bytes that its tail holds up to end, then zeros.
// Nothing is written before all of the tail has been proven. storage.ErrNotFound where there is no piece that starts at
// 0; *DamagedError where a piece is not what was stored, where two do not agree in the bytes that they share, or where
// together they are no WAL; seal.ErrNoIdentity or *seal.WrongIdentityError.
func (c *Cluster) GetTail(ctx context.Context, segment wal.FileName, dst io.Writer) (end uint32, err error) {
	pieces, err := c.Tail(ctx, segment)
	if err != nil {
		return 0, err
	}
	_, err = c.getTail(ctx, segment, cover(pieces), dst)
	_, end = contiguous(pieces)
	return end, err
}

// getTail is GetTail for the pieces that count, and what the last one says.
func (c *Cluster) getTail(ctx context.Context, segment wal.FileName, pieces []TailRange, dst io.Writer) (WALHeader, error) {
	file, err := unnamedFile()
	if err != nil {
		return WALHeader{}, err
	}
	h, err := c.assemble(ctx, segment, pieces, file)
	if err == nil {
		_, err = io.Copy(dst, io.NewSectionReader(file, 0, h.Size))
	}
	if err := errors.Join(err, file.Close()); err != nil {
		return WALHeader{}, fmt.Errorf("read tail of %s: %w", segment, err)
	}
	return h, nil
}

// assemble puts the pieces together in the file, and proves that they are what the last one's header says.
func (c *Cluster) assemble(ctx context.Context, segment wal.FileName, pieces []TailRange, file *os.File) (WALHeader, error) {
	if len(pieces) == 0 {
		return WALHeader{}, storage.ErrNotFound
	}
	var last WALHeader
	var end uint32
	for _, r := range pieces {
		h, err := c.layPiece(ctx, segment, r, file, end)
		if err != nil {
			return WALHeader{}, err
		}
		if r.To > end {
			last, end = h, r.To
		}
	}
	size := c.identity.WALSegmentSize
	if err := file.Truncate(int64(size)); err != nil {
		return WALHeader{}, err
	}
	found, err := SummarizeTail(file, end, segment, size)
	if err != nil || !samePositions(*last.Summary, found) {
		return WALHeader{}, &DamagedError{Key: c.tailPrefix(segment), Detail: "the pieces of the tail do not fit together", Err: err}
	}
	last.Size, last.SHA256 = int64(size), ""
	return last, nil
}

// layPiece writes a piece to its place in the file, whose bytes up to end are there already.
func (c *Cluster) layPiece(ctx context.Context, segment wal.FileName, r TailRange, file *os.File, end uint32) (WALHeader, error) {
	if c.copies != nil {
		return ask(ctx, c.copies, func(ctx context.Context, c *Cluster) (WALHeader, error) {
			return c.layPiece(ctx, segment, r, file, end)
		})
	}
	key := c.tailKey(segment, r)
	src, err := c.bucket.Get(ctx, key, 0, -1)
	if err != nil {
		return WALHeader{}, err
	}
	h, err := c.decodeWAL(key, segment, src, &pieceWriter{file: file, at: int64(r.From), known: int64(end)})
	if errors.Is(err, errDisagrees) {
		err = damaged(key, "differs from another piece in the bytes that both hold")
	}
	return h, errors.Join(err, src.Close())
}

var errDisagrees = errors.New("bytes differ from those that are there")

// pieceWriter writes to a file from an offset on, but for the bytes that are known already, with which it compares.
type pieceWriter struct {
	file  *os.File
	at    int64
	known int64 // all bytes before are there
}

func (w *pieceWriter) Write(p []byte) (int, error) {
	shared := max(0, min(int64(len(p)), w.known-w.at))
	there := make([]byte, shared)
	if _, err := w.file.ReadAt(there, w.at); err != nil && shared > 0 {
		return 0, err
	}
	if !bytes.Equal(there, p[:shared]) {
		return 0, errDisagrees
	}
	n, err := w.file.WriteAt(p[shared:], w.at+shared)
	w.at += shared + int64(n)
	return int(shared) + n, err
}

// GetSegment is GetWAL for recovery: where a segment is not stored whole, its tail stands in, filled up with zeros, if it
// is the last WAL of its timeline or reaches to the segment's end. Where it is not the last the error is ErrUnfinished. The
// other errors are those of GetWAL and GetTail.
func (c *Cluster) GetSegment(ctx context.Context, name wal.FileName, dst io.Writer) (WALHeader, error) {
	return c.wholeOrTail(ctx, name,
		func() (WALHeader, error) { return c.GetWAL(ctx, name, dst) },
		func(pieces []TailRange) (WALHeader, error) { return c.getTail(ctx, name, pieces, dst) })
}

// SegmentHeader is WALHeader for recovery: where GetSegment serves the tail, it is what that says about itself.
func (c *Cluster) SegmentHeader(ctx context.Context, name wal.FileName) (WALHeader, error) {
	return c.wholeOrTail(ctx, name,
		func() (WALHeader, error) { return c.WALHeader(ctx, name) },
		func(pieces []TailRange) (WALHeader, error) { return c.pieceHeader(ctx, name, lastOf(pieces)) })
}

// tailLooks is how often a tail is looked for whose pieces are gone when they are read. They make room for one that holds
// them all, or for the segment.
const tailLooks = 5

var errVanishing = errors.New("the pieces of the tail vanish as fast as they are listed")

// wholeOrTail reads a segment where it is stored, else its tail. That neither is there is the answer only where no piece was
// listed: to take pieces that have vanished for the end of the WAL would lose what they hold.
func (c *Cluster) wholeOrTail(
	ctx context.Context, name wal.FileName, whole func() (WALHeader, error), tail func([]TailRange) (WALHeader, error),
) (WALHeader, error) {
	h, err := whole()
	if name.Kind != wal.Segment || !errors.Is(err, storage.ErrNotFound) {
		return h, err
	}
	for range tailLooks {
		pieces, err := c.standIn(ctx, name)
		listed := err == nil
		if listed {
			h, err = tail(pieces)
		}
		if !errors.Is(err, storage.ErrNotFound) {
			return h, err
		}
		// It may have come meanwhile, and its tail gone.
		if h, err = whole(); !listed || !errors.Is(err, storage.ErrNotFound) {
			return h, err
		}
	}
	return WALHeader{}, fmt.Errorf("read %s: %w", name, errVanishing)
}

// standIn is the tail that may take the place of a segment which is not there.
func (c *Cluster) standIn(ctx context.Context, name wal.FileName) ([]TailRange, error) {
	pieces, err := c.Tail(ctx, name)
	if err != nil {
		return nil, err
	}
	_, end := contiguous(pieces)
	switch {
	case end == 0:
		return nil, fmt.Errorf("tail of %s: %w", name, storage.ErrNotFound)
	case uint64(end) == uint64(c.identity.WALSegmentSize):
		return cover(pieces), nil
	}
	later, err := c.HasLaterWAL(ctx, name)
	if err == nil && later {
		err = fmt.Errorf("tail of %s: %w", name, ErrUnfinished)
	}
	return cover(pieces), err
}

// pieceHeader reads the header of a piece and little more.
func (c *Cluster) pieceHeader(ctx context.Context, segment wal.FileName, r TailRange) (WALHeader, error) {
	if c.copies != nil {
		return ask(ctx, c.copies, func(ctx context.Context, c *Cluster) (WALHeader, error) { return c.pieceHeader(ctx, segment, r) })
	}
	h, err := c.readHeaderAt(ctx, c.tailKey(segment, r), segment)
	if err != nil {
		return WALHeader{}, fmt.Errorf("read header of the tail of %s: %w", segment, err)
	}
	return h, nil
}

// hasLaterTail reports whether a piece of a later segment of the timeline is there.
func (c *Cluster) hasLaterTail(ctx context.Context, name wal.FileName) (bool, error) {
	size := c.identity.WALSegmentSize
	for info, err := range c.bucket.List(ctx, c.tailsTimelinePrefix(name.Timeline)) {
		if err != nil {
			return false, fmt.Errorf("look for tails after %s: %w", name, err)
		}
		found, _, ok := c.parseTailKey(info.Key)
		if ok && found.SegmentNumber(size) > name.SegmentNumber(size) {
			return true, nil
		}
	}
	return false, nil
}
