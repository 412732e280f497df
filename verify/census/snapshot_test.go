package census

import (
	"encoding/json"
	"testing"
)

func TestParseSnapshotReadsWhatPostgreSQLWrites(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"3:3:", "100:105:", "100:105:100,102,104", "4294967296:4294967300:4294967297"} {
		s, err := ParseSnapshot(text)
		if err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		if got := s.String(); got != text {
			t.Errorf("%q came back as %q", text, got)
		}
	}
}

func TestParseSnapshotRefuses(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"nothing":             "",
		"two parts":           "1:2",
		"four parts":          "1:2::",
		"zero":                "0:2:",
		"end before start":    "5:4:",
		"below the range":     "5:9:4",
		"beyond the range":    "5:9:9",
		"not ascending":       "5:9:7,6",
		"twice the same":      "5:9:6,6",
		"a stray comma":       "5:9:6,",
		"a sign":              "5:9:+6",
		"more than 64 bits":   "5:18446744073709551616:",
		"hexadecimal":         "0x5:0x9:",
		"space at the border": "5:9: 6",
	} {
		if s, err := ParseSnapshot(text); err == nil {
			t.Errorf("%s: %q was read as %v", name, text, s)
		}
	}
}

func TestSnapshotSees(t *testing.T) {
	t.Parallel()
	s := Snapshot{XMin: 100, XMax: 106, InProgress: []uint64{100, 103}}
	for xid, want := range map[uint64]bool{3: true, 99: true, 100: false, 101: true, 103: false, 105: true, 106: false, 9000: false} {
		if got := s.Sees(xid); got != want {
			t.Errorf("sees %d: %v, not %v", xid, got, want)
		}
	}
}

func TestSnapshotAddsTheEpoch(t *testing.T) {
	t.Parallel()
	const epoch = uint64(1) << 32
	for _, c := range []struct {
		name string
		xmax uint64
		xid  uint32
		want uint64
	}{
		{"first epoch", 1000, 990, 990},
		{"first epoch, later", 1000, 1100, 1100},
		{"same epoch", 5*epoch + 1000, 990, 5*epoch + 990},
		{"just before the wrap", 5*epoch + 10, 0xFFFFFFF0, 4*epoch + 0xFFFFFFF0},
		{"just after the wrap", 5*epoch - 10, 7, 5*epoch + 7},
		{"half the range back", 5*epoch + 1<<31, 1, 5*epoch + 1},
	} {
		s := Snapshot{XMin: c.xmax, XMax: c.xmax}
		if got := s.Full(c.xid); got != c.want {
			t.Errorf("%s: %d, not %d", c.name, got, c.want)
		}
	}
}

func TestSnapshotInJSON(t *testing.T) {
	t.Parallel()
	for _, want := range []Snapshot{{}, {XMin: 5, XMax: 9, InProgress: []uint64{5, 7}}} {
		text, err := json.Marshal(want)
		if err != nil {
			t.Fatal(err)
		}
		var got Snapshot
		if err := json.Unmarshal(text, &got); err != nil {
			t.Fatal(err)
		}
		if got.String() != want.String() {
			t.Errorf("%v came back as %v", want, got)
		}
	}
}

func FuzzParseSnapshot(f *testing.F) {
	f.Add("100:105:100,102")
	f.Add("3:3:")
	f.Add("9:5:")
	f.Add("::")
	f.Fuzz(func(t *testing.T, text string) {
		s, err := ParseSnapshot(text)
		if err != nil {
			return
		}
		again, err := ParseSnapshot(s.String())
		if err != nil || again.String() != s.String() {
			t.Fatalf("%q: %v, then %v (%v)", text, s, again, err)
		}
		for _, xid := range s.InProgress {
			if s.Sees(xid) {
				t.Fatalf("%q sees %d, which is in progress", text, xid)
			}
		}
	})
}
