package config

import (
	"slices"
	"strings"
	"testing"
	"time"
)

// drillWith is a configuration with a drill of this content.
func drillWith(content string) string {
	return "repository: {url: 'file:///r'}\nclusters: {main: {drills: {weekly: {" + content + "}}}}\n"
}

func TestADrillNamesTheDatabasesToDump(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]Databases{
		"to: latest":                               {},
		"dump: {databases: all}":                   {All: true},
		"dump: {databases: []}":                    {},
		"dump: {databases: [shop]}":                {Names: []string{"shop"}},
		"dump: {databases: [all, 'a \"b'';$(x)']}": {Names: []string{"all", `a "b';$(x)`}},
	} {
		c, err := Parse("x", []byte(drillWith(text)))
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		got := c.Clusters["main"].Drills["weekly"].Dump.Databases
		if got.All != want.All || !slices.Equal(got.Names, want.Names) {
			t.Errorf("%s: %+v, want %+v", text, got, want)
		}
	}
}

func TestMistakesOfADumpAreNamed(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"dump: {databases: shop}":     "f.yaml:2:55: databases is the word all, or a list of names",
		"dump: {databases: {a: b}}":   "databases is the word all, or a list of names",
		"dump: {databases: ['']}":     "the name of a database is empty",
		"dump: {databases: [[shop]]}": "a single value is expected here",
		"dump: {tables: [shop]}":      `unknown field "tables"`,
	} {
		if _, err := Parse("f.yaml", []byte(drillWith(text))); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", text, err, want)
		}
	}
}

func TestDumpsAreKeptForATimeOfTheirOwn(t *testing.T) {
	t.Parallel()
	c, err := Parse("x", []byte("repository: {url: 'file:///r'}\nclusters: {main: {retention: {keep_dumps: 90d}}}\n"))
	if err != nil || time.Duration(c.Clusters["main"].Retention.KeepDumps) != 90*24*time.Hour {
		t.Errorf("%+v, %v", c, err)
	}
}
