package manifest

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"hash"
	"io"
)

// longestLine limits the last line, which is held in memory. PostgreSQL's has about 90 bytes.
const longestLine = 1 << 20

// hashingReader hashes all lines that it passes on but the last, which holds the hash
// (verify_manifest_checksum in parse_manifest.c).
type hashingReader struct {
	in   io.Reader
	sum  hash.Hash
	line []byte // the last line so far, with its newline if it has been seen
}

func newHashingReader(in io.Reader) *hashingReader { return &hashingReader{in: in, sum: sha256.New()} }

// Read passes on what it reads. A line longer than any file's entry can be is ErrMalformed.
func (h *hashingReader) Read(p []byte) (int, error) {
	n, err := h.in.Read(p)
	if n > 0 {
		h.note(p[:n])
	}
	if len(h.line) > longestLine {
		return n, malformed("a line has more than %d bytes", longestLine)
	}
	return n, err
}

func (h *hashingReader) note(text []byte) {
	if len(h.line) > 0 && h.line[len(h.line)-1] == '\n' {
		h.sum.Write(h.line)
		h.line = h.line[:0]
	}
	// The last line begins behind the last newline that has something after it.
	if begin := bytes.LastIndexByte(text[:len(text)-1], '\n') + 1; begin > 0 {
		h.sum.Write(h.line)
		h.sum.Write(text[:begin])
		h.line, text = h.line[:0], text[begin:]
	}
	h.line = append(h.line, text...)
}

// whole says whether the last line has its newline.
func (h *hashingReader) whole() bool { return bytes.HasSuffix(h.line, []byte{'\n'}) }

// checksum is what the last line must say.
func (h *hashingReader) checksum() string { return hex.EncodeToString(h.sum.Sum(nil)) }

// drain reads what follows the document: white space only.
func drain(in io.Reader) error {
	buffer := make([]byte, 512)
	for {
		n, err := in.Read(buffer)
		if len(bytes.TrimSpace(buffer[:n])) > 0 {
			return malformed("something follows its end")
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}
