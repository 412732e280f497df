package restore

import (
	"strings"
	"testing"
)

func TestTargetValidate(t *testing.T) {
	t.Parallel()
	for why, c := range map[string]struct {
		target Target
		valid  bool
	}{
		"a time":                 {Target{Kind: KindTime, Time: noon}, true},
		"no time":                {Target{Kind: KindTime}, false},
		"an LSN":                 {Target{Kind: KindLSN, LSN: 0x3000148}, true},
		"no LSN":                 {Target{Kind: KindLSN}, false},
		"a name":                 {Target{Kind: KindName, Name: "before migration"}, true},
		"no name":                {Target{Kind: KindName}, false},
		"a long name":            {Target{Kind: KindName, Name: strings.Repeat("x", 63)}, true},
		"too long a name":        {Target{Kind: KindName, Name: strings.Repeat("x", 64)}, false},
		"a name with line break": {Target{Kind: KindName, Name: "a\nb"}, false},
		"a transaction":          {Target{Kind: KindXID, XID: 742}, true},
		"one with an epoch":      {Target{Kind: KindXID, XID: 1<<32 + 742}, true},
		"the frozen one":         {Target{Kind: KindXID, XID: 2}, false},
		"immediate":              {Target{Kind: KindImmediate}, true},
		"latest":                 {Target{Kind: KindLatest}, true},
		"exclusive latest":       {Target{Kind: KindLatest, Exclusive: true}, false},
		"exclusive immediate":    {Target{Kind: KindImmediate, Exclusive: true}, false},
		"nothing":                {Target{}, false},
		"an unknown kind":        {Target{Kind: "scn"}, false},
	} {
		if err := c.target.Validate(); (err == nil) != c.valid {
			t.Errorf("%s: Validate gave %v", why, err)
		}
	}
}

func TestTargetText(t *testing.T) {
	t.Parallel()
	for want, target := range map[string]Target{
		"time 2026-11-22 12:00:00.000000+00":            {Kind: KindTime, Time: noon},
		"time 2026-11-22 12:00:00.000000+00, exclusive": {Kind: KindTime, Time: noon, Exclusive: true},
		"lsn 0/3000148": {Kind: KindLSN, LSN: 0x3000148},
		"name x":        {Kind: KindName, Name: "x"},
		"xid 742":       {Kind: KindXID, XID: 1<<32 + 742},
		"immediate":     {Kind: KindImmediate},
		"latest":        {Kind: KindLatest},
	} {
		if got := target.String(); got != want {
			t.Errorf("String of %+v = %q, want %q", target, got, want)
		}
	}
}
