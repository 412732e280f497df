package catalog

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"sync"

	"github.com/klauspost/compress/zstd"
	"golang.org/x/sync/errgroup"
)

const (
	// pieceSize is how many compressed bytes close a piece of a dump. Stores bound the size of an object whose length is
	// not known when it begins.
	pieceSize = 256 << 20
	// piecesInFlight is how many pieces may wait for their durability, the one being written included.
	piecesInFlight = 2
	// maxPieces is what the six digits of a key can tell.
	maxPieces = 999999
	// dumpWindow is how far back the encoder looks for repetitions, in bytes.
	dumpWindow = 4 << 20
)

// DumpWriter stores one dump. It is not safe for concurrent use.
type DumpWriter struct {
	cluster   *Cluster
	id        string
	pieceSize int64
	parts     map[DumpPart][]fileSum
}

// StartDump begins a dump, in the nearest copy that can be asked. Nothing is stored yet.
func (c *Cluster) StartDump(ctx context.Context, id string) (*DumpWriter, error) {
	if err := checkID("dump", id); err != nil {
		return nil, err
	}
	if c.copies != nil {
		return ask(ctx, c.copies, func(ctx context.Context, c *Cluster) (*DumpWriter, error) {
			if err := c.Confirm(ctx); err != nil {
				return nil, err
			}
			return c.StartDump(ctx, id)
		})
	}
	return &DumpWriter{cluster: c, id: id, pieceSize: pieceSize, parts: map[DumpPart][]fileSum{}}, nil
}

// Store stores a part of the dump: compressed, cut into pieces, sealed where there are recipients, in little memory. All
// of it is durable when the error is nil. What an interrupted one leaves has no document, and expires. storage.ErrExists says
// that the id belongs to another dump.
func (w *DumpWriter) Store(ctx context.Context, part DumpPart, plain io.Reader) error {
	if part != DumpArchive && part != DumpGlobals {
		return fmt.Errorf("dump %s: part %q: %w", w.id, part, ErrName)
	}
	if w.parts[part] != nil {
		return fmt.Errorf("dump %s: its %s is stored already", w.id, part)
	}
	p := &dumpPieceWriter{writer: w, part: part, sums: map[int]fileSum{}}
	p.uploads, p.ctx = errgroup.WithContext(ctx)
	p.uploads.SetLimit(piecesInFlight)
	if err := p.storeAll(plain); err != nil {
		return fmt.Errorf("store %s of dump %s: %w", part, w.id, err)
	}
	w.parts[part] = p.inOrder()
	return nil
}

// Stored is how many bytes of a part are in the repository.
func (w *DumpWriter) Stored(part DumpPart) int64 {
	var size int64
	for _, sum := range w.parts[part] {
		size += sum.Size
	}
	return size
}

// Commit stores the document that stands for all parts, after which the dump exists. The same once more is no error. The
// body is any JSON value.
func (w *DumpWriter) Commit(ctx context.Context, body json.RawMessage) error {
	c, key := w.cluster, w.cluster.dumpKey(w.id, dumpFile)
	sealed, err := c.sealNamed(named{ID: w.id, Body: body})
	if err != nil {
		return err
	}
	line, err := encodeDocument(kindDump, dumpBody{named: sealed, Parts: w.parts})
	if err != nil {
		return err
	}
	return c.putSigned(ctx, key, line, func(stored []byte) bool {
		other, err := c.decodeDump(key, w.id, stored)
		return err == nil && maps.EqualFunc(other.Parts, w.parts, slices.Equal) && sameJSON(other.Body, body)
	})
}

// dumpPieceWriter cuts what is written to it into pieces and uploads them. It is not safe for concurrent use.
type dumpPieceWriter struct {
	writer  *DumpWriter
	part    DumpPart
	count   int // of pieces begun
	current *upload
	uploads *errgroup.Group
	ctx     context.Context // of the uploads

	mu   sync.Mutex // guards sums
	sums map[int]fileSum
}

// storeAll compresses the plain bytes into pieces, and returns when all of them are durable.
func (p *dumpPieceWriter) storeAll(plain io.Reader) error {
	err := p.compress(plain)
	if err != nil {
		p.abandon(err)
	} else {
		err = p.finishPiece()
	}
	if waited := p.uploads.Wait(); err == nil {
		err = waited
	}
	return err
}

func (p *dumpPieceWriter) compress(plain io.Reader) error {
	encoder, err := zstd.NewWriter(p, zstd.WithEncoderConcurrency(2), zstd.WithEncoderCRC(true), zstd.WithWindowSize(dumpWindow),
		zstd.WithZeroFrames(true))
	if err != nil {
		return fmt.Errorf("set up zstd: %w", err)
	}
	if _, err = io.Copy(encoder, plain); err != nil {
		encoder.Reset(nil) // so that it writes no more
		return err
	}
	return encoder.Close()
}

// Write takes compressed bytes.
func (p *dumpPieceWriter) Write(b []byte) (int, error) {
	written := 0
	for written < len(b) {
		if err := p.makeRoom(); err != nil {
			return written, err
		}
		n := int(min(int64(len(b)-written), p.writer.pieceSize-p.current.offset))
		m, err := p.current.Write(b[written : written+n])
		written += m
		if err != nil {
			return written, err
		}
	}
	return written, nil
}

// makeRoom sees to it that there is a piece to write to.
func (p *dumpPieceWriter) makeRoom() error {
	if p.current != nil && p.current.offset < p.writer.pieceSize {
		return nil
	}
	if err := p.finishPiece(); err != nil {
		return err
	}
	if err := context.Cause(p.ctx); err != nil {
		return err
	}
	if p.count == maxPieces {
		return fmt.Errorf("it has more than %d pieces", maxPieces)
	}
	number := p.count
	p.count++
	c := p.writer.cluster
	p.current = c.startUpload(p.ctx, p.uploads, c.pieceKey(p.writer.id, p.part, number), func(s stored) {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.sums[number] = s.fileSum()
	})
	return nil
}

func (p *dumpPieceWriter) finishPiece() error {
	if p.current == nil {
		return nil
	}
	err := p.current.finish()
	p.current = nil
	return err
}

func (p *dumpPieceWriter) abandon(err error) {
	if p.current != nil {
		p.current.abandon(err)
		p.current = nil
	}
}

// inOrder are the sums of all pieces, once they are durable.
func (p *dumpPieceWriter) inOrder() []fileSum {
	sums := make([]fileSum, p.count)
	for i := range sums {
		sums[i] = p.sums[i]
	}
	return sums
}
