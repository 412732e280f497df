package catalog

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
)

// The fixed parts of an index: see FORMAT.md, "Index".
const (
	indexMagic  = "LBINDEX1"
	footerMagic = "LBINDEXF"
	footerSize  = 136
)

// blockSize is how many plain bytes of entries close a block.
const blockSize = 256 << 10

// blockRef is a block as the index's directory names it. Blocks follow each other without a gap.
type blockRef struct {
	first  string // path of its first entry
	offset int64
	length int64 // stored bytes
	sum    [16]byte
}

// appendBlockRef encodes a block for the directory.
func appendBlockRef(dst []byte, b blockRef) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(b.first)))
	dst = append(dst, b.first...)
	dst = binary.AppendUvarint(dst, uint64(b.length))
	return append(dst, b.sum[:]...)
}

// decodeDirectory reads the plain bytes of the directory. The blocks must fill the index up to end, in order of paths.
func decodeDirectory(plain []byte, end int64) ([]blockRef, error) {
	var blocks []blockRef
	offset := int64(len(indexMagic))
	r := entryReader{rest: plain}
	for len(r.rest) > 0 && r.err == nil {
		b := blockRef{offset: offset}
		b.first = string(r.bytes(r.length(maxPath, "path")))
		b.length = int64(r.length(maxBlock, "block length"))
		copy(b.sum[:], r.bytes(16))
		if len(blocks) > 0 && blocks[len(blocks)-1].first >= b.first {
			r.fail(fmt.Errorf("block of %q is out of order", b.first))
		}
		offset += b.length
		blocks = append(blocks, b)
	}
	if r.err == nil && offset != end {
		r.fail(fmt.Errorf("blocks end at %d, not at %d", offset, end))
	}
	return blocks, r.err
}

// appendPackRef encodes a pack for the pack table.
func appendPackRef(dst []byte, p packRef) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(p.label)))
	dst = append(dst, p.label...)
	dst = binary.AppendUvarint(dst, uint64(p.stream))
	dst = binary.AppendUvarint(dst, uint64(p.sequence))
	dst = binary.AppendUvarint(dst, uint64(p.size))
	return append(dst, p.sum[:]...)
}

// decodePackTable reads the plain bytes of the pack table.
func decodePackTable(plain []byte) ([]packRef, error) {
	var packs []packRef
	r := entryReader{rest: plain}
	for len(r.rest) > 0 && r.err == nil {
		p := packRef{label: string(r.bytes(r.length(maxPath, "label")))}
		p.stream = uint32(r.length(maxStreams-1, "stream"))
		p.sequence = uint32(r.length(maxSequence, "sequence"))
		p.size = int64(r.length(maxPackSize, "pack size"))
		copy(p.sum[:], r.bytes(32))
		if r.err == nil {
			r.err = p.check()
		}
		packs = append(packs, p)
	}
	return packs, r.err
}

// footer is the end of an index, which leads to all else where no record is at hand.
type footer struct {
	packTable, directory section
	totals               Totals
}

// section is a Section with its sum as bytes.
type section struct {
	offset, length int64
	sum            [16]byte
}

func (s section) ref() Section {
	return Section{Offset: s.offset, Length: s.length, SHA256: hex.EncodeToString(s.sum[:])}
}

// appendFooter encodes a footer.
func appendFooter(dst []byte, f footer) []byte {
	dst = appendSection(appendSection(dst, f.packTable), f.directory)
	t := f.totals
	for _, n := range []int64{t.Files, t.Directories, t.ClusterBytes, t.Frames, t.Packs, t.StoredBytes, t.Blocks} {
		dst = binary.LittleEndian.AppendUint64(dst, uint64(n))
	}
	dst = binary.LittleEndian.AppendUint64(dst, FrameSize)
	return append(dst, footerMagic...)
}

func appendSection(dst []byte, s section) []byte {
	dst = binary.LittleEndian.AppendUint64(dst, uint64(s.offset))
	dst = binary.LittleEndian.AppendUint64(dst, uint64(s.length))
	return append(dst, s.sum[:]...)
}

// decodeFooter reads the last footerSize bytes of an index of size bytes.
func decodeFooter(raw []byte, size int64) (footer, error) {
	var f footer
	if len(raw) != footerSize || string(raw[footerSize-len(footerMagic):]) != footerMagic {
		return f, errors.New("not the footer of an index")
	}
	f.packTable, f.directory = decodeSection(raw), decodeSection(raw[32:])
	numbers := raw[64:]
	for i, n := range []*int64{
		&f.totals.Files, &f.totals.Directories, &f.totals.ClusterBytes, &f.totals.Frames, &f.totals.Packs,
		&f.totals.StoredBytes, &f.totals.Blocks,
	} {
		*n = int64(binary.LittleEndian.Uint64(numbers[8*i:]))
	}
	if frame := binary.LittleEndian.Uint64(numbers[56:]); frame != FrameSize {
		return f, fmt.Errorf("frames of %d bytes", frame)
	}
	return f, f.check(size)
}

func decodeSection(raw []byte) section {
	return section{
		offset: int64(binary.LittleEndian.Uint64(raw)),
		length: int64(binary.LittleEndian.Uint64(raw[8:])),
		sum:    [16]byte(raw[16:32]),
	}
}

// check makes sure that the sections follow each other up to the footer.
func (f footer) check(size int64) error {
	return checkSections(f.packTable.ref(), f.directory.ref(), size)
}

func checkSections(packTable, directory Section, size int64) error {
	switch {
	case packTable.Length < 0 || packTable.Length > maxBlock || directory.Length < 0 || directory.Length > maxBlock:
		return errors.New("section of the index is longer than any")
	case packTable.Offset < int64(len(indexMagic)) || directory.Offset != packTable.Offset+packTable.Length:
		return errors.New("sections of the index do not follow each other")
	case directory.Offset+directory.Length+footerSize != size:
		return fmt.Errorf("sections of the index do not end where its %d bytes do", size)
	}
	return nil
}
