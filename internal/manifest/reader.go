package manifest

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"

	"lifeboat/internal/wal"
)

// Read reads a manifest of either format and calls each for every file, in the manifest's order. What each was told
// is proven only when Read returns without an error, since the checksum comes last. Memory does not grow with the
// number of files. Errors: ErrMalformed, ErrChecksum, the reader's, or that of each, which ends the reading.
func Read(in io.Reader, each func(File) error) (Manifest, error) {
	source := newHashingReader(in)
	r := reader{json: json.NewDecoder(source), each: each, seen: map[string]bool{}}
	r.json.UseNumber()
	if err := r.document(); err != nil {
		return Manifest{}, r.explain(err)
	}
	if err := drain(io.MultiReader(r.json.Buffered(), source)); err != nil {
		return Manifest{}, err
	}
	if !source.whole() {
		return Manifest{}, malformed("its last line has no end")
	}
	if got := source.checksum(); got != r.manifest.Checksum {
		return Manifest{}, fmt.Errorf("%w: %s, it says %s", ErrChecksum, got, r.manifest.Checksum)
	}
	return r.manifest, nil
}

// reader is one run of Read.
type reader struct {
	json     *json.Decoder
	each     func(File) error
	manifest Manifest
	seen     map[string]bool // keys of the document
	callback error           // what each returned
}

// explain turns the JSON decoder's errors into ErrMalformed and leaves all others.
func (r *reader) explain(err error) error {
	var syntax *json.SyntaxError
	var kind *json.UnmarshalTypeError
	switch {
	case r.callback != nil:
		return r.callback
	case errors.As(err, &syntax), errors.As(err, &kind), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	return err
}

func (r *reader) document() error {
	if err := r.expect('{'); err != nil {
		return err
	}
	for r.json.More() {
		token, err := r.json.Token()
		if err != nil {
			return err
		}
		key, _ := token.(string)
		if r.seen[key] {
			return malformed("key %q is there twice", key)
		}
		r.seen[key] = true
		if err := r.value(key); err != nil {
			return err
		}
	}
	if err := r.expect('}'); err != nil {
		return err
	}
	return r.complete()
}

func (r *reader) value(key string) error {
	switch key {
	case "PostgreSQL-Backup-Manifest-Version":
		return r.json.Decode(&r.manifest.Format)
	case "System-Identifier":
		return r.json.Decode(&r.manifest.SystemIdentifier)
	case "Files":
		return r.array(r.file)
	case "WAL-Ranges":
		return r.array(r.walRange)
	case "Manifest-Checksum":
		return r.json.Decode(&r.manifest.Checksum)
	}
	return malformed("key %q is unknown", key)
}

// complete checks that the document holds what it must.
func (r *reader) complete() error {
	for _, key := range []string{"PostgreSQL-Backup-Manifest-Version", "Files", "WAL-Ranges", "Manifest-Checksum"} {
		if !r.seen[key] {
			return malformed("key %q is missing", key)
		}
	}
	switch r.manifest.Format {
	case FormatPlain:
	case FormatSystem:
		if !r.seen["System-Identifier"] {
			return malformed("system identifier is missing")
		}
	default:
		return malformed("format %d is unknown", r.manifest.Format)
	}
	return nil
}

func (r *reader) expect(delimiter json.Delim) error {
	token, err := r.json.Token()
	if err != nil {
		return err
	}
	if token != delimiter {
		return malformed("%v stands in place of %v", token, delimiter)
	}
	return nil
}

func (r *reader) array(element func() error) error {
	if err := r.expect('['); err != nil {
		return err
	}
	for r.json.More() {
		if err := element(); err != nil {
			return err
		}
	}
	return r.expect(']')
}

// fileJSON is a file as it stands in the manifest.
type fileJSON struct {
	Path        *string `json:"Path"`
	EncodedPath *string `json:"Encoded-Path"`
	Size        *int64  `json:"Size"`
	Modified    string  `json:"Last-Modified"`
	Algorithm   string  `json:"Checksum-Algorithm"`
	Checksum    string  `json:"Checksum"`
}

func (r *reader) file() error {
	var text fileJSON
	if err := r.json.Decode(&text); err != nil {
		return err
	}
	file, err := text.file()
	if err != nil {
		return err
	}
	r.callback = r.each(file)
	return r.callback
}

func (t fileJSON) file() (File, error) {
	path, err := t.path()
	if err != nil {
		return File{}, err
	}
	if t.Size == nil || *t.Size < 0 {
		return File{}, malformed("file %q has no size", path)
	}
	if (t.Algorithm == "") != (t.Checksum == "") {
		return File{}, malformed("file %q has half a checksum", path)
	}
	checksum, err := hex.DecodeString(t.Checksum)
	if err != nil {
		return File{}, malformed("checksum of file %q: %v", path, err)
	}
	modified, err := parseTime(t.Modified)
	if err != nil {
		return File{}, malformed("time of file %q: %v", path, err)
	}
	return File{Path: path, Size: *t.Size, Modified: modified, Algorithm: Algorithm(t.Algorithm), Checksum: checksum}, nil
}

func (t fileJSON) path() (string, error) {
	switch {
	case (t.Path == nil) == (t.EncodedPath == nil):
		return "", malformed("a file has no path, or two")
	case t.Path != nil:
		return *t.Path, nil
	}
	raw, err := hex.DecodeString(*t.EncodedPath)
	if err != nil {
		return "", malformed("encoded path: %v", err)
	}
	return string(raw), nil
}

// parseTime reads a time of modification, which a manifest may leave out.
func parseTime(s string) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	return time.Parse(timeLayout, s)
}

// rangeJSON is a WAL range as it stands in the manifest.
type rangeJSON struct {
	Timeline json.Number `json:"Timeline"`
	Start    string      `json:"Start-LSN"`
	End      string      `json:"End-LSN"`
}

func (r *reader) walRange() error {
	var text rangeJSON
	if err := r.json.Decode(&text); err != nil {
		return err
	}
	timeline, err := strconv.ParseUint(text.Timeline.String(), 10, 32)
	if err != nil || timeline == 0 {
		return malformed("WAL range has timeline %q", text.Timeline)
	}
	start, startErr := wal.ParseLSN(text.Start)
	end, endErr := wal.ParseLSN(text.End)
	if err := errors.Join(startErr, endErr); err != nil {
		return malformed("WAL range: %v", err)
	}
	r.manifest.WALRanges = append(r.manifest.WALRanges, WALRange{Timeline: wal.TimelineID(timeline), Start: start, End: end})
	return nil
}
