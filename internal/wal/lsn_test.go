package wal

import (
	"encoding/json"
	"testing"
)

func TestLSNRoundTrip(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		text string
		lsn  LSN
	}{
		{"0/0", 0},
		{"0/3000148", 0x3000148},
		{"1/0", 1 << 32},
		{"16/B374D848", 0x16B374D848},
		{"FFFFFFFF/FFFFFFFF", 1<<64 - 1},
	} {
		got, err := ParseLSN(c.text)
		if err != nil || got != c.lsn {
			t.Errorf("ParseLSN(%q) = %d, %v; want %d", c.text, got, err, c.lsn)
		}
		if c.lsn.String() != c.text {
			t.Errorf("String of %d = %q, want %q", c.lsn, c.lsn, c.text)
		}
	}
}

func TestLSNRefusesOtherText(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"", "/", "0", "0/", "/0", "0/123456789", "123456789/0", "0/+1", "0/0x1", "0/1 ", "0/1/2", "g/0", "-1/0"} {
		if got, err := ParseLSN(text); err == nil {
			t.Errorf("ParseLSN(%q) = %v, want an error", text, got)
		}
	}
}

func TestLSNInJSON(t *testing.T) {
	t.Parallel()
	text, err := json.Marshal(map[string]LSN{"lsn": 0x16B374D848})
	if err != nil || string(text) != `{"lsn":"16/B374D848"}` {
		t.Fatalf("marshal: %s, %v", text, err)
	}
	var back map[string]LSN
	if err := json.Unmarshal(text, &back); err != nil || back["lsn"] != 0x16B374D848 {
		t.Fatalf("unmarshal: %v, %v", back, err)
	}
}

func TestTimelineForms(t *testing.T) {
	t.Parallel()
	tli, err := ParseTimelineID("26")
	if err != nil || tli.Hex() != "0000001A" || tli.String() != "26" {
		t.Errorf("timeline 26: %v %q %v", tli, tli.Hex(), err)
	}
	for _, text := range []string{"", "0", "-1", "1A", "4294967296"} {
		if got, err := ParseTimelineID(text); err == nil {
			t.Errorf("ParseTimelineID(%q) = %v, want an error", text, got)
		}
	}
}
