package catalog

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"time"

	"lifeboat/internal/wal"
	"lifeboat/storage"
)

// TailPiece is a part of a segment that the server still writes.
type TailPiece struct {
	Segment wal.FileName
	From    uint32       // offset of the first byte in the segment
	Data    []byte       // not empty
	Summary *wal.Summary // of the segment from its first byte to the last one of Data, see SummarizeTail
	Secret  []byte       // as in WALFile
}

func (p TailPiece) span() TailRange {
	return TailRange{From: p.From, To: uint32(uint64(p.From) + uint64(len(p.Data)))}
}

// SummarizeTail is what an unfinished segment says about itself in its first bytes, up to the offset to. What lies behind
// in the file does not count. The errors are those of wal.ScanSegment.
func SummarizeTail(file io.ReaderAt, to uint32, segment wal.FileName, size wal.SegmentSize) (wal.Summary, error) {
	return wal.ScanSegment(&zeroEnded{file: file, end: int64(to)}, int64(size), segment, wal.ScanOptions{Unfinished: true})
}

// zeroEnded reads zeros from an offset on.
type zeroEnded struct {
	file io.ReaderAt
	end  int64
}

func (z *zeroEnded) ReadAt(p []byte, offset int64) (int, error) {
	known := p[:max(0, min(int64(len(p)), z.end-offset))]
	clear(p[len(known):])
	if len(known) == 0 {
		return len(p), nil
	}
	n, err := z.file.ReadAt(known, offset)
	if n < len(known) {
		return n, err
	}
	return len(p), nil
}

// PutTail stores a piece of an unfinished segment durably, of several copies in the nearest one that can be reached. The same
// piece once more is no error; other content under its name is a *ConflictError, and a finding is stored. The other errors are those of PutWAL.
func (c *Cluster) PutTail(ctx context.Context, p TailPiece, now time.Time) error {
	if c.copies != nil {
		return c.copies.decide(ctx, func(ctx context.Context, c *Cluster) error { return c.PutTail(ctx, p, now) })
	}
	if err := c.putTail(ctx, p, now); err != nil {
		return fmt.Errorf("store tail of %s: %w", p.Segment, err)
	}
	return nil
}

func (c *Cluster) putTail(ctx context.Context, p TailPiece, now time.Time) error {
	f, err := c.tailFile(p)
	if err != nil {
		return err
	}
	object, err := c.encodeWAL(ctx, f, now)
	if err != nil {
		return err
	}
	defer c.freeWAL(object)
	key := c.tailKey(p.Segment, *f.piece)
	err = c.storeWAL(ctx, key, object)
	if errors.Is(err, storage.ErrExists) {
		return c.comparePiece(ctx, key, p.Segment, object, now)
	}
	return err
}

// FoldTail is PutTail for a piece that begins where the segment does, and then removes those that it holds, so that a segment
// which the server fills slowly does not become thousands of objects. They are to be named, since only who stored or
// compared a piece knows that it is not another server's. Where the right to delete is lacking they stay.
func (c *Cluster) FoldTail(ctx context.Context, p TailPiece, held []TailRange, now time.Time) error {
	if c.copies != nil {
		return c.copies.decide(ctx, func(ctx context.Context, c *Cluster) error { return c.FoldTail(ctx, p, held, now) })
	}
	by := p.span()
	for _, r := range held {
		if p.From != 0 || r == by || r.To > by.To {
			return fmt.Errorf("fold tail of %s: bytes %d to %d are not held by %d to %d", p.Segment, r.From, r.To, by.From, by.To)
		}
	}
	if err := c.PutTail(ctx, p, now); err != nil {
		return err
	}
	for _, r := range held {
		if err := c.bucket.Delete(ctx, c.tailKey(p.Segment, r)); err != nil && !errors.Is(err, fs.ErrPermission) {
			return fmt.Errorf("fold tail of %s: %w", p.Segment, err)
		}
	}
	return nil
}

// tailFile is the piece as a file, if it can belong to this cluster.
func (c *Cluster) tailFile(p TailPiece) (WALFile, error) {
	var f WALFile
	span := p.span()
	switch {
	case p.Segment.Kind != wal.Segment:
		return f, fmt.Errorf("a %s has no tail", p.Segment.Kind)
	case p.Summary == nil:
		return f, errors.New("its summary is missing")
	case uint64(len(p.Data)) > uint64(c.identity.WALSegmentSize):
		return f, fmt.Errorf("%d bytes are more than a segment", len(p.Data))
	}
	if err := errors.Join(p.Segment.ValidFor(c.identity.WALSegmentSize), span.check(c.identity.WALSegmentSize)); err != nil {
		return f, err
	}
	offered := Identity{SystemIdentifier: p.Summary.SystemIdentifier, WALSegmentSize: p.Summary.SegmentSize}
	if offered != c.identity {
		return f, &ForeignError{Name: c.name, Have: c.identity, Offered: offered}
	}
	return WALFile{
		Name: p.Segment, Size: span.size(), Summary: p.Summary, Secret: p.Secret, piece: &span,
		Open: func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(p.Data)), nil },
	}, nil
}

// comparePiece proves that the stored piece is the one at hand.
func (c *Cluster) comparePiece(ctx context.Context, key string, segment wal.FileName, at walObject, now time.Time) error {
	have, digest, err := c.provePiece(ctx, key, segment)
	if err != nil {
		return fmt.Errorf("compare with the stored piece: %w", err)
	}
	same, err := c.sameWAL(have, digest, at)
	if err != nil || same {
		return err
	}
	conflict := c.conflict(have, digest, at)
	conflict.Name = fmt.Sprintf("%s (bytes %d to %d)", segment, at.header.piece.From, at.header.piece.To)
	return errors.Join(conflict, c.PutFinding(ctx, conflict.finding(now)))
}

// provePiece is CheckWAL for a piece.
func (c *Cluster) provePiece(ctx context.Context, key string, segment wal.FileName) (WALHeader, *walDigest, error) {
	body, err := c.bucket.Get(ctx, key, 0, -1)
	if err != nil {
		return WALHeader{}, nil, err
	}
	h, digest, err := c.proveWAL(key, segment, body)
	return h, digest, errors.Join(err, body.Close())
}

// DropTail removes the tail of a segment that is stored whole; until it is, the error is storage.ErrNotFound. Where the
// right to delete is lacking the tail is left to expiry, and that is no error. Of several copies each is asked for itself.
func (c *Cluster) DropTail(ctx context.Context, segment wal.FileName) error {
	if c.copies != nil {
		return c.copies.dropTail(ctx, segment)
	}
	if err := c.dropTail(ctx, segment); err != nil && !errors.Is(err, fs.ErrPermission) {
		return fmt.Errorf("drop tail of %s: %w", segment, err)
	}
	return nil
}

func (c *Cluster) dropTail(ctx context.Context, segment wal.FileName) error {
	if _, err := c.WALHeader(ctx, segment); err != nil {
		return err
	}
	pieces, err := c.tailPieces(ctx, segment)
	if err != nil {
		return err
	}
	for _, r := range pieces {
		if err := c.bucket.Delete(ctx, c.tailKey(segment, r)); err != nil {
			return err
		}
	}
	return nil
}
