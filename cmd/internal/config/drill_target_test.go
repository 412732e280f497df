package config

import (
	"strings"
	"testing"
	"time"

	"lifeboat/restore"
)

func TestADrillsTargetIsReadFromWords(t *testing.T) {
	t.Parallel()
	const text = `repository: {url: 'file:///r'}
clusters:
  main:
    drills:
      any:   {to: Random}
      old:   {to: "2026-01-02 03:04:05+00", timeline: 3}
      point: {to: restore point, timeline: latest}
      ddl:   {to: before last ddl}
`
	c, err := Parse("f.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]struct {
		kind     restore.WishKind
		timeline Timeline
	}{
		"any": {restore.WishRandom, 0}, "old": {restore.WishTarget, 3}, "point": {restore.WishRestorePoint, 0},
		"ddl": {restore.WishBeforeDDL, 0}, "nightly": {restore.WishTarget, 0},
	} {
		d := c.Clusters["main"].Drills[name]
		if wish, err := d.Wish(time.Now()); err != nil || wish.Kind != want.kind || d.Timeline != want.timeline {
			t.Errorf("%s: %+v, timeline %d, %v", name, wish, d.Timeline, err)
		}
	}
}

func TestADrillsTargetThatIsNoneIsNamedWithItsPlace(t *testing.T) {
	t.Parallel()
	const head = "repository: {url: 'file:///r'}\nclusters:\n  main:\n    drills:\n"
	for drill, want := range map[string]string{
		"      odd: {to: yesterday}":            `f.yaml:5:17: drill odd: to: "yesterday" is no target: write latest, random, restore point, before last ddl`,
		"      odd: {to: 2026-01-02 03:04}":     "f.yaml:5:17: drill odd: to: parse time",
		"      odd: {to: latest, timeline: 0}":  `f.yaml:5:35: timeline is a number from 1 on, or latest, not "0"`,
		"      odd: {to: latest, timeline: -1}": "f.yaml:5:35: timeline is a number",
		"      odd: {to: [latest]}":             "f.yaml:5:17: a single value is expected here",
	} {
		if _, err := Parse("f.yaml", []byte(head+drill+"\n")); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%s: %v, want %s", drill, err, want)
		}
	}
}
