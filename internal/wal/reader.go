package wal

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
)

const (
	recordHeaderSize = 24         // SizeOfXLogRecord
	maxRecordSize    = 1020 << 20 // XLogRecordMaxSize since version 16; no server ever wrote a longer one
)

// Reader walks through WAL record by record, across pages and segments, and accepts only what PostgreSQL's
// own reader accepts (xlogreader.c): page headers, the link to the record before, lengths and CRC-32C.
// A record whose rest a crash lost is passed over, as PostgreSQL does. It is not safe for concurrent use.
type Reader struct {
	pages pageWindow
	crc   *crc32.Table

	next LSN // where the next record is looked for
	last LSN // start of the last record that was returned, 0 if none

	assembled []byte // a record that crosses pages
	record    Record
}

// NewReader reads records from the source. ReadFrom or FindFrom must be called before Next. The segment size
// must be valid.
func NewReader(source PageSource, size SegmentSize) *Reader {
	return &Reader{pages: pageWindow{source: source, size: size}, crc: crc32.MakeTable(crc32.Castagnoli)}
}

// ReadFrom makes lsn, where a record starts, the place of the next record. The start of a page stands for the
// first byte behind its header.
func (r *Reader) ReadFrom(lsn LSN) {
	r.next, r.last = lsn, 0
	r.pages.forget()
}

// Page is the header of the page that was read last; the zero value before the first one.
func (r *Reader) Page() PageHeader { return r.pages.header }

// Next returns the next record, which is valid until the following call. Errors: io.EOF when the source ends
// between two records; ErrIncomplete when it ends inside one (both may be tried again when the source has
// grown); *CorruptError; or the source's own error.
func (r *Reader) Next() (*Record, error) {
	if err := r.advance(); err != nil {
		return nil, err
	}
	if err := r.record.decode(); err != nil {
		return nil, err
	}
	return &r.record, nil
}

// errOverwritten says that the record's rest was lost, and that WAL goes on at the page that was just loaded.
var errOverwritten = errors.New("record was overwritten")

// advance reads and checks the next record without taking its body apart.
func (r *Reader) advance() error {
	for {
		err := r.readRecord()
		if !errors.Is(err, errOverwritten) {
			return err
		}
		r.next = r.pages.header.Address
		r.pages.stale()
	}
}

func (r *Reader) readRecord() error {
	at, err := r.locate()
	if err != nil {
		return err
	}
	offset := int(at % PageSize)
	length := binary.LittleEndian.Uint32(r.pages.page[offset:])
	if length < recordHeaderSize || length > maxRecordSize {
		return corruptf(at, "record length %d is impossible", length)
	}
	data, end := r.pages.page[offset:], at+LSN(align8(uint64(length)))
	if int(length) > len(data) {
		if data, end, err = r.assemble(at, data, length); err != nil {
			return err
		}
	}
	return r.accept(at, end, data[:length])
}

// locate loads the page of the next record and returns where exactly the record starts.
func (r *Reader) locate() (LSN, error) {
	at := r.next
	if err := r.pages.load(at - at%PageSize); err != nil {
		return 0, err
	}
	h := &r.pages.header
	if at%PageSize == 0 {
		at += LSN(h.Size())
	}
	switch offset := int(at % PageSize); {
	case at%8 != 0 || offset < h.Size():
		return 0, corruptf(at, "no record can start here")
	case offset == h.Size() && h.Flags&FlagContinuation != 0:
		return 0, corruptf(at, "page continues a record that does not reach it")
	}
	return at, nil
}

// assemble collects a record of the given length that starts with part and goes on on the following pages.
func (r *Reader) assemble(at LSN, part []byte, length uint32) ([]byte, LSN, error) {
	r.assembled = append(r.assembled[:0], part...)
	checked := false
	for page := at - at%PageSize + PageSize; ; page += PageSize {
		if !checked && len(r.assembled) >= recordHeaderSize {
			if err := r.checkHeader(at, r.assembled); err != nil {
				return nil, 0, err
			}
			checked = true
		}
		rest, err := r.loadContinuation(at, page, length-uint32(len(r.assembled)))
		if err != nil {
			return nil, 0, err
		}
		r.assembled = append(r.assembled, rest...)
		if len(r.assembled) == int(length) {
			end := page + LSN(r.pages.header.Size()) + LSN(align8(uint64(len(rest))))
			return r.assembled, end, nil
		}
	}
}

// loadContinuation loads a page that must go on with the record at the given place and returns its share.
func (r *Reader) loadContinuation(at, page LSN, remaining uint32) ([]byte, error) {
	if err := r.pages.load(page); err != nil {
		if errors.Is(err, io.EOF) {
			return nil, ErrIncomplete
		}
		return nil, err
	}
	h := &r.pages.header
	if h.Flags&FlagOverwriteContinuation != 0 {
		return nil, errOverwritten
	}
	if h.Flags&FlagContinuation == 0 {
		return nil, corruptf(page, "page does not continue the record at %s", at)
	}
	if h.Remaining != remaining {
		return nil, corruptf(page, "page continues %d bytes, the record at %s lacks %d", h.Remaining, at, remaining)
	}
	rest := r.pages.page[h.Size():]
	return rest[:min(len(rest), int(remaining))], nil
}

// accept checks a whole record and makes it the current one.
func (r *Reader) accept(at, end LSN, data []byte) error {
	if err := r.checkHeader(at, data); err != nil {
		return err
	}
	crc := crc32.Update(0, r.crc, data[recordHeaderSize:])
	crc = crc32.Update(crc, r.crc, data[:20])
	if want := binary.LittleEndian.Uint32(data[20:]); crc != want {
		return corruptf(at, "record has CRC %08X, its header says %08X", crc, want)
	}
	r.record.setHeader(at, end, data, r.pages.header.Version)
	if r.record.Switch() {
		r.record.End = segmentEnd(end, r.pages.size)
	}
	r.next, r.last = r.record.End, at
	return nil
}

// checkHeader checks what a record's header alone shows (ValidXLogRecordHeader).
func (r *Reader) checkHeader(at LSN, header []byte) error {
	if id := RmgrID(header[17]); !id.valid(r.pages.header.Version) {
		return corruptf(at, "resource manager %d does not exist", id)
	}
	prev := LSN(binary.LittleEndian.Uint64(header[8:]))
	if r.last != 0 && prev != r.last {
		return corruptf(at, "record follows one at %s, but the one before it is at %s", prev, r.last)
	}
	if prev >= at {
		return corruptf(at, "record follows a later one at %s", prev)
	}
	return nil
}

// segmentEnd is the end of the segment that WAL before end lies in.
func segmentEnd(end LSN, size SegmentSize) LSN {
	end += LSN(size) - 1
	return end - end%LSN(size)
}

func align8(n uint64) uint64 { return (n + 7) &^ 7 }
