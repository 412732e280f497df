package catalog

import (
	"io/fs"
	"time"
)

// FrameSize is how many bytes of a file are compressed into one frame; only the last frame of a file holds fewer.
// Frames start at multiples of it, so that every page of 8 KiB lies in one frame.
const FrameSize = 256 << 10

// FileMeta describes a file or directory of the data directory.
type FileMeta struct {
	Path    string      // relative to the data directory, with slashes
	Mode    fs.FileMode // permission bits only
	ModTime time.Time   // kept to the second
	Size    int64       // in bytes; zero for a directory
}

// FileEntry is what the index says about one file or directory.
type FileEntry struct {
	FileMeta
	Directory bool
	Frames    []Frame // in the order of the file; frame i holds the bytes from i*FrameSize
}

// Frame is the place of a frame's stored bytes.
type Frame struct {
	Pack   uint32   // ordinal in the index's pack table
	Offset int64    // in bytes from the start of the pack
	Length uint32   // in bytes, as stored
	Sum    [16]byte // the first half of the SHA-256 of the stored bytes
}
