package catalog

import (
	"context"
	"errors"
	"fmt"
	"io"
)

// FromCopies calls read with the index as each copy holds it, the nearest first, until it returns nil. An error of read
// is taken for the copy's, so that the next one follows. Where there is one repository only, it is called once.
func (ix *Index) FromCopies(ctx context.Context, read func(ctx context.Context, from *Index) error) error {
	if ix.copies == nil {
		return read(ctx, ix)
	}
	return put(ctx, ix.copies, func(ctx context.Context, c *Cluster) error {
		from := *ix
		from.cluster, from.copies = c, nil
		return read(ctx, &from)
	})
}

// ReadPack opens a range of a pack, whole frames for DecodeFrame to check and expand, which the caller closes. A sealed
// pack is opened on the way. Of several copies it is the one that the index was opened in, see FromCopies.
func (ix *Index) ReadPack(ctx context.Context, pack uint32, offset, length int64) (io.ReadCloser, error) {
	if int(pack) >= len(ix.packs) {
		return nil, fmt.Errorf("read pack %d: the backup has %d", pack, len(ix.packs))
	}
	ref := ix.packs[pack]
	if ref.label != ix.label {
		return ix.cluster.openPlain(ctx, ix.cluster.packKey(ref), offset, length) // the other backup may be sealed or not
	}
	return ix.open(ctx, ix.cluster.packKey(ref), offset, length)
}

// DecodeFrame checks the stored bytes of a frame against its sum and expands them into dst[:0], which grows where its
// capacity is below FrameSize. Damage is a *DamagedError. Whether the length is the one that the file wants is for the
// caller to check, see FileEntry.FrameRange. It is safe for concurrent use.
func (ix *Index) DecodeFrame(dst, stored []byte, f Frame) ([]byte, error) {
	if int(f.Pack) >= len(ix.packs) {
		return nil, fmt.Errorf("decode frame of pack %d: the backup has %d", f.Pack, len(ix.packs))
	}
	if frameSum(stored) != f.Sum {
		return nil, damaged(ix.cluster.packKey(ix.packs[f.Pack]), "frame at %d has another checksum than the index says", f.Offset)
	}
	plain, err := ix.decoder.frame(dst, stored)
	if err != nil {
		return nil, &DamagedError{
			Key: ix.cluster.packKey(ix.packs[f.Pack]), Detail: fmt.Sprintf("frame at %d", f.Offset), Err: err,
		}
	}
	return plain, nil
}

// ReadAt reads from a file of the backup, checking every frame that it touches: one request for the entry, and one for
// each frame. Like io.ReaderAt it returns an error with fewer than len(p) bytes, io.EOF at the end of the file.
func (ix *Index) ReadAt(ctx context.Context, path string, p []byte, off int64) (int, error) {
	e, err := ix.File(ctx, path)
	if err != nil {
		return 0, err
	}
	if off < 0 {
		return 0, fmt.Errorf("read %q at %d: negative offset", path, off)
	}
	var plain []byte
	n := 0
	for n < len(p) && off+int64(n) < e.Size {
		at := off + int64(n)
		if plain, err = ix.readFrame(ctx, e, int(at/FrameSize), plain); err != nil {
			return n, fmt.Errorf("read %q at %d: %w", path, at, err)
		}
		n += copy(p[n:], plain[at%FrameSize:])
	}
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// readFrame fetches and expands frame i of a file, from any copy where it is whole.
func (ix *Index) readFrame(ctx context.Context, e FileEntry, i int, dst []byte) (plain []byte, err error) {
	err = ix.FromCopies(ctx, func(ctx context.Context, from *Index) error {
		plain, err = from.readFrameHere(ctx, e, i, dst)
		return err
	})
	return plain, err
}

func (ix *Index) readFrameHere(ctx context.Context, e FileEntry, i int, dst []byte) ([]byte, error) {
	f := e.Frames[i]
	r, err := ix.ReadPack(ctx, f.Pack, f.Offset, int64(f.Length))
	if err != nil {
		return nil, err
	}
	bytes := make([]byte, f.Length)
	_, err = io.ReadFull(r, bytes)
	if err := errors.Join(noEOF(err), r.Close()); err != nil {
		return nil, err
	}
	plain, err := ix.DecodeFrame(dst, bytes, f)
	if err != nil {
		return nil, err
	}
	if _, want := e.FrameRange(i); len(plain) != want {
		return nil, damaged(ix.cluster.packKey(ix.packs[f.Pack]), "frame at %d holds %d bytes, not %d", f.Offset, len(plain), want)
	}
	return plain, nil
}
