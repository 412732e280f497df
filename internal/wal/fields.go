package wal

import (
	"bytes"
	"encoding/binary"
	"time"
)

// fields reads the main data of a record from front to back. Reading beyond the end gives zeroes and sets short.
type fields struct {
	rest  []byte
	short bool
}

func (f *fields) take(n int) []byte {
	if n < 0 || len(f.rest) < n {
		f.rest, f.short = nil, true
		return nil
	}
	taken := f.rest[:n]
	f.rest = f.rest[n:]
	return taken
}

func (f *fields) skip(n int) { f.take(n) }

func (f *fields) uint16() uint16 {
	if b := f.take(2); b != nil {
		return binary.LittleEndian.Uint16(b)
	}
	return 0
}

func (f *fields) uint32() uint32 {
	if b := f.take(4); b != nil {
		return binary.LittleEndian.Uint32(b)
	}
	return 0
}

func (f *fields) uint64() uint64 {
	if b := f.take(8); b != nil {
		return binary.LittleEndian.Uint64(b)
	}
	return 0
}

func (f *fields) lsn() LSN { return LSN(f.uint64()) }

// timestamp reads a TimestampTz: microseconds since 2000-01-01 UTC.
func (f *fields) timestamp() time.Time {
	const postgresEpoch = 946684800
	return time.UnixMicro(int64(f.uint64()) + postgresEpoch*1e6).UTC()
}

func (f *fields) locator() RelationLocator {
	return RelationLocator{Tablespace: OID(f.uint32()), Database: OID(f.uint32()), Relation: OID(f.uint32())}
}

// text reads up to a NUL, which need not be there at the very end.
func (f *fields) text() string {
	s, rest, _ := bytes.Cut(f.rest, []byte{0})
	f.rest = rest
	return string(s)
}

// array is the data of count elements; nil, and short, when they cannot all be there.
func (f *fields) array(count, elementSize int) []byte {
	if count < 0 || count > len(f.rest)/elementSize {
		f.rest, f.short = nil, true
		return nil
	}
	return f.take(count * elementSize)
}

func (f *fields) transactions(count int) []TransactionID {
	data := fields{rest: f.array(count, 4)}
	var xids []TransactionID
	for len(data.rest) > 0 {
		xids = append(xids, TransactionID(data.uint32()))
	}
	return xids
}

func (f *fields) locators(count int) []RelationLocator {
	data := fields{rest: f.array(count, 12)}
	var locators []RelationLocator
	for len(data.rest) > 0 {
		locators = append(locators, data.locator())
	}
	return locators
}
