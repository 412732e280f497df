package term

import (
	"bytes"
	"testing"
	"time"
)

func TestUnitsReadAsAPersonWouldSayThem(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ got, want string }{
		{Bytes(0), "0 B"}, {Bytes(1023), "1023 B"}, {Bytes(1024), "1.00 KiB"}, {Bytes(1536 << 20), "1.50 GiB"}, {Bytes(150 << 30), "150 GiB"}, {Bytes(3 << 50), "3.00 PiB"},
		{Count(0), "0"}, {Count(999), "999"}, {Count(1000), "1,000"}, {Count(-1234567), "-1,234,567"},
		{Duration(42 * time.Millisecond), "42 ms"}, {Duration(3100 * time.Millisecond), "3.1 s"}, {Duration(245 * time.Second), "4 min 5 s"},
		{Duration(2 * time.Hour), "2 h"}, {Duration(123 * time.Minute), "2 h 3 min"}, {Duration(122 * time.Hour), "5 d 2 h"}, {Duration(-time.Minute), "-1 min"},
	} {
		if tc.got != tc.want {
			t.Errorf("%q, not %q", tc.got, tc.want)
		}
	}
}

func TestATableIsAlignedAndPlainOffATerminal(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	New(&out).Table([]Column{{Title: "check"}, {Title: "rows", Right: true}, {Title: "result"}}, [][]string{{"größe", "1", "pass"}, {"x", "1,000", "fail"}})
	want := "  check   rows  result\n  größe      1  pass\n  x      1,000  fail\n"
	if out.String() != want {
		t.Errorf("\n%s, not\n%s", out.String(), want)
	}
}

func TestProgressIsSilentOffATerminal(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	bar := New(&out).Bar(time.Now)
	bar.Show("copy", 1, 2)
	bar.Done()
	if out.Len() != 0 {
		t.Errorf("wrote %q", out.String())
	}
}

func TestProgressLineFitsItsTerminal(t *testing.T) {
	t.Parallel()
	now := time.Unix(0, 0)
	bar := &Bar{p: &Printer{tty: true, width: 40}, start: now}
	line := bar.line("a rather long description of the work", 50, 100, now.Add(time.Second))
	if got := len([]rune(line)); got >= 40 {
		t.Errorf("%d columns: %q", got, line)
	}
}
