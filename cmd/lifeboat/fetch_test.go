package main

import (
	"os"
	"testing"

	"lifeboat/internal/pgtest"
)

func TestArchiveGetAnswersWithZeroOneOr254AndNothingElse(t *testing.T) {
	t.Parallel()
	in := newFileInstallation(t, pgtest.Newest(t))
	in.server.Exec(t.Context(), "CREATE TABLE t (n int)")
	in.switchWAL()
	segment, dest := "000000010000000000000001", in.path("fetched")
	for name, tc := range map[string]struct {
		args []string
		want int
	}{
		"there":             {[]string{"archive-get", segment, dest}, fetchFound},
		"beyond the end":    {[]string{"archive-get", "0000000100000000000000FF", dest}, fetchAbsent},
		"no such history":   {[]string{"archive-get", "00000009.history", dest}, fetchAbsent},
		"odd name":          {[]string{"archive-get", "../lifeboat.json", dest}, fetchUnknown},
		"no destination":    {[]string{"archive-get", segment}, fetchUnknown},
		"unknown flag":      {[]string{"archive-get", "--bogus", segment, dest}, fetchUnknown},
		"unknown cluster":   {[]string{"archive-get", "--cluster", "other", segment, dest}, fetchUnknown},
		"no configuration":  {[]string{"archive-get", "--config", in.path("none"), segment, dest}, fetchUnknown},
		"bad output format": {[]string{"archive-get", "--output", "xml", segment, dest}, fetchUnknown},
		"asked for help":    {[]string{"archive-get", "--help"}, fetchUnknown},
	} {
		if err := os.RemoveAll(dest); err != nil {
			t.Fatal(err)
		}
		o := in.run(tc.args...)
		if o.code != tc.want {
			t.Errorf("%s: exit code %d, not %d\n%s%s", name, o.code, tc.want, o.out, o.errors)
		}
		if _, err := os.Stat(dest); (err == nil) != (tc.want == fetchFound) {
			t.Errorf("%s: the destination: %v", name, err)
		}
	}
	if err := os.Rename(in.repository, in.repository+".away"); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{segment, "0000000100000000000000FF", "00000009.history"} {
		in.ends(fetchUnknown, "archive-get", name, dest)
	}
}
