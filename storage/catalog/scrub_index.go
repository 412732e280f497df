package catalog

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"slices"

	"lifeboat/storage"
)

// checkWhole reads every byte of the index and calls visit with each entry.
func (ix *Index) checkWhole(ctx context.Context, visit func(FileEntry) error) error {
	in, err := ix.cluster.openWhole(ctx, ix.key, ix.ref.Size)
	if err != nil {
		return err
	}
	err = ix.checkParts(in, visit)
	if err == nil {
		err = in.finish(ix.ref.SHA256)
	}
	return errors.Join(err, in.Close())
}

// checkParts reads the parts of the index front to back.
func (ix *Index) checkParts(in *wholeObject, visit func(FileEntry) error) error {
	magic, err := in.take(int64(len(indexMagic)))
	if err != nil {
		return err
	}
	if string(magic) != indexMagic {
		return damaged(ix.key, "does not start as an index")
	}
	counted, err := ix.checkBlocks(in, visit)
	if err != nil {
		return err
	}
	if _, err := in.take(ix.ref.PackTable.Length + ix.ref.Directory.Length); err != nil {
		return err // both were checked when the index was opened
	}
	raw, err := in.take(footerSize)
	if err != nil {
		return err
	}
	return ix.checkFooter(raw, counted)
}

// checkBlocks reads all blocks and counts what is in them.
func (ix *Index) checkBlocks(in *wholeObject, visit func(FileEntry) error) (Totals, error) {
	counted := Totals{Blocks: int64(len(ix.blocks))}
	last := ""
	for _, b := range ix.blocks {
		raw, err := in.take(b.length)
		if err != nil {
			return counted, err
		}
		entries, err := ix.decodeBlock(b, raw)
		if err != nil {
			return counted, err
		}
		if b.first <= last {
			return counted, damaged(ix.key, "block at %d is out of order", b.offset)
		}
		last = entries[len(entries)-1].Path
		for _, e := range entries {
			counted.count(e)
			if err := visit(e); err != nil {
				return counted, err
			}
		}
	}
	return counted, nil
}

func (t *Totals) count(e FileEntry) {
	if e.Directory {
		t.Directories++
		return
	}
	t.Files++
	t.ClusterBytes += e.Size
	t.Frames += int64(len(e.Frames))
}

// checkFooter compares the footer with the record, and both with what was counted.
func (ix *Index) checkFooter(raw []byte, counted Totals) error {
	f, err := decodeFooter(raw, ix.ref.Size)
	if err != nil {
		return &DamagedError{Key: ix.key, Detail: "footer", Err: err}
	}
	counted.Packs = int64(len(ix.packs))
	counted.StoredBytes = ix.ref.Size
	for _, p := range ix.packs {
		counted.StoredBytes += p.size
	}
	if counted != ix.ref.Totals {
		return damaged(ix.key, "holds other counts than the record says")
	}
	if f.packTable.ref() != ix.ref.PackTable || f.directory.ref() != ix.ref.Directory || f.totals != ix.ref.Totals {
		return damaged(ix.key, "footer is not the one that the record describes")
	}
	return nil
}

// wholeObject reads an object of known size from its start to its end and hashes it.
type wholeObject struct {
	io.Closer
	key   string
	src   *sourceErrors
	in    *bufio.Reader // through the hash
	sum   *countingHash
	taken []byte
}

// openWhole opens an object that must have exactly size bytes; another size is a *DamagedError.
func (c *Cluster) openWhole(ctx context.Context, key string, size int64) (*wholeObject, error) {
	info, err := c.bucket.Stat(ctx, key)
	if errors.Is(err, storage.ErrNotFound) {
		return nil, damaged(key, "is missing")
	}
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", key, err)
	}
	if info.Size != size {
		return nil, damaged(key, "has %d bytes, not %d", info.Size, size)
	}
	r, err := c.openRange(ctx, key, 0, size)
	if err != nil {
		return nil, err
	}
	src := &sourceErrors{in: r}
	sum := &countingHash{in: src, hash: sha256.New()}
	return &wholeObject{Closer: r, key: key, src: src, sum: sum, in: bufio.NewReaderSize(sum, int(min(size, uploadBuffer)))}, nil
}

// take reads the next n bytes, which are valid until the next call.
func (o *wholeObject) take(n int64) ([]byte, error) {
	o.taken = slices.Grow(o.taken[:0], int(n))[:n]
	if _, err := io.ReadFull(o.in, o.taken); err != nil {
		return nil, fmt.Errorf("read %s: %w", o.key, noEOF(err))
	}
	return o.taken, nil
}

// finish makes sure that the end is reached and that all bytes were those that the hexadecimal SHA-256 stands for.
func (o *wholeObject) finish(sha string) error {
	rest, err := io.Copy(io.Discard, o.in)
	if err != nil {
		return fmt.Errorf("read %s: %w", o.key, err)
	}
	if rest > 0 {
		return damaged(o.key, "%d bytes at its end belong to nothing", rest)
	}
	sum := o.sum.stored().sum
	if hex.EncodeToString(sum[:]) != sha {
		return damaged(o.key, "has another checksum than it should")
	}
	return nil
}

// sourceErrors remembers an error of the source, to tell it from what decoders make of damaged bytes.
type sourceErrors struct {
	in  io.Reader
	err error
}

func (s *sourceErrors) Read(p []byte) (int, error) {
	n, err := s.in.Read(p)
	if err != nil && err != io.EOF {
		s.err = err
	}
	return n, err
}
