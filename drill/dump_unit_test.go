package drill

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"lifeboat/storage"
)

func TestDifferencesOfARestoredDatabaseAreTold(t *testing.T) {
	t.Parallel()
	had := contents{tables: []DumpTableCount{{"a", "b.c", 5}, {"a.b", "c", 7}}, largeObjects: 2}
	for name, c := range map[string]struct {
		restored contents
		want     []string
	}{
		"the same":        {had, nil},
		"more tables":     {contents{tables: append([]DumpTableCount{{"x", "y", 1}}, had.tables...), largeObjects: 2}, nil},
		"a row lost":      {contents{tables: []DumpTableCount{{"a", "b.c", 4}, {"a.b", "c", 7}}, largeObjects: 2}, []string{"table a.b.c had 5 rows and has 4"}},
		"a row more":      {contents{tables: []DumpTableCount{{"a", "b.c", 5}, {"a.b", "c", 8}}, largeObjects: 2}, []string{"table a.b.c had 7 rows and has 8"}},
		"exchanged":       {contents{tables: []DumpTableCount{{"a", "b.c", 7}, {"a.b", "c", 5}}, largeObjects: 2}, []string{"table a.b.c had 5 rows and has 7", "table a.b.c had 7 rows and has 5"}},
		"a table lost":    {contents{tables: had.tables[1:], largeObjects: 2}, []string{"table a.b.c did not come back"}},
		"a large one":     {contents{tables: had.tables, largeObjects: 1}, []string{"there were 2 large objects and are 1"}},
		"nothing at all ": {contents{}, []string{"table a.b.c did not come back", "table a.b.c did not come back", "there were 2 large objects and are 0"}},
	} {
		if got := had.differences(c.restored); !slices.Equal(got, c.want) {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

func TestDatabasesToDumpAreChosen(t *testing.T) {
	t.Parallel()
	found := map[string]candidate{
		"b": {Name: "b", Connectable: true}, "a": {Name: "a", Connectable: true}, "closed": {Name: "closed"},
		"template1": {Name: "template1", Connectable: true, Template: true},
	}
	for name, c := range map[string]struct {
		asked           DumpOptions
		chosen, refused []string
	}{
		"all":             {DumpOptions{All: true}, []string{"a", "b"}, nil},
		"a template":      {DumpOptions{Databases: []string{"template1", "b"}}, []string{"b", "template1"}, nil},
		"twice":           {DumpOptions{All: true, Databases: []string{"a", "a"}}, []string{"a", "b"}, nil},
		"what cannot be":  {DumpOptions{Databases: []string{"closed", "none", "a"}}, []string{"a"}, []string{"closed", "none"}},
		"nothing that is": {DumpOptions{Databases: []string{"none"}}, nil, []string{"none"}},
	} {
		chosen, refused := c.asked.choose(found)
		var names, refusedNames []string
		for _, x := range chosen {
			names = append(names, x.Name)
		}
		for _, x := range refused {
			refusedNames = append(refusedNames, x.Database)
			if x.Result != Unproven || x.Why == "" {
				t.Errorf("%s: %+v", name, x)
			}
		}
		if !slices.Equal(names, c.chosen) || !slices.Equal(refusedNames, c.refused) {
			t.Errorf("%s: %q and not %q, want %q and %q", name, names, refusedNames, c.chosen, c.refused)
		}
	}
}

func TestRolesAreMadeButForTheOneThatIsThere(t *testing.T) {
	t.Parallel()
	text := "\\restrict abc\nSET x = on;\nCREATE ROLE postgres;\nALTER ROLE postgres WITH SUPERUSER;\nCREATE ROLE \"odd name\";\n" +
		"CREATE ROLE postgres2;\n\\unrestrict abc\n"
	want := map[string]string{
		"postgres": "SET x = on;\nALTER ROLE postgres WITH SUPERUSER;\nCREATE ROLE \"odd name\";\nCREATE ROLE postgres2;\n",
		"odd name": "SET x = on;\nCREATE ROLE postgres;\nALTER ROLE postgres WITH SUPERUSER;\nCREATE ROLE postgres2;\n",
	}
	for superuser, want := range want {
		if got := rolesOnly(text, superuser); got != want {
			t.Errorf("%s: %q, want %q", superuser, got, want)
		}
	}
}

func TestWhatEndsADumpIsJudged(t *testing.T) {
	t.Parallel()
	said := func(stderr string) error {
		return &toolError{Program: "pg_restore", Words: firstError(stderr, errors.New("exit status 1"))}
	}
	for stderr, c := range map[string]struct {
		words string
		want  Verdict
	}{
		"pg_restore: while PROCESSING TOC:\npg_restore: error: could not execute query: ERROR:  extension \"x\" is not available\nDETAIL:  Could not open extension control file.\nCommand was: CREATE": {
			`error: could not execute query: ERROR:  extension "x" is not available; DETAIL:  Could not open extension control file.`, Unproven},
		"pg_dump: error: query failed: ERROR:  invalid page in block 3 of relation base/5/16384": {"error: query failed: ERROR:  invalid page in block 3 of relation base/5/16384", Fail},
		"pg_restore: error: could not write: No space left on device":                            {"error: could not write: No space left on device", Unproven},
		"": {"exit status 1", Fail},
	} {
		err := said(stderr)
		if got := verdictOfDump(err); got != c.want || !strings.Contains(err.Error(), c.words) {
			t.Errorf("%q: %s, %v", stderr, got, err)
		}
	}
	for err, want := range map[error]Verdict{context.Canceled: Unproven, storage.ErrNotFound: Unproven, &NoRoomError{}: Unproven, &NoToolsError{}: Unproven} {
		if got := verdictOfDump(err); got != want {
			t.Errorf("%v: %s", err, got)
		}
	}
}

func TestADumpThatDoesNotFitIsNotRestored(t *testing.T) {
	t.Parallel()
	d := &drill{scratch: &scratch{dir: t.TempDir()}}
	d.dumped.pending = []*pendingDump{{bytes: 1}, {bytes: 1 << 60}}
	var full *NoRoomError
	if err := d.roomToRestore(); !errors.As(err, &full) || full.Needed < 1<<60 || full.Free <= 0 {
		t.Errorf("%v", err)
	}
}

func TestSettingsOfASessionAreEscaped(t *testing.T) {
	t.Parallel()
	got := sessionOptions(map[string]string{"b": `x y\z`, "a": ""})
	if want := `-c a= -c b=x\ y\\z`; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}
