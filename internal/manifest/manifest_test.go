package manifest

import (
	"bytes"
	"errors"
	"io"
	"reflect"
	"strings"
	"testing"
	"testing/iotest"
	"time"
)

var (
	someFiles = []File{
		{Path: "PG_VERSION", Size: 3, Modified: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), Algorithm: CRC32C, Checksum: ChecksumOfCRC32C(0x01020304)},
		{Path: "odd \"name\"\\\n\x01é", Size: 0, Modified: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)},
		{Path: "not UTF-8 \xff", Size: 1 << 40, Modified: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), Algorithm: "SHA256", Checksum: []byte{1, 2}},
	}
	someRanges = []WALRange{{Timeline: 1, Start: 0x28, End: 0x100}, {Timeline: 27, Start: 0x100, End: 1<<32 + 0x100}}
)

func written(t testing.TB, format Format, files []File, ranges []WALRange) string {
	t.Helper()
	var out bytes.Buffer
	w := NewWriter(&out, format, 7123456789012345678)
	for _, f := range files {
		if err := w.AddFile(f); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Finish(ranges); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func TestManifestRoundTrip(t *testing.T) {
	t.Parallel()
	for format, system := range map[Format]uint64{FormatPlain: 0, FormatSystem: 7123456789012345678} {
		text := written(t, format, someFiles, someRanges)
		for name, in := range map[string]io.Reader{
			"at once":      strings.NewReader(text),
			"byte by byte": iotest.OneByteReader(strings.NewReader(text)),
			"by halves":    iotest.HalfReader(strings.NewReader(text)),
		} {
			var files []File
			m, err := Read(in, func(f File) error { files = append(files, f); return nil })
			if err != nil || m.Format != format || m.SystemIdentifier != system || !reflect.DeepEqual(m.WALRanges, someRanges) {
				t.Errorf("format %d, %s: %+v, %v", format, name, m, err)
			}
			for i := range files {
				if len(files[i].Checksum) == 0 {
					files[i].Checksum = nil
				}
			}
			if !reflect.DeepEqual(files, someFiles) {
				t.Errorf("format %d, %s: files %+v, want %+v", format, name, files, someFiles)
			}
		}
	}
}

func TestManifestWithoutFiles(t *testing.T) {
	t.Parallel()
	text := written(t, FormatPlain, nil, nil)
	if _, err := Read(strings.NewReader(text), func(File) error { return errors.New("there is a file") }); err != nil {
		t.Error(err)
	}
}

func TestFormatsOfVersions(t *testing.T) {
	t.Parallel()
	for major, want := range map[int]Format{13: FormatPlain, 16: FormatPlain, 17: FormatSystem, 18: FormatSystem} {
		if got := FormatOf(major); got != want {
			t.Errorf("version %d: format %d, want %d", major, got, want)
		}
	}
}

func TestEveryChangedByteIsFound(t *testing.T) {
	t.Parallel()
	text := written(t, FormatSystem, someFiles, someRanges)
	for i := range len(text) {
		changed := []byte(text)
		changed[i] ^= 1
		_, err := Read(bytes.NewReader(changed), func(File) error { return nil })
		if !errors.Is(err, ErrMalformed) && !errors.Is(err, ErrChecksum) {
			t.Errorf("byte %d (%q) changed: %v", i, text[i], err)
		}
	}
}

func TestDamagedManifestsAreRefused(t *testing.T) {
	t.Parallel()
	text := written(t, FormatSystem, someFiles, someRanges)
	for damage, changed := range map[string]string{
		"empty":               "",
		"cut off":             text[:len(text)/2],
		"without its end":     text[:len(text)-4],
		"something behind":    text + "{}",
		"a list":              "[]\n",
		"no files":            strings.Replace(text, `"Files"`, `"Fifes"`, 1),
		"unknown format":      strings.Replace(text, `Version": 2`, `Version": 3`, 1),
		"no identifier":       strings.Replace(text, "\"System-Identifier\": 7123456789012345678,\n", "", 1),
		"size is text":        strings.Replace(text, `"Size": 3`, `"Size": "3"`, 1),
		"negative size":       strings.Replace(text, `"Size": 3`, `"Size": -3`, 1),
		"no size":             strings.Replace(text, `"Size": 3`, `"Sise": 3`, 1),
		"half a checksum":     strings.Replace(text, `"Checksum-Algorithm": "CRC32C", `, "", 1),
		"checksum not hex":    strings.Replace(text, `"04030201"`, `"0403020x"`, 1),
		"odd time":            strings.Replace(text, "03:04:05 GMT", "03:04:05", 1),
		"path and code":       strings.Replace(text, `"Path": "PG_VERSION"`, `"Path": "PG_VERSION", "Encoded-Path": "00"`, 1),
		"no path":             strings.Replace(text, `"Path": "PG_VERSION", `, "", 1),
		"timeline 0":          strings.Replace(text, `"Timeline": 1`, `"Timeline": 0`, 1),
		"odd LSN":             strings.Replace(text, `"0/28"`, `"028"`, 1),
		"files twice":         strings.Replace(text, `"WAL-Ranges"`, `"Files": [], "WAL-Ranges"`, 1),
		"line without an end": text[:2] + strings.Repeat(" ", 2*longestLine) + text[2:],
	} {
		if changed == text {
			t.Fatalf("%s: nothing is damaged", damage)
		}
		if _, err := Read(strings.NewReader(changed), func(File) error { return nil }); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %v, want ErrMalformed", damage, err)
		}
	}
}

func TestErrorsOfOthersArePassedOn(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken")
	text := written(t, FormatPlain, someFiles, someRanges)
	if _, err := Read(strings.NewReader(text), func(File) error { return broken }); !errors.Is(err, broken) || errors.Is(err, ErrMalformed) {
		t.Errorf("callback: %v", err)
	}
	in := io.MultiReader(strings.NewReader(text[:100]), iotest.ErrReader(broken))
	if _, err := Read(in, func(File) error { return nil }); !errors.Is(err, broken) || errors.Is(err, ErrMalformed) {
		t.Errorf("reader: %v", err)
	}
	w := NewWriter(full{broken}, FormatPlain, 0)
	for range 1000 {
		_ = w.AddFile(someFiles[0]) // Finish tells
	}
	if err := w.Finish(nil); !errors.Is(err, broken) {
		t.Errorf("writer: %v", err)
	}
}

// full is a writer that takes nothing.
type full struct{ err error }

func (f full) Write([]byte) (int, error) { return 0, f.err }

func FuzzRead(f *testing.F) {
	f.Add([]byte(written(f, FormatPlain, someFiles, someRanges)))
	f.Add([]byte(written(f, FormatSystem, nil, nil)))
	f.Add([]byte("{}\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		var files []File
		m, err := Read(bytes.NewReader(text), func(f File) error { files = append(files, f); return nil })
		if err != nil {
			if !errors.Is(err, ErrMalformed) && !errors.Is(err, ErrChecksum) {
				t.Errorf("untyped error %v", err)
			}
			return
		}
		again := written(t, m.Format, files, m.WALRanges)
		if _, err := Read(strings.NewReader(again), func(File) error { return nil }); err != nil {
			t.Errorf("written again: %v", err)
		}
	})
}
