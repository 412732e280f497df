package wal

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
)

const (
	testSystem   = 7123456789012345678
	testSize     = MinSegmentSize
	testMagic    = 0xD110
	testTimeline = 1
)

// builder writes WAL as a server does, for tests of boundaries that a real server seldom meets.
type builder struct {
	start LSN
	data  []byte // from start on; every page that was begun has its header
	prev  LSN
}

func newBuilder(start LSN) *builder { return &builder{start: start, prev: start - 8} }

func (b *builder) at() LSN { return b.start + LSN(len(b.data)) }

// page begins a page.
func (b *builder) page(flags uint16, remaining uint32) {
	header := make([]byte, ShortHeaderSize, LongHeaderSize)
	long := b.at()%LSN(testSize) == 0
	if long {
		header = header[:LongHeaderSize]
		flags |= FlagLongHeader
		binary.LittleEndian.PutUint64(header[24:], testSystem)
		binary.LittleEndian.PutUint32(header[32:], uint32(testSize))
		binary.LittleEndian.PutUint32(header[36:], PageSize)
	}
	binary.LittleEndian.PutUint16(header, testMagic)
	binary.LittleEndian.PutUint16(header[2:], flags)
	binary.LittleEndian.PutUint32(header[4:], testTimeline)
	binary.LittleEndian.PutUint64(header[8:], uint64(b.at()))
	binary.LittleEndian.PutUint32(header[16:], remaining)
	b.data = append(b.data, header...)
}

// room is how many bytes the current page still has.
func (b *builder) room() int { return (PageSize - len(b.data)%PageSize) % PageSize }

// record appends a record with the given body and returns where it starts.
func (b *builder) record(rmgr RmgrID, info uint8, body []byte) LSN {
	if b.room() == 0 {
		b.page(0, 0)
	}
	at := b.at()
	rest := sealed(rmgr, info, b.prev, body)
	for {
		n := min(len(rest), b.room())
		b.data = append(b.data, rest[:n]...)
		if rest = rest[n:]; len(rest) == 0 {
			break
		}
		b.page(FlagContinuation, uint32(len(rest)))
	}
	b.data = append(b.data, make([]byte, align8(uint64(len(b.data)))-uint64(len(b.data)))...)
	b.prev = at
	return at
}

// sealed is a record with its header and CRC.
func sealed(rmgr RmgrID, info uint8, prev LSN, body []byte) []byte {
	data := make([]byte, recordHeaderSize, recordHeaderSize+len(body))
	data = append(data, body...)
	binary.LittleEndian.PutUint32(data, uint32(len(data)))
	binary.LittleEndian.PutUint32(data[4:], 700)
	binary.LittleEndian.PutUint64(data[8:], uint64(prev))
	data[16], data[17] = info, uint8(rmgr)
	table := crc32.MakeTable(crc32.Castagnoli)
	crc := crc32.Update(crc32.Update(0, table, data[recordHeaderSize:]), table, data[:20])
	binary.LittleEndian.PutUint32(data[20:], crc)
	return data
}

// longBody is main data of a length that needs, with its header, n bytes.
func longBody(n int) []byte {
	body := bytes.Repeat([]byte{0xAB}, n)
	body[0] = idLongData
	binary.LittleEndian.PutUint32(body[1:], uint32(n-5))
	return body
}

// commitBody is the body of a commit record without extras.
func commitBody() []byte { return []byte{idShortData, 8, 1, 2, 3, 4, 5, 6, 2, 0} }

// fill appends commit records until only left bytes of the page are free.
func (b *builder) fill(left int) {
	if b.room() == 0 {
		b.page(0, 0)
	}
	n := b.room() - left - recordHeaderSize
	b.record(15, 0, longBody(n))
}

// segment is the first segment's bytes, with zeroes behind what was written.
func (b *builder) segment() []byte {
	data := make([]byte, testSize)
	copy(data, b.data)
	return data
}

// full is a segment that is used to its end: the last record goes on in the next one.
func (b *builder) full() []byte {
	for len(b.data) < int(testSize)-2*PageSize {
		b.record(10, 0, longBody(len(b.data)%5000+50))
	}
	b.record(10, 0, longBody(4*PageSize))
	return b.segment()[:testSize]
}
