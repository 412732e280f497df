package archive

import (
	"bytes"
	"errors"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"testing"
	"testing/iotest"
)

func newReader(file io.ReaderAt, size int64) *sizedReader {
	return &sizedReader{file: file, size: size, buffer: make([]byte, readSize), table: crc32.MakeTable(crc32.Castagnoli)}
}

func pattern(size int) []byte {
	content := make([]byte, size)
	for i := range content {
		content[i] = byte(i*7 + i>>13 + 1)
	}
	return content
}

func TestFileReadsAtTheSizeItHadAtFirst(t *testing.T) {
	t.Parallel()
	const size = 2*readSize + 12345
	content := pattern(size)
	shrunk := append(bytes.Clone(content[:readSize+100]), make([]byte, size-readSize-100)...)
	for change, c := range map[string]struct {
		to   int64
		want []byte
	}{
		"unchanged": {to: size, want: content},
		"grown":     {to: size + 99999, want: content},
		"shrunk":    {to: readSize + 100, want: shrunk},
		"emptied":   {to: 0, want: append(bytes.Clone(content[:readSize]), make([]byte, size-readSize)...)},
	} {
		t.Run(change, func(t *testing.T) {
			t.Parallel()
			r := newReader(changing(t, content), size)
			got, err := io.ReadAll(iotest.OneByteReader(io.LimitReader(r, 10)))
			if err != nil {
				t.Fatal(err)
			}
			if err := r.file.(*os.File).Truncate(c.to); err != nil { // the first chunk is read already
				t.Fatal(err)
			}
			rest, err := io.ReadAll(r)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(append(got, rest...), c.want) {
				t.Error("other bytes than expected")
			}
			if r.sum != crc32.Checksum(c.want, r.table) {
				t.Error("the sum is not that of the bytes handed out")
			}
		})
	}
}

func changing(t *testing.T, content []byte) *os.File {
	t.Helper()
	f, err := os.Create(filepath.Join(t.TempDir(), "file"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	if _, err := f.Write(content); err != nil {
		t.Fatal(err)
	}
	return f
}

func TestReadErrorIsNoEndOfFile(t *testing.T) {
	t.Parallel()
	broken := errors.New("input/output error")
	_, err := io.ReadAll(newReader(failing{broken}, 100))
	if !errors.Is(err, broken) {
		t.Errorf("error is %v", err)
	}
}

type failing struct{ err error }

func (f failing) ReadAt([]byte, int64) (int, error) { return 0, f.err }
