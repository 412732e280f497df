package catalog

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/zstd"

	"lifeboat/storage"
)

// OpenDump opens a part of a dump, as it was given to Store. Each piece is proven to be the one that the document stands
// for before its end is passed: whoever gets io.EOF has got all, and nothing else. storage.ErrNotFound where there is no
// such dump or part; the errors of the reader are those of Dump.
func (c *Cluster) OpenDump(ctx context.Context, id string, part DumpPart) (io.ReadCloser, error) {
	if c.copies != nil {
		return ask(ctx, c.copies, func(ctx context.Context, c *Cluster) (io.ReadCloser, error) { return c.OpenDump(ctx, id, part) })
	}
	document, err := c.dump(ctx, id)
	if err != nil {
		return nil, err
	}
	if document.Parts[part] == nil {
		return nil, fmt.Errorf("dump %s: %s: %w", id, part, storage.ErrNotFound)
	}
	pieces := &dumpPieceReader{ctx: ctx, cluster: c, id: id, part: part, left: document.Parts[part], sealed: document.sealed}
	decoder, err := zstd.NewReader(pieces, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(maxWindow))
	if err != nil {
		return nil, errors.Join(fmt.Errorf("set up zstd: %w", err), pieces.Close())
	}
	return &dumpReader{decoder: decoder, pieces: pieces}, nil
}

// dumpReader gives the plain bytes of a part.
type dumpReader struct {
	decoder *zstd.Decoder
	pieces  *dumpPieceReader
}

func (r *dumpReader) Read(b []byte) (int, error) {
	n, err := r.decoder.Read(b)
	if err == nil || errors.Is(err, io.EOF) {
		return n, err
	}
	if r.pieces.err == nil || errors.Is(r.pieces.err, io.EOF) {
		return n, &DamagedError{Key: r.pieces.key(), Detail: "compressed bytes", Err: err}
	}
	return n, r.pieces.err
}

// Close ends the reading, also before its end.
func (r *dumpReader) Close() error {
	r.decoder.Close()
	return r.pieces.Close()
}

// dumpPieceReader gives what the pieces hold, one after the other.
type dumpPieceReader struct {
	ctx     context.Context // of the reads
	cluster *Cluster
	id      string
	part    DumpPart
	sealed  bool
	number  int // of the current piece, from 0
	left    []fileSum
	current *wholeObject
	err     error // that ended it
}

func (r *dumpPieceReader) key() string { return r.cluster.pieceKey(r.id, r.part, r.number) }

func (r *dumpPieceReader) Read(b []byte) (int, error) {
	for r.err == nil {
		if r.current == nil {
			r.err = r.open()
			continue
		}
		n, err := r.current.in.Read(b)
		switch {
		case errors.Is(err, io.EOF):
			r.err = r.next()
		case err != nil:
			r.err = r.current.explain(err)
		}
		if n > 0 {
			return n, nil
		}
	}
	return 0, r.err
}

func (r *dumpPieceReader) open() (err error) {
	if len(r.left) == 0 {
		return io.EOF
	}
	want := r.left[0]
	r.current, err = r.cluster.openWhole(r.ctx, r.key(), want.Size, r.sealed, want.SHA256)
	return err
}

// next proves the piece that was read, and goes on to the one behind it.
func (r *dumpPieceReader) next() error {
	if err := r.current.finish(r.left[0].SHA256); err != nil {
		return err
	}
	if err := r.Close(); err != nil {
		return err
	}
	r.left = r.left[1:]
	r.number++
	return nil
}

func (r *dumpPieceReader) Close() error {
	if r.current == nil {
		return nil
	}
	err := r.current.Close()
	r.current = nil
	return err
}

// fileSum is what was stored, as a document tells it.
func (s stored) fileSum() fileSum { return fileSum{Size: s.size, SHA256: hex.EncodeToString(s.sum[:])} }
