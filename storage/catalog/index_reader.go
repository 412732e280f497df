package catalog

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"iter"
	"sort"

	"lifeboat/storage"
)

// Index reads the index of one backup, and through it the backup's frames. It holds the directory and the pack table
// in memory: some hundred bytes for each 256 KiB of entries and for each pack. It is safe for concurrent use.
type Index struct {
	cluster *Cluster
	label   string
	key     string
	ref     IndexRef
	packs   []packRef
	blocks  []blockRef
	decoder *frameDecoder
	copies  *copies // that hold the same objects; nil where there is one repository only
}

// OpenIndex reads the pack table and the directory of a backup's index, in one request. Damage is a *DamagedError; a
// sealed index that cannot be opened is seal.ErrNoIdentity or a *seal.WrongIdentityError.
func (c *Cluster) OpenIndex(ctx context.Context, rec Record) (*Index, error) {
	open := func(ctx context.Context, c *Cluster) (*Index, error) { return c.openIndex(ctx, rec) }
	if c.copies != nil {
		ix, err := ask(ctx, c.copies, open)
		if err == nil {
			ix.copies = c.copies
		}
		return ix, err
	}
	ix, err := open(ctx, c)
	if err != nil {
		return nil, fmt.Errorf("open index of backup %s: %w", rec.Label, err)
	}
	return ix, nil
}

func (c *Cluster) openIndex(ctx context.Context, rec Record) (*Index, error) {
	if err := errors.Join(checkID("backup", rec.Label), rec.Index.check()); err != nil {
		return nil, err
	}
	decoder, err := newFrameDecoder()
	if err != nil {
		return nil, err
	}
	if err := c.checkForm(c.recordKey(rec.Label), rec.Index.sealed()); err != nil {
		return nil, err
	}
	ix := &Index{cluster: c, label: rec.Label, key: c.indexKey(rec.Label), ref: rec.Index, decoder: decoder}
	return ix, ix.readSections(ctx)
}

func (ix *Index) readSections(ctx context.Context) error {
	table, directory := ix.ref.PackTable, ix.ref.Directory
	raw, err := ix.readRange(ctx, table.Offset, table.Length+directory.Length)
	if err != nil {
		return err
	}
	plain, err := ix.section(table, raw[:table.Length])
	if err != nil {
		return err
	}
	if ix.packs, err = decodePackTable(plain); err != nil {
		return &DamagedError{Key: ix.key, Detail: "pack table", Err: err}
	}
	if plain, err = ix.section(directory, raw[table.Length:]); err != nil {
		return err
	}
	if ix.blocks, err = decodeDirectory(plain, table.Offset); err != nil {
		return &DamagedError{Key: ix.key, Detail: "directory", Err: err}
	}
	return nil
}

// section checks a section against what the record says and expands it.
func (ix *Index) section(s Section, raw []byte) ([]byte, error) {
	sum := frameSum(raw)
	if hex.EncodeToString(sum[:]) != s.SHA256 {
		return nil, damaged(ix.key, "section at %d has another checksum than the record says", s.Offset)
	}
	plain, err := ix.decoder.block(raw)
	if err != nil {
		return nil, &DamagedError{Key: ix.key, Detail: fmt.Sprintf("section at %d", s.Offset), Err: err}
	}
	return plain, nil
}

// readRange reads exactly length bytes of the index.
func (ix *Index) readRange(ctx context.Context, offset, length int64) ([]byte, error) {
	r, err := ix.open(ctx, ix.key, offset, length)
	if err != nil {
		return nil, err
	}
	raw := make([]byte, length)
	_, err = io.ReadFull(r, raw)
	if err := errors.Join(noEOF(err), r.Close()); err != nil {
		return nil, fmt.Errorf("read %s: %w", ix.key, err)
	}
	return raw, nil
}

// open opens length bytes of the index or of a pack, as they were before they were sealed. The errors are those of
// openStored and openPlain.
func (ix *Index) open(ctx context.Context, key string, offset, length int64) (io.ReadCloser, error) {
	if !ix.ref.sealed() {
		return ix.cluster.openStored(ctx, key, offset, length)
	}
	return ix.cluster.openPlain(ctx, key, offset, length)
}

// Files yields every entry in the order of paths, bytewise. An error ends it. Memory: a few MiB.
func (ix *Index) Files(ctx context.Context) iter.Seq2[FileEntry, error] {
	return func(yield func(FileEntry, error) bool) {
		for blocks := ix.blocks; len(blocks) > 0; {
			n := blocksInOneRead(blocks)
			more, err := ix.yieldBlocks(ctx, blocks[:n], yield)
			if err != nil {
				yield(FileEntry{}, fmt.Errorf("read index: %w", err))
			}
			if err != nil || !more {
				return
			}
			blocks = blocks[n:]
		}
	}
}

