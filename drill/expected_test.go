package drill_test

import (
	"encoding/json"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"lifeboat/drill"
	"lifeboat/internal/pgtest"
	"lifeboat/verify/census"
)

// edited is a copy of a census, of another year, that was changed.
func edited(t *testing.T, c *census.Census, year string, change func(d *census.Database)) *census.Census {
	t.Helper()
	raw, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	var other census.Census
	if err := json.Unmarshal(raw, &other); err != nil {
		t.Fatal(err)
	}
	other.ID = year + c.ID[4:]
	for i := range other.Databases {
		if other.Databases[i].Name == "postgres" {
			change(&other.Databases[i])
		}
	}
	return &other
}

// TestWhatTheCensusHeldIsWanted drills with a census of a production that had gone further, and with one of before
// there were details.
func TestWhatTheCensusHeldIsWanted(t *testing.T) {
	t.Parallel()
	s := newScene(t, pgtest.Debian(t), nil)
	s.server.Exec(t.Context(), "CREATE SEQUENCE numbers; SELECT nextval('numbers') FROM generate_series(1, 100); CREATE EXTENSION hstore")
	h := s.quietStory()
	s.putCensus(edited(t, h.census, "2998", func(d *census.Database) {
		*d.Details.Sequences[0].Last++
		d.Details.Extensions = append(d.Details.Extensions, census.Extension{Name: "ghost", Version: "1.0"})
	}))
	r := s.drill(t, s.options(t))
	for name, says := range map[string]string{
		drill.CheckSequences: `sequence "public"."numbers" stands at 100, behind 101`, drill.CheckExtensions: "extension ghost 1.0 is missing",
	} {
		if got := check(t, r, name); got.Result != drill.Fail || !strings.Contains(got.Detail, says) || r.Verdict != drill.Fail {
			t.Errorf("verdict %s; check %q: %s: %s; want %q", r.Verdict, name, got.Result, got.Detail, says)
		}
	}
	s.putCensus(edited(t, h.census, "2999", func(d *census.Database) { d.Details = nil }))
	if r = s.drill(t, s.options(t)); r.Verdict != drill.Pass {
		tell(t, r)
		t.Errorf("verdict %s", r.Verdict)
	}
	for _, name := range []string{"sequences", "extensions"} {
		if got := layers(r, name); len(got) != 1 || got[0].Result != drill.NotRun || !strings.Contains(got[0].Detail, "does not hold it") {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

// TestCollationsOfAnotherVersionWarn drills a server whose index was made with another version of a library.
func TestCollationsOfAnotherVersionWarn(t *testing.T) {
	t.Parallel()
	pgtest.Each(t, func(t *testing.T, install pgtest.Install) {
		s := newScene(t, install, nil)
		s.server.Exec(t.Context(), `CREATE TABLE names AS SELECT md5(i::text) AS name FROM generate_series(1, 100) i; CREATE INDEX by_name ON names (name COLLATE "und-x-icu");
UPDATE pg_collation SET collversion = '0.1' WHERE collname = 'und-x-icu'`)
		s.quietStory()
		o := s.options(t)
		o.Examination.Amcheck = drill.AmcheckAvailable
		r := s.drill(t, o)
		collations, relations := check(t, r, drill.CheckCollations), check(t, r, drill.CheckRelations)
		if r.Verdict != drill.Warn || collations.Result != drill.Warn || !strings.Contains(collations.Detail, `"und-x-icu" has version 0.1`) ||
			!strings.Contains(collations.Detail, "REINDEX public.by_name") {
			t.Errorf("verdict %s; %+v", r.Verdict, collations)
		}
		if relations.Result != drill.Warn || !strings.Contains(relations.Detail, "by_name, whose collation has another version") {
			t.Errorf("%+v", relations)
		}
		if t.Failed() {
			tell(t, r)
		}
	})
}

// TestWithoutAmcheckADrillSaysSo drills on a host whose PostgreSQL lacks the extension: that is in order unless it was
// asked for.
func TestWithoutAmcheckADrillSaysSo(t *testing.T) {
	t.Parallel()
	install := pgtest.Newest(t)
	s := newScene(t, install, nil)
	s.quietStory()
	without := pgtest.TempDir(t)
	script := "cp -a --reflink=auto " + filepath.Dir(install.BinDir) + "/. " + without + " && find " + without + " -name 'amcheck.control' -delete"
	if out, err := exec.CommandContext(t.Context(), "/bin/sh", "-c", script).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for mode, want := range map[drill.Amcheck]drill.Verdict{
		drill.AmcheckAvailable: drill.Pass, drill.AmcheckOn: drill.Unproven,
	} {
		o := s.options(t)
		o.PostgresBin = filepath.Join(without, filepath.Base(install.BinDir))
		o.Examination.Amcheck = mode
		r := s.drill(t, o)
		list := layers(r, "heaps and indexes")
		if r.Verdict != want || len(list) == 0 || list[0].Result != drill.NotRun || list[0].Detail == "" {
			tell(t, r)
			t.Errorf("%q: verdict %s, want %s; %+v", mode, r.Verdict, want, list)
		}
	}
}
