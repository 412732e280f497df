package wal

import "encoding/binary"

// The identifiers that may stand where a block number would (xlogrecord.h).
const (
	maxBlockID    = 32 // XLR_MAX_BLOCK_ID
	idTopXID      = 252
	idOrigin      = 253
	idLongData    = 254
	idShortData   = 255
	forkMask      = 0x0F // BKPBLOCK_*
	blockHasImage = 0x10
	blockHasData  = 0x20
	blockWillInit = 0x40
	blockSameRel  = 0x80
	imageHasHole  = 0x01 // BKPIMAGE_*
	blockSize     = 8192 // BLCKSZ
)

// decoder takes the headers in a record's body apart (DecodeXLogRecord in xlogreader.c).
type decoder struct {
	record  *Record
	rest    []byte
	payload uint64 // bytes of data that the headers so far announce
	main    uint32
	bad     string
}

// decode fills in the fields that lie in the record's body. Blocks is used again from record to record.
func (r *Record) decode() error {
	r.TopXID, r.Origin, r.Blocks, r.Main = 0, 0, r.Blocks[:0], nil
	d := decoder{record: r, rest: r.body}
	for d.bad == "" && uint64(len(d.rest)) > d.payload && !d.header() {
	}
	if d.bad == "" && uint64(len(d.rest)) != d.payload {
		d.bad = "lengths in the record do not add up"
	}
	if d.bad != "" {
		return corruptf(r.LSN, "%s", d.bad)
	}
	r.Main = r.body[len(r.body)-int(d.main):]
	return nil
}

// header reads one header and says whether it was the last one.
func (d *decoder) header() (last bool) {
	switch id := d.uint8(); id {
	case idShortData:
		d.setMain(uint32(d.uint8()))
		return true
	case idLongData:
		d.setMain(d.uint32())
		return true
	case idOrigin:
		d.record.Origin = d.uint16()
	case idTopXID:
		d.record.TopXID = TransactionID(d.uint32())
	default:
		d.block(id)
	}
	return false
}

func (d *decoder) setMain(length uint32) {
	d.main = length
	d.payload += uint64(length)
}

func (d *decoder) block(id uint8) {
	blocks := d.record.Blocks
	if id > maxBlockID || len(blocks) > 0 && id <= blocks[len(blocks)-1].ID {
		d.fail("block identifier is out of order")
		return
	}
	flags := d.uint8()
	length := d.uint16()
	b := BlockRef{ID: id, Fork: Fork(flags & forkMask), HasImage: flags&blockHasImage != 0, WillInit: flags&blockWillInit != 0}
	if b.Fork > InitFork {
		d.fail("fork does not exist")
	}
	if (length != 0) != (flags&blockHasData != 0) {
		d.fail("block data and its flag disagree")
	}
	d.payload += uint64(length)
	if b.HasImage {
		b.Apply = d.image()
	}
	d.locator(&b, flags&blockSameRel != 0)
	b.Block = d.uint32()
	if d.bad == "" {
		d.record.Blocks = append(blocks, b)
	}
}

// image reads the header of a page image and says whether replay applies it.
func (d *decoder) image() (apply bool) {
	length := d.uint16()
	holeOffset := d.uint16()
	info := d.uint8()
	compressed, apply := imageFlags(info, d.record.Version)
	hole := uint16(0)
	if info&imageHasHole != 0 {
		hole = blockSize - length
		if compressed {
			hole = d.uint16()
		}
	}
	if info&imageHasHole != 0 && (holeOffset == 0 || hole == 0 || length == blockSize) {
		d.fail("page image has an impossible hole")
	}
	if !compressed && int(length)+int(hole) != blockSize {
		d.fail("page image has an impossible length")
	}
	d.payload += uint64(length)
	return apply
}

// imageFlags reads bimg_info, whose bits changed with version 15.
func imageFlags(info uint8, version Version) (compressed, apply bool) {
	if version >= 15 {
		return info&0x1C != 0, info&0x02 != 0
	}
	return info&0x02 != 0, info&0x04 != 0
}

func (d *decoder) locator(b *BlockRef, same bool) {
	if !same {
		b.Locator = RelationLocator{Tablespace: OID(d.uint32()), Database: OID(d.uint32()), Relation: OID(d.uint32())}
		return
	}
	if len(d.record.Blocks) == 0 {
		d.fail("first block has no relation")
		return
	}
	b.Locator = d.record.Blocks[len(d.record.Blocks)-1].Locator
}

func (d *decoder) fail(reason string) {
	if d.bad == "" {
		d.bad = reason
	}
}

func (d *decoder) take(n int) []byte {
	if len(d.rest) < n {
		d.fail("record is too short for its headers")
		d.rest = nil
		return make([]byte, n)
	}
	taken := d.rest[:n]
	d.rest = d.rest[n:]
	return taken
}

func (d *decoder) uint8() uint8   { return d.take(1)[0] }
func (d *decoder) uint16() uint16 { return binary.LittleEndian.Uint16(d.take(2)) }
func (d *decoder) uint32() uint32 { return binary.LittleEndian.Uint32(d.take(4)) }
