package gcs

import "testing"

func FuzzContentRange(f *testing.F) {
	for _, text := range []string{"bytes 0-9/*", "bytes 10-19/20", "bytes */20", "bytes 9-1/*", "bytes -", "bytes 0-9223372036854775807/*"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		c, err := parseContentRange(text)
		if err != nil {
			return
		}
		if c.first < 0 || c.last < c.first-1 {
			t.Fatalf("%q is read as %+v", text, c)
		}
		again, err := parseContentRange(c.String())
		if err != nil || again != c {
			t.Fatalf("%q is written as %q, which is read as %+v, %v", text, c, again, err)
		}
	})
}

func FuzzHave(f *testing.F) {
	for _, text := range []string{"", "bytes=0-41", "bytes=1-2", "bytes=0--1", "bytes=0-9223372036854775807"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if n, err := parseHave(text); err == nil && (n < 0 || (n == 0) != (text == "")) {
			t.Fatalf("%q is read as %d", text, n)
		}
	})
}
