package wal

import (
	"encoding/binary"
	"fmt"
)

// PageSize is the size of a WAL page in bytes (XLOG_BLCKSZ). Servers built with another size are not read.
const PageSize = 8192

// The sizes of page headers in bytes (SizeOfXLogShortPHD, SizeOfXLogLongPHD).
const (
	ShortHeaderSize = 24
	LongHeaderSize  = 40
)

// The flags of PageHeader.Flags (XLP_* in xlog_internal.h of the versions 13 to 18).
const (
	FlagContinuation          uint16 = 0x0001 // the page starts with the rest of a record
	FlagLongHeader            uint16 = 0x0002
	FlagBackupRemovable       uint16 = 0x0004
	FlagOverwriteContinuation uint16 = 0x0008 // the rest of the record before was lost in a crash
	allPageFlags              uint16 = 0x000F
)

// PageHeader is the header of a WAL page (XLogPageHeaderData, XLogLongPageHeaderData). The last three fields
// are only in a long header, which the first page of every segment has.
type PageHeader struct {
	Version   Version
	Flags     uint16
	Timeline  TimelineID // of the first record on the page
	Address   LSN        // of the page itself
	Remaining uint32     // bytes of a record that started on an earlier page

	SystemIdentifier uint64
	SegmentSize      SegmentSize
	BlockSize        uint32
}

// Long says whether the page has a long header.
func (h PageHeader) Long() bool { return h.Flags&FlagLongHeader != 0 }

// Size is the length of the header in bytes.
func (h PageHeader) Size() int {
	if h.Long() {
		return LongHeaderSize
	}
	return ShortHeaderSize
}

// ParsePageHeader reads the header at the start of page, which must hold at least LongHeaderSize bytes. It
// checks what can be checked without knowing the place: magic, flags, and a long header's sizes
// (XLogReaderValidatePageHeader in xlogreader.c). The first page of a segment file tells the cluster, the
// segment size and the version that it belongs to.
func ParsePageHeader(page []byte) (PageHeader, error) {
	var h PageHeader
	if reason := h.parse(page); reason != "" {
		return PageHeader{}, fmt.Errorf("parse WAL page header: %s", reason)
	}
	return h, nil
}

func (h *PageHeader) parse(page []byte) string {
	if len(page) < LongHeaderSize {
		return "the page is too short"
	}
	magic := binary.LittleEndian.Uint16(page)
	version, ok := versionOfMagic(magic)
	if !ok {
		return fmt.Sprintf("page magic %04X is of no version from %d to %d", magic, OldestVersion, NewestVersion)
	}
	*h = PageHeader{
		Version:   version,
		Flags:     binary.LittleEndian.Uint16(page[2:]),
		Timeline:  TimelineID(binary.LittleEndian.Uint32(page[4:])),
		Address:   LSN(binary.LittleEndian.Uint64(page[8:])),
		Remaining: binary.LittleEndian.Uint32(page[16:]),
	}
	if h.Flags&^allPageFlags != 0 {
		return fmt.Sprintf("page flags %04X are unknown", h.Flags)
	}
	if h.Timeline == 0 {
		return "page has timeline 0"
	}
	if h.Long() {
		return h.parseLong(page)
	}
	return ""
}

func (h *PageHeader) parseLong(page []byte) string {
	h.SystemIdentifier = binary.LittleEndian.Uint64(page[24:])
	h.SegmentSize = SegmentSize(binary.LittleEndian.Uint32(page[32:]))
	h.BlockSize = binary.LittleEndian.Uint32(page[36:])
	if !h.SegmentSize.Valid() {
		return fmt.Sprintf("segment size %d in the page header is not valid", h.SegmentSize)
	}
	if h.BlockSize != PageSize {
		return fmt.Sprintf("WAL block size is %d, only %d is supported", h.BlockSize, PageSize)
	}
	return ""
}
