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

// edited is a copy of a census, newer than it, that was changed.
func edited(t *testing.T, c *census.Census, change func(d *census.Database)) *census.Census {
	t.Helper()
	raw, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	var other census.Census
	if err := json.Unmarshal(raw, &other); err != nil {
		t.Fatal(err)
	}
	other.ID = "2999" + c.ID[4:]
	for i := range other.Databases {
		if other.Databases[i].Name == "postgres" {
			change(&other.Databases[i])
		}
	}
	return &other
}

// TestWhatTheCensusHeldIsWanted drills with censuses of a production that had other sequences and extensions.
func TestWhatTheCensusHeldIsWanted(t *testing.T) {
	t.Parallel()
	s := newScene(t, pgtest.Debian(t), nil)
	s.server.Exec(t.Context(), "CREATE SEQUENCE numbers; CREATE SEQUENCE downward INCREMENT -1; SELECT nextval('numbers'), nextval('downward') FROM generate_series(1, 100); CREATE EXTENSION hstore")
	h := s.quietStory()
	sequence := func(name string, by int64) func(d *census.Database) {
		return func(d *census.Database) {
			for i := range d.Details.Sequences {
				if d.Details.Sequences[i].Name == name {
					*d.Details.Sequences[i].Last += by
				}
			}
		}
	}
	for _, tc := range []struct {
		name   string
		change func(d *census.Database)
		want   drill.Verdict
		check  string
		says   string
	}{
		{"as it was", func(*census.Database) {}, drill.Pass, drill.CheckSequences, "2 sequences, none behind"},
		{"a sequence behind", sequence("numbers", 1), drill.Fail, drill.CheckSequences, `sequence "public"."numbers" stands at 100, behind 101`},
		{"a sequence ahead", sequence("numbers", -20), drill.Pass, drill.CheckSequences, "none behind"},
		{"a sequence behind that goes down", sequence("downward", -1), drill.Fail, drill.CheckSequences, "stands at -100, behind -101"},
		{"a sequence that is gone", func(d *census.Database) { d.Details.Sequences[0].OID = 1 }, drill.Fail, drill.CheckSequences, "is missing"},
		{"sequences that could not be read", func(d *census.Database) { d.Details.Why = "locked" }, drill.Unproven, drill.CheckSequences, "could not read the sequences: locked"},
		{"an extension that is gone", func(d *census.Database) {
			d.Details.Extensions = append(d.Details.Extensions, census.Extension{Name: "ghost", Version: "1.0"})
		}, drill.Fail, drill.CheckExtensions, "extension ghost 1.0 is missing"},
		{"an extension of another version", func(d *census.Database) { d.Details.Extensions[0].Version = "0.9" }, drill.Fail, drill.CheckExtensions, "not 0.9"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			c := s.copy(t)
			c.putCensus(edited(t, h.census, tc.change))
			o := c.options(t)
			o.Examination.Amcheck = drill.AmcheckOff
			r := c.drill(t, o)
			if got := check(t, r, tc.check); got.Result != tc.want || !strings.Contains(got.Detail, tc.says) || r.Verdict != tc.want {
				tell(t, r)
				t.Errorf("verdict %s; check %q: %s: %s; want %s and %q", r.Verdict, tc.check, got.Result, got.Detail, tc.want, tc.says)
			}
		})
	}
	t.Run("a census of before there were details", func(t *testing.T) {
		t.Parallel()
		c := s.copy(t)
		c.putCensus(edited(t, h.census, func(d *census.Database) { d.Details = nil }))
		r := c.drill(t, c.options(t))
		if r.Verdict != drill.Pass {
			tell(t, r)
			t.Errorf("verdict %s", r.Verdict)
		}
		for _, name := range []string{"sequences", "extensions"} {
			if got := layers(r, name); len(got) != 1 || got[0].Result != drill.NotRun || !strings.Contains(got[0].Detail, "does not hold it") {
				t.Errorf("%s: %+v", name, got)
			}
		}
	})
}

// TestCollationsOfAnotherVersionWarn drills a server whose index was made with another version of a library.
func TestCollationsOfAnotherVersionWarn(t *testing.T) {
	t.Parallel()
	pgtest.Each(t, func(t *testing.T, install pgtest.Install) {
		s := newScene(t, install, nil)
		s.server.Exec(t.Context(), `CREATE TABLE names AS SELECT md5(i::text) AS name FROM generate_series(1, 100) i; CREATE INDEX by_name ON names (name COLLATE "und-x-icu");
UPDATE pg_collation SET collversion = '0.1' WHERE collname = 'und-x-icu'`)
		s.quietStory()
		r := s.drill(t, s.options(t))
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
		drill.AmcheckAvailable: drill.Pass, drill.AmcheckOff: drill.Pass, drill.AmcheckOn: drill.Unproven, drill.AmcheckHeapAllIndexed: drill.Unproven,
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
