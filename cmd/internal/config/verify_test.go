package config

import (
	"errors"
	"strings"
	"testing"
	"time"
)

const verifying = `repository: {url: 'file:///r'}
clusters:
  main:
    census: {fingerprint_up_to: 64MiB, count_up_to: 1GiB}
    verify:
      amcheck: heapallindexed
      assertion_timeout: 5s
      assertions:
      - {name: orders are fresh, database: shop, sql: SELECT max(at) FROM orders, at_most_older: 10m}
      - {name: nobody is missing, database: shop, sql: SELECT count(*) FROM staff, between: [90, 110]}
      - name: the switch is on
        database: shop
        sql: |
          SELECT value FROM settings
          WHERE name = 'switch'
        equals: on
`

func TestWhatIsToBeVerifiedIsRead(t *testing.T) {
	t.Parallel()
	c, err := Parse("x", []byte(verifying))
	if err != nil {
		t.Fatal(err)
	}
	main := c.Clusters["main"]
	v := main.Verify
	if v.Amcheck != "heapallindexed" || time.Duration(v.AssertionTimeout) != 5*time.Second || len(v.Assertions) != 3 {
		t.Fatalf("%+v", v)
	}
	fresh, staff, on := v.Assertions[0].Options(), v.Assertions[1].Options(), v.Assertions[2].Options()
	if fresh.Name != "orders are fresh" || fresh.Database != "shop" || fresh.AtMostOlder != 10*time.Minute || fresh.Equals != nil || fresh.Between != nil {
		t.Errorf("%+v", fresh)
	}
	if staff.Between == nil || *staff.Between != [2]string{"90", "110"} || on.Equals == nil || *on.Equals != "on" || !strings.Contains(on.SQL, "\nWHERE") {
		t.Errorf("%+v, %+v", staff, on)
	}
	if main.Census.FingerprintUpTo != 64<<20 || main.Census.CountUpTo != 1<<30 {
		t.Errorf("%+v", main.Census)
	}
}

func TestNothingSaidMeansWhereAvailable(t *testing.T) {
	t.Parallel()
	c, err := Parse("x", []byte("repository: {url: 'file:///r'}\nclusters: {main: }\n"))
	if err != nil {
		t.Fatal(err)
	}
	if v := c.Clusters["main"].Verify; v.Amcheck != "" || time.Duration(v.AssertionTimeout) != time.Minute {
		t.Errorf("%+v", v)
	}
}

func TestMistakesInAssertionsAreNamedWithTheirPlace(t *testing.T) {
	t.Parallel()
	const head = "repository: {url: 'file:///r'}\nclusters: {main: {verify: {assertions: [\n"
	for name, tc := range map[string]struct{ text, want string }{
		"unknown key":       {"{name: a, databse: b}", "f.yaml:3:11: unknown field \"databse\""},
		"empty":             {"null", "number 1 is empty"},
		"nothing in it":     {"{}", "clusters.main.verify.assertions: number 1: an assertion needs a name"},
		"no name":           {"{database: b, sql: SELECT 1, equals: 1}", "f.yaml:3:12: an assertion needs a name"},
		"no database":       {"{name: a, sql: SELECT 1, equals: 1}", "f.yaml:3:8: assertion \"a\" does not say in which database"},
		"no query":          {"{name: a, database: b, equals: 1}", "f.yaml:3:8: assertion \"a\" has no sql"},
		"nothing wanted":    {"{name: a, database: b, sql: SELECT 1}", "f.yaml:3:8: assertion \"a\" needs exactly one of"},
		"two things wanted": {"{name: a, database: b, sql: SELECT 1, equals: 1, at_most_older: 1m}", "needs exactly one of"},
		"half a range":      {"{name: a, database: b, sql: SELECT 1, between: [1]}", "between takes two numbers"},
		"a range backwards": {"{name: a, database: b, sql: SELECT 1, between: [2, 1]}", "the lower one first"},
		"a range of words":  {"{name: a, database: b, sql: SELECT 1, between: [low, high]}", "between takes two numbers"},
		"no unit":           {"{name: a, database: b, sql: SELECT 1, at_most_older: 10}", "f.yaml:3:54: \"10\" is not a length of time"},
		"twice":             {"{name: a, database: b, sql: SELECT 1, equals: 1},\n{name: a, database: b, sql: SELECT 1, equals: 1}", "f.yaml:4:8: two assertions are called \"a\""},
	} {
		_, err := Parse("f.yaml", []byte(head+tc.text+"\n]}}}\n"))
		if located := (*Error)(nil); !errors.As(err, &located) || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: %v, want %s", name, err, tc.want)
		}
	}
	_, err := Parse("f.yaml", []byte("repository: {url: 'file:///r'}\nclusters: {main: {verify: {amcheck: yes}}}\n"))
	if err == nil || !strings.Contains(err.Error(), "f.yaml:2:37: amcheck is off, on or heapallindexed, not \"yes\"") {
		t.Errorf("%v", err)
	}
}
