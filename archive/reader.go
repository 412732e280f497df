package archive

import (
	"hash/crc32"
	"io"
)

// readSize is how much of a file is read at once, in bytes: a multiple of the page size.
const readSize = 256 << 10

// sizedReader reads a file that may change meanwhile as if it had the length that it had at first: what grew is left
// out, what was cut off reads as zeros. The WAL says what belongs there.
type sizedReader struct {
	file    io.ReaderAt
	size    int64
	offset  int64                                  // of the next chunk
	buffer  []byte                                 // readSize long
	pending []byte                                 // what Read has not handed out yet
	inspect func(chunk []byte, offset int64) error // sees every chunk, and may mend it; nil: nobody looks
	sum     uint32                                 // CRC-32C of all chunks
	table   *crc32.Table
}

// Read hands out the file's bytes, io.EOF after exactly size of them.
func (r *sizedReader) Read(p []byte) (int, error) {
	if len(r.pending) == 0 {
		if err := r.fill(); err != nil {
			return 0, err
		}
	}
	n := copy(p, r.pending)
	r.pending = r.pending[n:]
	return n, nil
}

func (r *sizedReader) fill() error {
	if r.offset >= r.size {
		return io.EOF
	}
	chunk := r.buffer[:min(int64(len(r.buffer)), r.size-r.offset)]
	if err := readPadded(r.file, chunk, r.offset); err != nil {
		return err
	}
	if r.inspect != nil {
		if err := r.inspect(chunk, r.offset); err != nil {
			return err
		}
	}
	r.sum = crc32.Update(r.sum, r.table, chunk)
	r.offset += int64(len(chunk))
	r.pending = chunk
	return nil
}

// readPadded fills p from the offset, with zeros from the end of the file on.
func readPadded(file io.ReaderAt, p []byte, offset int64) error {
	n, err := file.ReadAt(p, offset)
	if err == io.EOF {
		clear(p[n:])
		return nil
	}
	return err
}
