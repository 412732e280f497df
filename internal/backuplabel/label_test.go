package backuplabel

import (
	"errors"
	"slices"
	"strings"
	"testing"
)

const label = `START WAL LOCATION: 0/2000028 (file 000000010000000000000002)
CHECKPOINT LOCATION: 0/2000060
BACKUP METHOD: streamed
BACKUP FROM: primary
START TIME: 2026-11-22 10:00:00 UTC
LABEL: a: label
START TIMELINE: 11
`

func TestALabelIsRead(t *testing.T) {
	t.Parallel()
	got, err := Parse([]byte(label))
	want := Label{StartLSN: 0x2000028, StartSegment: "000000010000000000000002", CheckpointLSN: 0x2000060, Method: "streamed",
		From: "primary", StartTime: "2026-11-22 10:00:00 UTC", Label: "a: label", StartTimeline: 11}
	if err != nil || got != want {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestAnIncrementalLabelNamesItsBase(t *testing.T) {
	t.Parallel()
	got, err := Parse([]byte(label + "INCREMENTAL FROM LSN: 1/28\nINCREMENTAL FROM TLI: 1\n"))
	if err != nil || got.IncrementalFrom != 0x100000028 {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestABrokenLabelIsRefused(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"empty": "", "no start": strings.Join(strings.SplitAfter(label, "\n")[1:], ""), "cut line": label[:20],
		"bad LSN": strings.Replace(label, "0/2000060", "0-2000060", 1), "no file": strings.Replace(label, " (file ", " ", 1),
		"bad timeline": strings.Replace(label, ": 11", ": x", 1), "timeline 0": strings.Replace(label, ": 11", ": 0", 1),
	} {
		if got, err := Parse([]byte(text)); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
}

func TestTablespacePathsAreUnescaped(t *testing.T) {
	t.Parallel()
	got, err := ParseTablespaceMap([]byte("16384 /ts/a b\n16385 /ts/new\\\nline \\\\ end\n"))
	want := []Tablespace{{16384, "/ts/a b"}, {16385, "/ts/new\nline \\ end"}}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("%+v, %v", got, err)
	}
	if got, err := ParseTablespaceMap(nil); err != nil || len(got) != 0 {
		t.Errorf("empty: %+v, %v", got, err)
	}
	for _, text := range []string{"x /a\n", "16384\n", "16384 \n", "99999999999 /a\n"} {
		if got, err := ParseTablespaceMap([]byte(text)); !errors.Is(err, ErrMalformed) {
			t.Errorf("%q: %+v, %v", text, got, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(label))
	f.Fuzz(func(t *testing.T, text []byte) {
		if l, err := Parse(text); err == nil && l.StartLSN == 0 {
			t.Error("a label without a start was accepted")
		}
	})
}

func FuzzParseTablespaceMap(f *testing.F) {
	f.Add([]byte("16384 /a\\\nb\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		list, err := ParseTablespaceMap(text)
		if err != nil && list != nil {
			t.Error("both a list and an error")
		}
	})
}
