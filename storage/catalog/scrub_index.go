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
)

// checkWhole reads every byte of the index and calls visit with each entry.
func (ix *Index) checkWhole(ctx context.Context, visit func(FileEntry) error) error {
	in, err := ix.cluster.openWhole(ctx, ix.key, ix.ref.Size, ix.ref.sealed(), ix.ref.SHA256)
	if err != nil {
		return err
	}
	err = ix.checkParts(in, visit)
	if err == nil {
		err = in.end()
	}
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
	f, err := decodeFooter(raw, ix.ref.plainSize())
	if err != nil {
		return &DamagedError{Key: ix.key, Detail: "footer", Err: err}
	}
	counted.Packs = int64(len(ix.packs))
	counted.StoredBytes = ix.ref.plainSize()
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

// wholeObject reads an object of known size from its start to its end, opens it where it is sealed, and hashes what is
// stored.
type wholeObject struct {
	io.Closer
	key   string
	src   *sourceErrors
	sum   *countingHash // of src
	in    *bufio.Reader // the plain bytes
	taken []byte
}

// openWhole opens an object that must have exactly size bytes as stored; another size is a *DamagedError. One that is
// sealed and cannot be opened is checked against the hexadecimal SHA-256 of what is stored; then the error is one of
// isLocked.
func (s *store) openWhole(ctx context.Context, key string, size int64, sealed bool, sha string) (*wholeObject, error) {
	info, err := s.bucket.Stat(ctx, key)
	if err == nil && info.Size != size {
		return nil, damaged(key, "has %d bytes, not %d", info.Size, size)
	}
	if err != nil {
		return nil, missing(key, 0, size, err)
	}
	r, err := s.openStored(ctx, key, 0, size)
	if err != nil {
		return nil, err
	}
	o := &wholeObject{Closer: r, key: key, src: &sourceErrors{in: r}}
	o.sum = &countingHash{in: o.src, hash: sha256.New()}
	plain := io.Reader(o.sum)
	if sealed {
		if plain, err = s.keys.Identities.Reader(o.sum); err != nil {
			return nil, errors.Join(o.cannotOpen(err, sha), r.Close())
		}
	}
	o.in = bufio.NewReaderSize(plain, int(min(size, uploadBuffer)))
	return o, nil
}

// cannotOpen says why a sealed object cannot be opened: it is damaged, or there is no identity for it.
func (o *wholeObject) cannotOpen(err error, sha string) error {
	if !isLocked(err) {
		return o.explain(err)
	}
	if damage := o.finish(sha); damage != nil {
		return damage
	}
	return err
}

// explain is an error of reading: that of the store, or damage.
func (o *wholeObject) explain(err error) error {
	if o.src.err != nil {
		err = o.src.err
	}
	return fmt.Errorf("read %s: %w", o.key, unsealError(o.key, err))
}

// take reads the next n bytes, which are valid until the next call.
func (o *wholeObject) take(n int64) ([]byte, error) {
	o.taken = slices.Grow(o.taken[:0], int(n))[:n]
	if _, err := io.ReadFull(o.in, o.taken); err != nil {
		return nil, o.explain(noEOF(err))
	}
	return o.taken, nil
}

// end makes sure that no plain bytes are left.
func (o *wholeObject) end() error {
	rest, err := io.Copy(io.Discard, o.in)
	if err != nil {
		return o.explain(err)
	}
	if rest > 0 {
		return damaged(o.key, "%d bytes at its end belong to nothing", rest)
	}
	return nil
}

// finish makes sure that all stored bytes were those that the hexadecimal SHA-256 stands for.
func (o *wholeObject) finish(sha string) error {
	if _, err := io.Copy(io.Discard, o.sum); err != nil {
		return o.explain(err)
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
