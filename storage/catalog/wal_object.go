package catalog

import (
	"encoding/binary"
	"fmt"
	"io"
	"time"

	"lifeboat/internal/wal"
)

// The frames around the zstd frames of a WAL object; zstd skips them (RFC 8878, 3.1.2).
const (
	walHeaderMagic  = 0x184D2A5E
	walTrailerMagic = 0x184D2A5F

	skippablePrefix = 8 // bytes of magic and length before the content of a skippable frame
	walTrailerSize  = skippablePrefix + 32
)

// maxWALHeader is the longest header document of a WAL object, in bytes. A segment full of restore points, each with a
// record of at least 100 bytes in it, stays below.
const maxWALHeader = 32 << 20

// maxSmallWAL is the longest history or backup history file, in bytes.
const maxSmallWAL = 16 << 20

// WALHeader describes a file that PostgreSQL archived. It stands in front of the file's object.
type WALHeader struct {
	Name             string
	SystemIdentifier uint64
	Size             int64  // in bytes, of the file
	SHA256           string // hexadecimal, of the file
	ArchivedAt       time.Time
	Compression      Compression  // of the object's content; of no meaning where Locked
	Summary          *wal.Summary // of a segment or partial segment, nil for all else

	// Locked is why the object could not be opened: seal.ErrNoIdentity or a *seal.WrongIdentityError. Then all else is
	// what its public note says: SHA256 is empty, and the summary's restore points and tablespaces are not known. It is
	// nil where all of the header is known.
	Locked error

	history []wal.HistoryEntry // of a history file that could not be opened, without reasons
	piece   *TailRange         // of a segment, that the object holds; nil for a whole file
}

// walKind is the kinds of the documents in a WAL object.
type walKind struct{ header, note string }

// kindAt is what the object at key must be: a whole file, or a piece of a segment.
func (c *Cluster) kindAt(key string) walKind {
	if _, _, ok := c.parseTailKey(key); ok {
		return walKind{header: kindTail, note: kindSealedTail}
	}
	return walKind{header: kindWAL, note: kindSealedWAL}
}

// kind is that of the header's document.
func (h WALHeader) kind() string {
	if h.piece != nil {
		return kindTail
	}
	return kindWAL
}

// encodeWALHeader is the first frame of a WAL object.
func encodeWALHeader(h WALHeader) ([]byte, error) {
	line, err := encodeVersion(h.kind(), h.Compression.documentVersion(), h.body())
	if err != nil {
		return nil, err
	}
	if len(line) > maxWALHeader {
		return nil, fmt.Errorf("header of %s has %d bytes, more than the %d allowed", h.Name, len(line), maxWALHeader)
	}
	return skippableFrame(walHeaderMagic, line), nil
}

func skippableFrame(magic uint32, content []byte) []byte {
	frame := make([]byte, 0, skippablePrefix+len(content))
	frame = binary.LittleEndian.AppendUint32(frame, magic)
	frame = binary.LittleEndian.AppendUint32(frame, uint32(len(content)))
	return append(frame, content...)
}

// readWALHeader reads the first frame of the object at key and proves that it belongs to the file of that name. An
// error of r is returned as it is; an r that ends early is io.EOF or io.ErrUnexpectedEOF.
func (c *Cluster) readWALHeader(key string, name wal.FileName, r io.Reader) (WALHeader, error) {
	line, err := readSkippable(key, r)
	if err != nil {
		return WALHeader{}, err
	}
	var body walHeaderBody
	version, err := decodeVersion(key, c.kindAt(key).header, line, &body)
	if err != nil {
		return WALHeader{}, err
	}
	h := body.header()
	if h.Compression, err = compressionOf(key, body.Compression, version); err != nil {
		return h, err
	}
	return h, c.checkWALHeader(key, name, h)
}

func readSkippable(key string, r io.Reader) ([]byte, error) {
	var prefix [skippablePrefix]byte
	if _, err := io.ReadFull(r, prefix[:]); err != nil {
		return nil, err
	}
	if magic := binary.LittleEndian.Uint32(prefix[:]); magic != walHeaderMagic {
		return nil, damaged(key, "does not start with a WAL header but with %08X", magic)
	}
	n := binary.LittleEndian.Uint32(prefix[4:])
	if n > maxWALHeader {
		return nil, damaged(key, "header of %d bytes is longer than the %d allowed", n, maxWALHeader)
	}
	// The buffer grows with what is there, so that a damaged length cannot ask for memory.
	line, err := io.ReadAll(io.LimitReader(r, int64(n)))
	if err == nil && len(line) < int(n) {
		err = io.ErrUnexpectedEOF
	}
	return line, err
}

func (c *Cluster) checkWALHeader(key string, name wal.FileName, h WALHeader) error {
	if h.Name != name.String() {
		return damaged(key, "holds %s", h.Name)
	}
	if h.SystemIdentifier != c.identity.SystemIdentifier {
		return damaged(key, "belongs to system identifier %d", h.SystemIdentifier)
	}
	if err := c.checkStoredSize(key, name, h); err != nil {
		return &DamagedError{Key: key, Detail: "size", Err: err}
	}
	if (h.Summary != nil) != hasSummary(name.Kind) {
		return damaged(key, "a %s has a summary if and only if it holds WAL", name.Kind)
	}
	return nil
}

// checkWALSize says whether a file of that name can have the size.
func (c *Cluster) checkWALSize(name wal.FileName, size int64) error {
	most := int64(maxSmallWAL)
	if hasSummary(name.Kind) {
		most = int64(c.identity.WALSegmentSize)
	}
	if name.Kind == wal.Segment && size != most {
		return fmt.Errorf("%s has %d bytes where a segment of this cluster has %d", name, size, most)
	}
	if size < 0 || size > most {
		return fmt.Errorf("%s has %d bytes, more than the %d allowed", name, size, most)
	}
	return nil
}

// checkStoredSize says whether the object at key can hold a file of the name, or a piece of it, of the header's size.
func (c *Cluster) checkStoredSize(key string, name wal.FileName, h WALHeader) error {
	_, span, ok := c.parseTailKey(key)
	switch {
	case !ok && h.piece == nil:
		return c.checkWALSize(name, h.Size)
	case !ok || h.piece == nil || *h.piece != span:
		return fmt.Errorf("it holds another part of %s than its key says", name)
	case h.Size != span.size():
		return fmt.Errorf("%d bytes where its key says %d", h.Size, span.size())
	}
	return nil
}

// hasSummary says whether a file of the kind holds WAL, which its summary sums up.
func hasSummary(kind wal.Kind) bool { return kind == wal.Segment || kind == wal.Partial }
