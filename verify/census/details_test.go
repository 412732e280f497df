package census

import (
	"testing"

	"lifeboat/internal/pgtest"
)

const sequencesBefore = `CREATE TABLE counted (id int); CREATE EXTENSION hstore VERSION '1.7';
CREATE SEQUENCE steady; CREATE SEQUENCE used; CREATE SEQUENCE set_back; CREATE SEQUENCE restarted; CREATE SEQUENCE altered; CREATE SEQUENCE dropped;
CREATE SEQUENCE circle MAXVALUE 1000 CYCLE; CREATE SEQUENCE unasked; CREATE SEQUENCE downward INCREMENT -1; CREATE UNLOGGED SEQUENCE forgetful;
SELECT nextval('steady'), nextval('used'), nextval('set_back'), nextval('restarted'), nextval('altered'), nextval('dropped'), nextval('circle'),
  nextval('downward'), nextval('forgetful') FROM generate_series(1, 10)`

const sequencesMeanwhile = `SELECT nextval('used'), nextval('unasked') FROM generate_series(1, 100); SELECT setval('set_back', 3);
ALTER SEQUENCE restarted RESTART; SELECT nextval('restarted') FROM generate_series(1, 20); ALTER SEQUENCE altered INCREMENT 5; DROP SEQUENCE dropped;
CREATE SEQUENCE born_later; SELECT nextval('born_later'); DROP EXTENSION hstore`

// TestSequencesKeepWhatCanBeCompared changes sequences between the snapshot and the count. What was given before the
// snapshot is a floor; what went back, or may have, has none.
func TestSequencesKeepWhatCanBeCompared(t *testing.T) {
	t.Parallel()
	pgtest.Each(t, func(t *testing.T, install pgtest.Install) {
		ctx := deadline(t)
		p := startPrimary(t, install, pgtest.Options{})
		p.Exec(ctx, sequencesBefore)
		o := p.options(ctx, "sequences")
		o.Connect = before(o.Connect, "postgres", 3, func() { p.Exec(ctx, sequencesMeanwhile) })
		c, err := Take(ctx, o)
		if err != nil {
			t.Fatal(err)
		}
		details := c.database(t, "postgres").Details
		if details == nil || details.Why != "" {
			t.Fatalf("%+v", details)
		}
		got := map[string]int64{}
		for _, s := range details.Sequences {
			got[s.Name] = 0
			if s.Last != nil {
				got[s.Name] = *s.Last
			}
		}
		want := map[string]int64{"steady": 10, "used": 10, "downward": -10, "set_back": 0, "restarted": 0, "altered": 0, "circle": 0, "unasked": 0}
		for name, last := range want {
			if value, ok := got[name]; !ok || value != last {
				t.Errorf("%s: %d, %v; want %d", name, value, ok, last)
			}
		}
		if len(got) != len(want) {
			t.Errorf("sequences %v, want %v", got, want)
		}
		extensions := map[string]string{}
		for _, e := range details.Extensions {
			extensions[e.Name] = e.Version
		}
		if extensions["hstore"] != "1.7" || extensions["plpgsql"] == "" || len(extensions) != 2 {
			t.Errorf("extensions of the snapshot: %v", extensions)
		}
	})
}
