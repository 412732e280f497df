package restore

import (
	"golang.org/x/sys/unix"

	"lifeboat/storage/catalog"
)

// The measures of work, in bytes. A unit is what one worker does at a time; a range is what it asks the repository for
// at once; a gap is what it rather reads and throws away than asks twice.
const (
	unitBytes = 16 << 20
	unitFiles = 64
	maxRange  = 8 << 20
	maxGap    = 64 << 10
)

// piece is a part of a file: some of its frames, in order.
type piece struct {
	file  *outFile
	first int // the number of the first of the frames in the file
	count int
}

// unit is the work that one worker does at a time.
type unit struct {
	pieces []piece
	bytes  int64
}

// full says that no more should be added.
func (u *unit) full() bool { return u.bytes >= unitBytes || len(u.pieces) >= unitFiles }

// split cuts a file into pieces that are no larger than a unit.
func split(file *outFile) []piece {
	const most = unitBytes / catalog.FrameSize
	pieces := []piece{}
	for first := 0; first < len(file.entry.Frames); first += most {
		pieces = append(pieces, piece{file: file, first: first, count: min(most, len(file.entry.Frames)-first)})
	}
	if len(pieces) == 0 {
		pieces = append(pieces, piece{file: file}) // an empty file is work, too
	}
	return pieces
}

func (p piece) bytes() int64 {
	if p.count == 0 {
		return 0
	}
	from, _ := p.file.entry.FrameRange(p.first)
	last, length := p.file.entry.FrameRange(p.first + p.count - 1)
	return last + int64(length) - from
}

// writeback is the size in bytes from which on it pays to have a piece written to disk at once.
const writeback = 1 << 20

// startWriteback asks the kernel to begin writing the piece, so that the sync at the end finds little left to do. It is
// advice: the sync gets every error.
func (p piece) startWriteback() {
	if p.bytes() < writeback {
		return
	}
	from, _ := p.file.entry.FrameRange(p.first)
	_ = unix.SyncFileRange(int(p.file.file.Fd()), from, p.bytes(), unix.SYNC_FILE_RANGE_WRITE)
}

// target is a frame with the place that its plain bytes go to.
type target struct {
	file  *outFile
	index int // in the file
}

func (t target) frame() catalog.Frame { return t.file.entry.Frames[t.index] }

// packRange is a stretch of one pack with frames in it.
type packRange struct {
	pack         uint32
	offset, size int64 // in bytes
	targets      []target
}

// plainBytes is how much of files the range holds.
func (r packRange) plainBytes() int64 {
	sum := int64(0)
	for _, t := range r.targets {
		_, length := t.file.entry.FrameRange(t.index)
		sum += int64(length)
	}
	return sum
}

// ranges joins the frames of a unit that lie close to each other in a pack. The order of frames is kept, so frames that
// lie anywhere are found all the same, only with more requests.
func (u *unit) ranges() []packRange {
	var list []packRange
	for _, p := range u.pieces {
		for i := p.first; i < p.first+p.count; i++ {
			t := target{file: p.file, index: i}
			if n := len(list); n == 0 || !list[n-1].extend(t) {
				f := t.frame()
				list = append(list, packRange{pack: f.Pack, offset: f.Offset, size: int64(f.Length), targets: []target{t}})
			}
		}
	}
	return list
}

// extend adds a frame that lies a little behind the range's end; false where it lies elsewhere.
func (r *packRange) extend(t target) bool {
	f := t.frame()
	gap := f.Offset - (r.offset + r.size)
	size := f.Offset + int64(f.Length) - r.offset
	if f.Pack != r.pack || gap < 0 || gap > maxGap || size > maxRange {
		return false
	}
	r.size = size
	r.targets = append(r.targets, t)
	return true
}
