package catalog

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/zstd"
)

// packScrub reads one pack front to back.
type packScrub struct {
	*wholeObject
	ix    *Index
	glue  *zstd.Decoder
	at    int64
	plain []byte
}

// checkPack reads every byte of a pack: the frames of files are those of the index and decode to as many bytes as the
// files want; what lies between them are whole zstd frames; all bytes together have the pack's checksum.
func (ix *Index) checkPack(ctx context.Context, pack int, frames []placedFrame) error {
	ref := ix.packs[pack]
	sha := hex.EncodeToString(ref.sum[:])
	in, err := ix.cluster.openWhole(ctx, ix.cluster.packKey(ref), ref.size, ix.ref.sealed(), sha)
	if err != nil {
		return err
	}
	err = ix.checkPackFrames(in, ref, frames)
	if err == nil {
		err = in.finish(sha)
	}
	return errors.Join(err, in.Close())
}

func (ix *Index) checkPackFrames(in *wholeObject, ref packRef, frames []placedFrame) error {
	glue, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(maxWindow))
	if err != nil {
		return fmt.Errorf("set up zstd: %w", err)
	}
	defer glue.Close()
	p := &packScrub{wholeObject: in, ix: ix, glue: glue}
	if err := p.checkFrames(frames); err != nil {
		return err
	}
	return p.checkTail(ref.size)
}

// checkTail decodes what lies behind the last frame of a file, which ends where the pack does: a sealed one has fewer
// bytes than are stored.
func (p *packScrub) checkTail(stored int64) error {
	if _, err := p.in.Peek(1); errors.Is(err, io.EOF) {
		return nil
	} else if err != nil {
		return p.explain(err)
	}
	if err := p.checkGlue(stored); err != nil {
		return err
	}
	return p.end()
}

func (p *packScrub) checkFrames(frames []placedFrame) error {
	for i, f := range frames {
		if i > 0 && f == frames[i-1] {
			continue // two files may share a frame
		}
		if f.Offset < p.at {
			return damaged(p.ix.key, "frame at %d of %s overlaps another one", f.Offset, p.key)
		}
		if err := p.checkGlue(f.Offset); err != nil {
			return err
		}
		if err := p.checkFrame(f); err != nil {
			return err
		}
	}
	return nil
}

func (p *packScrub) checkFrame(f placedFrame) error {
	bytes, err := p.take(int64(f.Length))
	if err != nil {
		return err
	}
	p.at = f.end()
	p.plain, err = p.ix.DecodeFrame(p.plain, bytes, f.Frame)
	if err != nil {
		return err
	}
	if len(p.plain) != f.plain {
		return damaged(p.key, "frame at %d holds %d bytes, not %d", f.Offset, len(p.plain), f.plain)
	}
	return nil
}

// checkGlue decodes what lies between the frames of files, up to the offset.
func (p *packScrub) checkGlue(until int64) error {
	if p.at == until {
		return nil
	}
	between := io.LimitReader(p.in, until-p.at)
	err := p.glue.Reset(between)
	if err == nil {
		_, err = io.Copy(io.Discard, p.glue)
	}
	if p.src.err != nil {
		return p.explain(err)
	}
	if err != nil {
		return &DamagedError{Key: p.key, Detail: fmt.Sprintf("bytes from %d to %d do not decode", p.at, until), Err: err}
	}
	if left, _ := io.Copy(io.Discard, between); left > 0 {
		return damaged(p.key, "bytes from %d to %d belong to no frame", until-left, until)
	}
	p.at = until
	return nil
}
