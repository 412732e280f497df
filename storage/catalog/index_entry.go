package catalog

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"time"
)

// Limits of an entry, which bound what a damaged index can make a reader allocate.
const (
	maxPath     = 4096      // bytes (PATH_MAX)
	maxFileSize = 512 << 30 // bytes; the entry of such a file fills a block of the index
	minFrame    = 19        // bytes that a frame takes in an entry at least
)

// The kinds of entries in the index.
const (
	entryFile      = 0
	entryDirectory = 1
)

var errEntryShort = errors.New("entry ends early")

// appendEntryHead begins the body of an entry: all of it but the path before and the frames after it.
func appendEntryHead(dst []byte, meta FileMeta, kind byte) []byte {
	dst = append(dst, kind)
	dst = binary.AppendUvarint(dst, uint64(meta.Mode.Perm()))
	dst = binary.AppendVarint(dst, meta.ModTime.Unix())
	return binary.AppendUvarint(dst, uint64(meta.Size))
}

// appendFrame adds a frame's place, told by how far it is from the end of the frame before, mostly nothing.
func appendFrame(dst []byte, before, frame Frame) []byte {
	dst = binary.AppendVarint(dst, int64(frame.Pack)-int64(before.Pack))
	dst = binary.AppendVarint(dst, frame.Offset-before.end())
	dst = binary.AppendUvarint(dst, uint64(frame.Length))
	return append(dst, frame.Sum[:]...)
}

func (f Frame) end() int64 { return f.Offset + int64(f.Length) }

// frameCount is how many frames hold a file of this size.
func frameCount(size int64) int64 { return (size + FrameSize - 1) / FrameSize }

// FrameRange is the part of the file that frame i holds, in bytes.
func (e FileEntry) FrameRange(i int) (offset int64, length int) {
	offset = int64(i) * FrameSize
	return offset, int(min(FrameSize, e.Size-offset))
}

// entryReader takes entries off the plain bytes of a block.
type entryReader struct {
	rest []byte
	err  error
}

// next decodes the foremost entry. Its path and frames are copies.
func (r *entryReader) next() (FileEntry, error) {
	var e FileEntry
	e.Path = string(r.bytes(r.length(maxPath, "path")))
	e.Directory = r.kind() == entryDirectory
	e.Mode = fs.FileMode(r.length(uint64(fs.ModePerm), "mode"))
	e.ModTime = time.Unix(r.varint(), 0).UTC()
	e.Size = int64(r.length(maxFileSize, "size"))
	r.frames(&e)
	if r.err != nil {
		return FileEntry{}, r.err
	}
	return e, nil
}

func (r *entryReader) frames(e *FileEntry) {
	if e.Directory && e.Size != 0 {
		r.fail(fmt.Errorf("directory %q has a size", e.Path))
	}
	count := frameCount(e.Size)
	if count > int64(len(r.rest)/minFrame) {
		r.fail(errEntryShort)
	}
	if r.err != nil || count == 0 {
		return
	}
	e.Frames = make([]Frame, count)
	var before Frame
	for i := range e.Frames {
		e.Frames[i] = r.frame(before)
		before = e.Frames[i]
	}
}

func (r *entryReader) frame(before Frame) Frame {
	pack := int64(before.Pack) + r.varint()
	offset := before.end() + r.varint()
	length := r.length(maxStoredFrame, "frame length")
	sum := r.bytes(16)
	if r.err != nil {
		return Frame{}
	}
	if pack < 0 || pack > maxPacks || offset < 0 || offset > maxPackSize || length == 0 {
		r.fail(errors.New("frame lies outside of every pack"))
		return Frame{}
	}
	return Frame{Pack: uint32(pack), Offset: offset, Length: uint32(length), Sum: [16]byte(sum)}
}

func (r *entryReader) kind() byte {
	b := r.bytes(1)
	if r.err != nil {
		return entryFile
	}
	if b[0] != entryFile && b[0] != entryDirectory {
		r.fail(fmt.Errorf("entry of unknown kind %d", b[0]))
	}
	return b[0]
}

// length reads a number that may not be above limit.
func (r *entryReader) length(limit uint64, what string) uint64 {
	if r.err != nil {
		return 0
	}
	v, n := binary.Uvarint(r.rest)
	if n <= 0 {
		r.fail(errEntryShort)
		return 0
	}
	if v > limit {
		r.fail(fmt.Errorf("%s %d is above the limit of %d", what, v, limit))
		return 0
	}
	r.rest = r.rest[n:]
	return v
}

func (r *entryReader) varint() int64 {
	if r.err != nil {
		return 0
	}
	v, n := binary.Varint(r.rest)
	if n <= 0 {
		r.fail(errEntryShort)
		return 0
	}
	r.rest = r.rest[n:]
	return v
}

// bytes takes n bytes off; they are part of the block.
func (r *entryReader) bytes(n uint64) []byte {
	if r.err == nil && n > uint64(len(r.rest)) {
		r.fail(errEntryShort)
	}
	if r.err != nil {
		return nil
	}
	taken := r.rest[:n]
	r.rest = r.rest[n:]
	return taken
}

// fail keeps the first error.
func (r *entryReader) fail(err error) {
	if r.err == nil {
		r.err = err
	}
}
