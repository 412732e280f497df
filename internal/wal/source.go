package wal

import (
	"errors"
	"fmt"
	"io"
)

// PageSource gives a Reader its pages.
type PageSource interface {
	// ReadPage fills page, which is PageSize bytes long, with the page that starts at lsn. It returns io.EOF
	// when the source has no such page (yet); any other error ends the reading and is passed on.
	ReadPage(lsn LSN, page []byte) error
}

// readAhead is how many bytes segmentPages asks for at once.
const readAhead = 1 << 18

// segmentPages is the PageSource of one segment file.
type segmentPages struct {
	file   io.ReaderAt
	start  LSN
	size   int64 // of the file, in bytes
	buffer []byte
	from   int64 // offset of the buffer's first byte
}

// NewSegmentPages reads the pages of one file that holds size bytes of WAL from start on, in reads of up to
// 256 KiB. A file that ends before size is an error other than io.EOF.
func NewSegmentPages(file io.ReaderAt, start LSN, size int64) PageSource {
	return &segmentPages{file: file, start: start, size: size, buffer: make([]byte, 0, readAhead)}
}

func (s *segmentPages) ReadPage(lsn LSN, page []byte) error {
	if lsn < s.start || uint64(lsn-s.start)+PageSize > uint64(s.size) {
		return io.EOF
	}
	offset := int64(lsn - s.start)
	if offset < s.from || offset+PageSize > s.from+int64(len(s.buffer)) {
		if err := s.fill(offset); err != nil {
			return err
		}
	}
	copy(page, s.buffer[offset-s.from:])
	return nil
}

func (s *segmentPages) fill(offset int64) error {
	want := int(min(readAhead, s.size-offset))
	s.buffer, s.from = s.buffer[:want], offset
	n, err := s.file.ReadAt(s.buffer, offset)
	if n == want {
		return nil
	}
	s.buffer = s.buffer[:0]
	if err == nil || errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return fmt.Errorf("read WAL page at %s: %w", s.start+LSN(offset), err)
}

// SegmentOpener opens the file that holds a segment; io.EOF when there is none (yet). A file that is an
// io.Closer is closed when the next one is opened.
type SegmentOpener func(segno SegmentNumber) (io.ReaderAt, error)

// segmentChain is the PageSource of consecutive segments.
type segmentChain struct {
	open    SegmentOpener
	size    SegmentSize
	segno   SegmentNumber
	file    io.ReaderAt
	current PageSource
}

// ChainSegments reads the pages of consecutive segments of one size. Which timeline's file holds a segment is
// the opener's decision (TimelineHistory.SegmentTimelines). The last opened file is left to the caller.
func ChainSegments(size SegmentSize, open SegmentOpener) PageSource {
	return &segmentChain{open: open, size: size}
}

func (c *segmentChain) ReadPage(lsn LSN, page []byte) error {
	segno := SegmentOf(lsn, c.size)
	if c.current == nil || segno != c.segno {
		if err := c.turnTo(segno); err != nil {
			return err
		}
	}
	return c.current.ReadPage(lsn, page)
}

func (c *segmentChain) turnTo(segno SegmentNumber) error {
	file, err := c.open(segno)
	if err != nil {
		return err
	}
	if closer, ok := c.file.(io.Closer); ok {
		if err := closer.Close(); err != nil {
			return fmt.Errorf("close WAL segment: %w", err)
		}
	}
	c.file, c.segno = file, segno
	c.current = NewSegmentPages(file, Start(segno, c.size), int64(c.size))
	return nil
}
