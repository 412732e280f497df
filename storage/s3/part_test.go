package s3

import (
	"strings"
	"testing"
)

func TestPartsHoldTheLargestObject(t *testing.T) {
	t.Parallel()
	const largest = 5 << 40
	for _, size := range []int64{-1, largest, largest - 1, 1 << 40, 17 << 20} {
		var total int64
		for number := 1; number <= maxParts; number++ {
			part := partSize(size, number)
			if part < minPart || part > 5<<30 || part%mebibyte != 0 || number > 1 && part < partSize(size, number-1) {
				t.Fatalf("part %d of an object of %d bytes has %d", number, size, part)
			}
			total += part
		}
		if total < largest && total < size || size < 0 && total < largest {
			t.Errorf("parts for %d bytes hold %d", size, total)
		}
	}
}

func FuzzContentRange(f *testing.F) {
	for _, seed := range []string{"bytes 0-9/10", "bytes 0-9/*", "bytes */10", "bytes 9-0/10", "bytes 0-9/10 x", "bytes -1-9/10", ""} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, header string) {
		r, err := parseContentRange(header)
		if err == nil && (r.first < 0 || r.last < r.first || r.total <= r.last || !strings.HasPrefix(strings.TrimSpace(header), "bytes")) {
			t.Errorf("%q is %+v", header, r)
		}
	})
}

func FuzzErrorDocument(f *testing.F) {
	for _, seed := range []string{"<Error><Code>x</Code></Error>", "<html>", "<a><b></a>", "", "<?xml?>", "<Error", "<a/><b/>"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, document string) {
		name, err := rootElement([]byte(document))
		if err == nil && name != "" && !strings.Contains(document, name) {
			t.Errorf("the root of %q is %q", document, name)
		}
		if text := legible(document); len([]rune(text)) > 201 || strings.ContainsAny(text, "\r\n\x00") {
			t.Errorf("%q becomes %q", document, text)
		}
	})
}