// blocksInOneRead is how many of the foremost blocks are read with one request.
func blocksInOneRead(blocks []blockRef) int {
	const most = 4 << 20 // bytes
	n := 1
	for n < len(blocks) && blocks[n].offset+blocks[n].length-blocks[0].offset <= most {
		n++
	}
	return n
}

// yieldBlocks reads neighbouring blocks and yields their entries until the caller has enough.
func (ix *Index) yieldBlocks(ctx context.Context, blocks []blockRef, yield func(FileEntry, error) bool) (more bool, err error) {
	raw, err := ix.readBlocks(ctx, blocks)
	if err != nil {
		return false, err
	}
	for _, b := range blocks {
		entries, err := ix.decodeBlock(b, raw[b.offset-blocks[0].offset:][:b.length])
		if err != nil {
			return false, err
		}
		for _, e := range entries {
			if !yield(e, nil) {
				return false, nil
			}
		}
	}
	return true, nil
}

// readBlocks reads neighbouring blocks, from any copy whose bytes are those that the directory stands for.
func (ix *Index) readBlocks(ctx context.Context, blocks []blockRef) (raw []byte, err error) {
	start, last := blocks[0].offset, blocks[len(blocks)-1]
	err = ix.FromCopies(ctx, func(ctx context.Context, from *Index) error {
		raw, err = from.readRange(ctx, start, last.offset+last.length-start)
		for _, b := range blocks {
			if err == nil {
				err = from.checkBlock(b, raw[b.offset-start:][:b.length])
			}
		}
		return err
	})
	return raw, err
}

// checkBlock checks the stored bytes of a block against the directory.
func (ix *Index) checkBlock(b blockRef, raw []byte) error {
	if frameSum(raw) != b.sum {
		return damaged(ix.key, "block at %d has another checksum than the directory says", b.offset)
	}
	return nil
}

// decodeBlock checks a block against the directory and decodes its entries.
func (ix *Index) decodeBlock(b blockRef, raw []byte) ([]FileEntry, error) {
	if err := ix.checkBlock(b, raw); err != nil {
		return nil, err
	}
	plain, err := ix.decoder.block(raw)
	if err != nil {
		return nil, &DamagedError{Key: ix.key, Detail: fmt.Sprintf("block at %d", b.offset), Err: err}
	}
	entries, err := decodeEntries(plain, ix.packs)
	if err == nil && (len(entries) == 0 || entries[0].Path != b.first) {
		err = fmt.Errorf("it does not start with %q", b.first)
	}
	if err != nil {
		return nil, &DamagedError{Key: ix.key, Detail: fmt.Sprintf("block at %d", b.offset), Err: err}
	}
	return entries, nil
}

// decodeEntries decodes the plain bytes of a block, whose entries must be in order and lie in the packs.
func decodeEntries(plain []byte, packs []packRef) ([]FileEntry, error) {
	var entries []FileEntry
	r := entryReader{rest: plain}
	for len(r.rest) > 0 {
		e, err := r.next()
		if err != nil {
			return nil, err
		}
		if n := len(entries); n > 0 && entries[n-1].Path >= e.Path {
			return nil, fmt.Errorf("entry %q is out of order", e.Path)
		}
		if err := checkPlaces(e, packs); err != nil {
			return nil, err
		}
		entries = append(entries, e)
	}
	return entries, nil
}

func checkPlaces(e FileEntry, packs []packRef) error {
	for _, f := range e.Frames {
		if int(f.Pack) >= len(packs) || f.end() > packs[f.Pack].size {
			return fmt.Errorf("entry %q has a frame outside of its pack", e.Path)
		}
	}
	return nil
}

// File is the entry of one path, read with one request; storage.ErrNotFound where there is none.
func (ix *Index) File(ctx context.Context, path string) (FileEntry, error) {
	after := sort.Search(len(ix.blocks), func(i int) bool { return ix.blocks[i].first > path })
	if after == 0 {
		return FileEntry{}, fmt.Errorf("file %q of the backup: %w", path, storage.ErrNotFound)
	}
	b := ix.blocks[after-1]
	raw, err := ix.readBlocks(ctx, ix.blocks[after-1:after])
	if err != nil {
		return FileEntry{}, fmt.Errorf("file %q of the backup: %w", path, err)
	}
	entries, err := ix.decodeBlock(b, raw)
	if err != nil {
		return FileEntry{}, fmt.Errorf("file %q of the backup: %w", path, err)
	}
	at := sort.Search(len(entries), func(i int) bool { return entries[i].Path >= path })
	if at == len(entries) || entries[at].Path != path {
		return FileEntry{}, fmt.Errorf("file %q of the backup: %w", path, storage.ErrNotFound)
	}
	return entries[at], nil
}
