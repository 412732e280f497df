package catalog

import (
	"errors"
	"fmt"
	"io"
	"os"
)

// spooledInMemory is how many bytes a byteSpool holds in memory.
const spooledInMemory = 32 << 20

// byteSpool keeps what is written to it until it is read, any number of times: the first bytes in memory, all further
// ones in a temporary file on local disk that has no name and so cannot be left behind. It is not safe for concurrent
// writing.
type byteSpool struct {
	memory []byte
	limit  int      // bytes held in memory
	file   *os.File // of what came after; nil until then
	size   int64
}

func newByteSpool() *byteSpool { return &byteSpool{limit: spooledInMemory} }

// Write takes a copy of p.
func (s *byteSpool) Write(p []byte) (int, error) {
	n := min(len(p), s.limit-len(s.memory))
	s.memory = append(s.memory, p[:n]...)
	s.size += int64(n)
	if n == len(p) {
		return n, nil
	}
	if s.file == nil {
		file, err := unnamedFile()
		if err != nil {
			return n, err
		}
		s.file = file
	}
	m, err := s.file.Write(p[n:])
	s.size += int64(m)
	if err != nil {
		err = fmt.Errorf("write spool in %s: %w", os.TempDir(), err)
	}
	return n + m, err
}

// ReadAt is io.ReaderAt.
func (s *byteSpool) ReadAt(p []byte, off int64) (int, error) {
	inMemory := int64(len(s.memory))
	n := 0
	if off < inMemory {
		n = copy(p, s.memory[off:])
	}
	if n == len(p) {
		return n, nil
	}
	if s.file == nil {
		return n, io.EOF
	}
	m, err := s.file.ReadAt(p[n:], off+int64(n)-inMemory)
	return n + m, err
}

// reader reads all that was written.
func (s *byteSpool) reader() *io.SectionReader { return io.NewSectionReader(s, 0, s.size) }

// reset makes the spool empty. Its memory stays for what is written next.
func (s *byteSpool) reset() error {
	s.memory, s.size = s.memory[:0], 0
	if s.file == nil {
		return nil
	}
	err := s.file.Close()
	s.file = nil
	return err
}

// chain is several readers of known sizes, read as one.
type chain []*io.SectionReader

// size is the sum of all sizes, in bytes.
func (c chain) size() int64 {
	var size int64
	for _, part := range c {
		size += part.Size()
	}
	return size
}

// reader reads all parts from the start.
func (c chain) reader() *io.SectionReader { return io.NewSectionReader(c, 0, c.size()) }

// ReadAt is io.ReaderAt.
func (c chain) ReadAt(p []byte, off int64) (int, error) {
	n := 0
	for _, part := range c {
		if n == len(p) {
			break
		}
		if off >= part.Size() {
			off -= part.Size()
			continue
		}
		m, err := part.ReadAt(p[n:min(int64(len(p)), int64(n)+part.Size()-off)], off)
		n += m
		if err != nil && !errors.Is(err, io.EOF) {
			return n, err
		}
		off = 0
	}
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}
