package catalog

import (
	"fmt"
	"io/fs"
	"strings"
	"time"
)

// maxFileName is the longest name of a file or directory, in bytes (NAME_MAX).
const maxFileName = 255

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

// Validate refuses an entry that a restore must not follow: its path has to lie below the data directory whatever the
// links there, and be one that can be created. The catalog keeps such entries as they are.
func (e FileEntry) Validate() error {
	if len(e.Path) > maxPath {
		return fmt.Errorf("path of %d bytes is longer than %d", len(e.Path), maxPath)
	}
	if strings.ContainsRune(e.Path, 0) {
		return fmt.Errorf("path %q holds a zero byte", e.Path)
	}
	for name := range strings.SplitSeq(e.Path, "/") {
		if name == "" || name == "." || name == ".." {
			return fmt.Errorf("path %q is not a plain relative path", e.Path)
		}
		if len(name) > maxFileName {
			return fmt.Errorf("path %q has a name longer than %d bytes", e.Path, maxFileName)
		}
	}
	return nil
}
