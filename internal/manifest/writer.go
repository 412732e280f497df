package manifest

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"strings"
	"unicode/utf8"
)

// Writer writes a manifest file by file, in constant memory (backup_manifest.c). It is not safe for concurrent use.
type Writer struct {
	out   *bufio.Writer
	sum   hash.Hash
	files int
	err   error // the first that happened; nothing is written after it
}

// NewWriter begins a manifest. The system identifier is used by FormatSystem only.
func NewWriter(out io.Writer, format Format, systemIdentifier uint64) *Writer {
	w := &Writer{out: bufio.NewWriter(out), sum: sha256.New()}
	w.printf("{ \"PostgreSQL-Backup-Manifest-Version\": %d,\n", format)
	if format == FormatSystem {
		w.printf("\"System-Identifier\": %d,\n", systemIdentifier)
	}
	w.printf("\"Files\": [")
	return w
}

func (w *Writer) printf(format string, args ...any) {
	text := fmt.Appendf(nil, format, args...)
	w.sum.Write(text)
	if w.err == nil {
		_, w.err = w.out.Write(text)
	}
}

// AddFile adds a file. An error, here and of Finish, is that of the underlying writer, and final.
func (w *Writer) AddFile(f File) error {
	separator := ",\n"
	if w.files == 0 {
		separator = "\n"
	}
	w.files++
	w.printf("%s{ %s, \"Size\": %d, \"Last-Modified\": \"%s\"", separator, pathField(f.Path), f.Size, f.Modified.UTC().Format(timeLayout))
	if f.Algorithm != "" {
		w.printf(", \"Checksum-Algorithm\": \"%s\", \"Checksum\": \"%x\"", f.Algorithm, f.Checksum)
	}
	w.printf(" }")
	return w.wrap()
}

// Finish adds the WAL ranges and the checksum and flushes. The underlying writer stays open.
func (w *Writer) Finish(ranges []WALRange) error {
	w.printf("\n],\n\"WAL-Ranges\": [\n")
	for i, r := range ranges {
		separator := ",\n"
		if i == 0 {
			separator = ""
		}
		w.printf("%s{ \"Timeline\": %d, \"Start-LSN\": \"%s\", \"End-LSN\": \"%s\" }", separator, r.Timeline, r.Start, r.End)
	}
	w.printf("\n],\n")
	w.printf("\"Manifest-Checksum\": \"%s\"}\n", hex.EncodeToString(w.sum.Sum(nil)))
	if w.err == nil {
		w.err = w.out.Flush()
	}
	return w.wrap()
}

func (w *Writer) wrap() error {
	if w.err != nil {
		return fmt.Errorf("write backup manifest: %w", w.err)
	}
	return nil
}

// pathField is a path's key and value. One that is not UTF-8 is written as hexadecimal digits.
func pathField(path string) string {
	if !utf8.ValidString(path) {
		return fmt.Sprintf("\"Encoded-Path\": \"%x\"", path)
	}
	return "\"Path\": " + quote(path)
}

// quote makes a JSON string (escape_json in json.c).
func quote(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for i := range len(s) {
		switch c := s[i]; {
		case c == '"' || c == '\\':
			b.WriteByte('\\')
			b.WriteByte(c)
		case c < ' ':
			fmt.Fprintf(&b, "\\u%04x", c)
		default:
			b.WriteByte(c)
		}
	}
	b.WriteByte('"')
	return b.String()
}
