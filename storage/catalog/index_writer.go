package catalog

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"fmt"

	"golang.org/x/sync/errgroup"
)

// indexWriter writes an index front to back. Memory: one block, and some sixty bytes a block for the directory.
type indexWriter struct {
	out     *upload
	encoder *frameEncoder
	plain   []byte // of the block being filled
	first   string // path of its first entry
	last    string // path of the entry before
	blocks  []blockRef
	err     error
}

// storeIndex merges what the streams have spooled into the index and returns its reference once it is durable.
func (w *BackupWriter) storeIndex(ctx context.Context) (IndexRef, error) {
	packs, err := w.packs.finished()
	if err != nil {
		return IndexRef{}, err
	}
	encoder, err := newFrameEncoder()
	if err != nil {
		return IndexRef{}, err
	}
	var result stored
	uploads, ctx := errgroup.WithContext(ctx)
	key := w.cluster.indexKey(w.started.Label)
	out := w.cluster.startUpload(ctx, uploads, key, func(s stored) { result = s })
	iw := &indexWriter{out: out, encoder: encoder}
	end, err := w.writeIndex(iw, packs)
	if err != nil {
		out.abandon(err)
	}
	if waited := uploads.Wait(); waited != nil {
		err = waited
	}
	if err != nil {
		return IndexRef{}, fmt.Errorf("store index: %w", err)
	}
	ref := end.indexRef(result)
	if w.cluster.seals() {
		ref.PlainSize = out.offset
	}
	return ref, nil
}

func (f footer) indexRef(s stored) IndexRef {
	return IndexRef{
		Size: s.size, SHA256: hex.EncodeToString(s.sum[:]),
		PackTable: f.packTable.ref(), Directory: f.directory.ref(), Totals: f.totals,
	}
}

// writeIndex writes all parts of the index.
func (w *BackupWriter) writeIndex(iw *indexWriter, packs []packRef) (footer, error) {
	iw.write([]byte(indexMagic))
	for record, err := range merged(w.spools()) {
		if err != nil {
			return footer{}, err
		}
		iw.add(record)
		if iw.err != nil {
			return footer{}, iw.err
		}
	}
	iw.endBlock()
	end := footer{packTable: iw.section(plainPackTable(packs)), directory: iw.section(iw.plainDirectory())}
	end.totals = w.totals(packs)
	end.totals.Blocks = int64(len(iw.blocks))
	end.totals.StoredBytes += iw.out.offset + footerSize
	iw.write(appendFooter(nil, end))
	if iw.err != nil {
		return footer{}, iw.err
	}
	return end, iw.out.finish()
}

func (w *BackupWriter) spools() []*spool {
	spools := make([]*spool, 0, len(w.streams))
	for _, s := range w.streams {
		spools = append(spools, s.index)
	}
	return spools
}

// totals sums up the streams and the packs.
func (w *BackupWriter) totals(packs []packRef) Totals {
	t := Totals{Packs: int64(len(packs))}
	for _, s := range w.streams {
		t.Files += s.totals.Files
		t.Directories += s.totals.Directories
		t.ClusterBytes += s.totals.ClusterBytes
		t.Frames += s.totals.Frames
	}
	for _, p := range packs {
		t.StoredBytes += p.size
	}
	return t
}

// add appends one entry; its key is the path.
func (iw *indexWriter) add(record spoolRecord) {
	path := string(record.key)
	if path == iw.last {
		iw.err = fmt.Errorf("path %q was added twice", path)
		return
	}
	if len(iw.plain)+len(path)+len(record.body) > maxBlock-binary.MaxVarintLen64 {
		iw.endBlock()
	}
	if len(iw.plain) == 0 {
		iw.first = path
	}
	iw.last = path
	iw.plain = binary.AppendUvarint(iw.plain, uint64(len(path)))
	iw.plain = append(append(iw.plain, path...), record.body...)
	if len(iw.plain) >= blockSize {
		iw.endBlock()
	}
}

// endBlock writes the block that is being filled, if there is one.
func (iw *indexWriter) endBlock() {
	if len(iw.plain) == 0 {
		return
	}
	s := iw.section(iw.plain)
	iw.blocks = append(iw.blocks, blockRef{first: iw.first, offset: s.offset, length: s.length, sum: s.sum})
	iw.plain = iw.plain[:0]
}

// section writes one compressed part of the index.
func (iw *indexWriter) section(plain []byte) section {
	bytes := iw.encoder.encode(plain)
	s := section{offset: iw.out.offset, length: int64(len(bytes)), sum: frameSum(bytes)}
	if len(plain) > maxBlock || len(bytes) > maxBlock {
		iw.err = fmt.Errorf("part of %d bytes is longer than the format allows", len(plain))
	}
	iw.write(bytes)
	return s
}

// write keeps the first error, after which nothing is written.
func (iw *indexWriter) write(p []byte) {
	if iw.err == nil {
		_, iw.err = iw.out.Write(p)
	}
}

func plainPackTable(packs []packRef) []byte {
	var plain []byte
	for _, p := range packs {
		plain = appendPackRef(plain, p)
	}
	return plain
}

func (iw *indexWriter) plainDirectory() []byte {
	var plain []byte
	for _, b := range iw.blocks {
		plain = appendBlockRef(plain, b)
	}
	return plain
}
