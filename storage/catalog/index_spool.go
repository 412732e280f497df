package catalog

import (
	"bufio"
	"bytes"
	"container/heap"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"slices"
)

const (
	// spoolMemory is how many bytes of records a spool holds before it writes them out as a sorted run.
	spoolMemory = 4 << 20
	// spoolReadBuffer is the memory of each run while runs are merged.
	spoolReadBuffer = 32 << 10
)

// spool sorts any number of records by their keys in bounded memory: it writes sorted runs to a temporary file on local
// disk, which has no name and so cannot be left behind, and spools are merged when all records are known. It is not
// safe for concurrent use.
type spool struct {
	memory  int // bytes held before a run is written
	buffer  []byte
	pending []spooled
	file    *os.File // nil until the first run
	size    int64
	runs    []spoolRun
}

// spooled is where a record lies in the buffer.
type spooled struct{ key, body, end int }

// spoolRun is where a sorted run lies in the file.
type spoolRun struct{ offset, length int64 }

func newSpool() *spool { return &spool{memory: spoolMemory} }

// add takes a copy of the record.
func (s *spool) add(key, body []byte) error {
	if len(s.buffer) > 0 && len(s.buffer)+len(key)+len(body) > s.memory {
		if err := s.spill(); err != nil {
			return err
		}
	}
	at := len(s.buffer)
	s.buffer = append(append(s.buffer, key...), body...)
	s.pending = append(s.pending, spooled{key: at, body: at + len(key), end: len(s.buffer)})
	return nil
}

// spill writes what is in memory as a sorted run.
func (s *spool) spill() error {
	if len(s.pending) == 0 {
		return nil
	}
	if err := s.open(); err != nil {
		return err
	}
	slices.SortFunc(s.pending, func(a, b spooled) int {
		return bytes.Compare(s.buffer[a.key:a.body], s.buffer[b.key:b.body])
	})
	length, err := s.writeRun()
	if err != nil {
		return fmt.Errorf("write spool in %s: %w", os.TempDir(), err)
	}
	s.runs = append(s.runs, spoolRun{offset: s.size, length: length})
	s.size += length
	s.buffer, s.pending = s.buffer[:0], s.pending[:0]
	return nil
}

func (s *spool) open() (err error) {
	if s.file == nil {
		s.file, err = unnamedFile()
	}
	return err
}

// unnamedFile makes a temporary file that has no name and so cannot be left behind.
func unnamedFile() (*os.File, error) {
	file, err := os.CreateTemp("", "lifeboat-*")
	if err != nil {
		return nil, fmt.Errorf("create temporary file: %w", err)
	}
	if err := os.Remove(file.Name()); err != nil {
		return nil, errors.Join(fmt.Errorf("unlink temporary file: %w", err), file.Close())
	}
	return file, nil
}

func (s *spool) writeRun() (int64, error) {
	out := bufio.NewWriterSize(io.NewOffsetWriter(s.file, s.size), 256<<10)
	var length int64
	var head [2 * binary.MaxVarintLen64]byte
	for _, p := range s.pending {
		n := binary.PutUvarint(head[:], uint64(p.body-p.key))
		n += binary.PutUvarint(head[n:], uint64(p.end-p.body))
		length += int64(n + p.end - p.key)
		if _, err := out.Write(head[:n]); err != nil {
			return 0, err
		}
		if _, err := out.Write(s.buffer[p.key:p.end]); err != nil {
			return 0, err
		}
	}
	return length, out.Flush()
}

// close frees the temporary file. Closing twice is harmless.
func (s *spool) close() {
	s.buffer, s.pending, s.runs = nil, nil, nil
	if s.file != nil {
		_ = s.file.Close() // nothing in it is needed any more
		s.file = nil
	}
}

// spoolRecord is one record of a merge; its slices are valid until the next one is asked for.
type spoolRecord struct{ key, body []byte }

// merged yields the records of all spools in the order of their keys. The spools can take no more records then.
func merged(spools []*spool) iter.Seq2[spoolRecord, error] {
	return func(yield func(spoolRecord, error) bool) {
		merge, err := startMerge(spools)
		for err == nil && len(merge) > 0 {
			if !yield(merge[0].record, nil) {
				return
			}
			err = merge.advance()
		}
		if err != nil {
			yield(spoolRecord{}, fmt.Errorf("read spool: %w", err))
		}
	}
}

// spoolMerge is a heap of runs, ordered by the record at the front of each.
type spoolMerge []*runReader

func startMerge(spools []*spool) (spoolMerge, error) {
	var merge spoolMerge
	for _, s := range spools {
		if err := s.spill(); err != nil {
			return nil, err
		}
		for _, run := range s.runs {
			section := io.NewSectionReader(s.file, run.offset, run.length)
			reader := &runReader{in: bufio.NewReaderSize(section, spoolReadBuffer)}
			if err := reader.next(); err != nil {
				return nil, err
			}
			merge = append(merge, reader)
		}
	}
	heap.Init(&merge)
	return merge, nil
}

// advance moves the foremost run on to its next record.
func (m *spoolMerge) advance() error {
	err := (*m)[0].next()
	if errors.Is(err, io.EOF) {
		heap.Pop(m)
		return nil
	}
	if err != nil {
		return err
	}
	heap.Fix(m, 0)
	return nil
}

// Len, Less, Swap, Push and Pop are heap.Interface.
func (m spoolMerge) Len() int { return len(m) }

// Less is the order of keys.
func (m spoolMerge) Less(i, j int) bool {
	return bytes.Compare(m[i].record.key, m[j].record.key) < 0
}

// Swap exchanges two runs.
func (m spoolMerge) Swap(i, j int) { m[i], m[j] = m[j], m[i] }

// Push is never called: runs only leave the heap.
func (m *spoolMerge) Push(x any) { *m = append(*m, x.(*runReader)) }

// Pop takes the last run off.
func (m *spoolMerge) Pop() any {
	last := (*m)[len(*m)-1]
	*m = (*m)[:len(*m)-1]
	return last
}

// runReader reads one run from its start.
type runReader struct {
	in     *bufio.Reader
	buffer []byte
	record spoolRecord
}

// next reads the following record, or returns io.EOF at the end of the run.
func (r *runReader) next() error {
	key, err := binary.ReadUvarint(r.in)
	if err != nil {
		return err
	}
	body, err := binary.ReadUvarint(r.in)
	if err != nil {
		return noEOF(err)
	}
	r.buffer = slices.Grow(r.buffer[:0], int(key+body))[:key+body]
	if _, err := io.ReadFull(r.in, r.buffer); err != nil {
		return noEOF(err)
	}
	r.record = spoolRecord{key: r.buffer[:key], body: r.buffer[key:]}
	return nil
}

// noEOF makes the end of the input an error where more was due.
func noEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
