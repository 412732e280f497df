package census

import "testing"

func TestJudge(t *testing.T) {
	t.Parallel()
	exact := Table{Rows: 200, Fingerprint: "aa", Comparable: Exact}
	bare := Table{Rows: 200, Comparable: Exact, Why: "no fingerprint: too wide"}
	tolerant := Table{Rows: 200, Fingerprint: "aa", Comparable: Tolerant}
	none := Table{Comparable: None, Why: "no SELECT privilege"}
	for _, c := range []struct {
		name       string
		table      Table
		measured   measured
		missing    bool
		comparison Comparison
		match      Match
		want       Result
	}{
		{"same", exact, measured{rows: 200, fingerprint: "aa"}, false, Exact, Matches, Pass},
		{"one row less", exact, measured{rows: 199, fingerprint: "ab"}, false, Exact, Differs, Fail},
		{"one row more", exact, measured{rows: 201, fingerprint: "ab"}, false, Exact, Differs, Fail},
		{"other contents", exact, measured{rows: 200, fingerprint: "ab"}, false, Exact, Differs, Fail},
		{"no fingerprint here", exact, measured{rows: 200, remark: "broken type"}, false, Exact, NotTaken, Unproven},
		{"no fingerprint there", bare, measured{rows: 200}, false, Exact, NotTaken, Pass},
		{"missing", exact, measured{}, true, Exact, NotTaken, Fail},
		{"missing, tolerant", tolerant, measured{}, true, Tolerant, NotTaken, Fail},
		{"could not be counted", exact, measured{problem: "locked"}, false, Exact, NotTaken, Unproven},
		{"not counted in the census", none, measured{rows: 5}, false, Exact, NotTaken, Unproven},
		{"not counted in the census, missing", none, measured{}, true, Exact, NotTaken, Unproven},
		{"at the tolerance", exact, measured{rows: 198, fingerprint: "ab"}, false, Tolerant, Differs, Pass},
		{"beyond the tolerance", exact, measured{rows: 197, fingerprint: "ab"}, false, Tolerant, Differs, Fail},
		{"beyond the tolerance upwards", exact, measured{rows: 203, fingerprint: "ab"}, false, Tolerant, Differs, Fail},
		{"tolerant table in an exact database", tolerant, measured{rows: 199, fingerprint: "ab"}, false, Exact, Differs, Pass},
	} {
		got := judge(c.table, c.measured, !c.missing, c.comparison, 0.01)
		if got.Result != c.want || got.Fingerprint != c.match {
			t.Errorf("%s: %s, fingerprint %s (%s), not %s, %s", c.name, got.Result, got.Fingerprint, got.Why, c.want, c.match)
		}
		if got.Result != Pass && got.Why == "" {
			t.Errorf("%s: %s without a reason", c.name, got.Result)
		}
	}
}

func TestTheWorstResultCounts(t *testing.T) {
	t.Parallel()
	order := []Result{"", Pass, Warn, Unproven, Fail}
	for i, better := range order {
		for _, worse := range order[i:] {
			if better.Worse(worse) != worse || worse.Worse(better) != worse {
				t.Errorf("%q against %q", better, worse)
			}
		}
	}
}

func TestJoinSumsWrapsAround(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ first, second, want string }{
		{"0", "0", "00000000000000000000000000000000"},
		{"-1", "1", "ffffffffffffffff0000000000000001"},
		{"18446744073709551616", "-18446744073709551617", "0000000000000000ffffffffffffffff"},
		{"340282366920938463463374607431768211455", "255", "ffffffffffffffff00000000000000ff"},
	} {
		if got, err := joinSums(c.first, c.second); err != nil || got != c.want {
			t.Errorf("%s, %s: %s (%v), not %s", c.first, c.second, got, err, c.want)
		}
	}
	if _, err := joinSums("1.5", "0"); err == nil {
		t.Error("half a hash was taken")
	}
}

func TestSamplePercent(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		bytes, budget int64
		want          float64
	}{{0, 100, 100}, {100, 100, 100}, {200, 100, 50}, {10 << 40, 256 << 20, 0.002441}} {
		if got := samplePercent(c.bytes, c.budget); got != c.want {
			t.Errorf("%d of %d: %v, not %v", c.budget, c.bytes, got, c.want)
		}
	}
}
