package instance

import (
	"strings"
	"testing"

	"lifeboat/verify/census"
)

func at(value int64) *int64 { return &value }

func TestNoSequenceMayBeBehind(t *testing.T) {
	t.Parallel()
	up := census.Sequence{OID: 7, Schema: "public", Name: "numbers", Increment: 1, Last: at(100)}
	down := census.Sequence{OID: 7, Schema: "public", Name: "numbers", Increment: -2, Last: at(-100)}
	unasked := census.Sequence{OID: 7, Schema: "public", Name: "numbers", Increment: 1}
	for name, tc := range map[string]struct {
		expected census.Sequence
		restored map[uint32]*int64
		kind     census.Comparison
		want     Result
		says     string
	}{
		"as it was":               {up, map[uint32]*int64{7: at(100)}, census.Exact, Pass, "1 sequence, none behind"},
		"ahead":                   {up, map[uint32]*int64{7: at(132)}, census.Exact, Pass, "none behind"},
		"behind":                  {up, map[uint32]*int64{7: at(99)}, census.Exact, Fail, `"public"."numbers" stands at 99, behind 100`},
		"ahead on its way down":   {down, map[uint32]*int64{7: at(-164)}, census.Exact, Pass, "none behind"},
		"behind on its way down":  {down, map[uint32]*int64{7: at(-98)}, census.Exact, Fail, "stands at -98, behind -100"},
		"asked for nothing":       {up, map[uint32]*int64{7: nil}, census.Exact, Fail, "has given nothing, and had given 100"},
		"gone":                    {up, map[uint32]*int64{}, census.Exact, Fail, "is missing"},
		"not comparable":          {unasked, map[uint32]*int64{7: nil}, census.Exact, Pass, "1 of them had given nothing"},
		"not comparable but gone": {unasked, map[uint32]*int64{}, census.Exact, Fail, "is missing"},
		"behind, inexactly":       {up, map[uint32]*int64{7: at(99)}, census.Tolerant, Unproven, "the comparison is not exact"},
	} {
		f := compareSequences([]census.Sequence{tc.expected}, tc.restored, tc.kind)
		if f.Result != tc.want || !strings.Contains(f.Detail, tc.says) {
			t.Errorf("%s: %s: %s; want %s and %q", name, f.Result, f.Detail, tc.want, tc.says)
		}
	}
}

func TestExtensionsAreThoseOfTheCensus(t *testing.T) {
	t.Parallel()
	expected := []census.Extension{{Name: "hstore", Version: "1.8"}}
	for name, tc := range map[string]struct {
		restored []restoredExtension
		kind     census.Comparison
		want     Result
		says     string
	}{
		"the same":            {[]restoredExtension{{"hstore", "1.8", true}}, census.Exact, Pass, "1 extension as in the census"},
		"none":                {nil, census.Exact, Fail, "extension hstore 1.8 is missing"},
		"another version":     {[]restoredExtension{{"hstore", "1.7", true}}, census.Exact, Fail, "has version 1.7, not 1.8"},
		"none, inexactly":     {nil, census.Tolerant, Unproven, "the comparison is not exact"},
		"not on this host":    {[]restoredExtension{{"hstore", "1.8", false}}, census.Exact, Pass, "this host does not have the files of hstore 1.8"},
		"one more than known": {[]restoredExtension{{"hstore", "1.8", true}, {"citext", "1.6", true}}, census.Exact, Pass, "as in the census"},
	} {
		f := compareExtensions(expected, tc.restored, tc.kind)
		if f.Result != tc.want || !strings.Contains(f.Detail, tc.says) {
			t.Errorf("%s: %s: %s; want %s and %q", name, f.Result, f.Detail, tc.want, tc.says)
		}
	}
}

func TestAnOlderCensusHoldsNoDetails(t *testing.T) {
	t.Parallel()
	for name, f := range map[string]Finding{
		"sequences":  Sequences(t.Context(), nil, census.Database{}, census.Exact),
		"extensions": Extensions(t.Context(), nil, census.Database{}, census.Exact),
	} {
		if f.Result != NotRun || f.Detail == "" {
			t.Errorf("%s: %+v", name, f)
		}
	}
}
