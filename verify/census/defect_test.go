package census

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"lifeboat/internal/pgtest"
)

// TestDefectsAreFound seeds defects into a physical copy before it recovers.
func TestDefectsAreFound(t *testing.T) {
	t.Parallel()
	pgtest.Each(t, func(t *testing.T, install pgtest.Install) {
		ctx := deadline(t)
		p := startPrimary(t, install, pgtest.Options{})
		p.Exec(ctx, `CREATE TABLE changed AS SELECT i AS id, 'original ' || i AS v FROM generate_series(1, 1000) i;
CREATE TABLE emptied AS TABLE changed; CREATE TABLE broken AS TABLE changed; CREATE TABLE sound AS TABLE changed`)
		paths := map[string]string{}
		for _, name := range []string{"changed", "emptied", "broken"} {
			paths[name] = p.Value(ctx, "SELECT pg_relation_filepath('"+name+"')")
		}
		p.copy(ctx)
		c := p.census(ctx, "defects")
		p.flushArchive(ctx)
		p.edit(paths["changed"], func(b []byte) []byte { return bytes.Replace(b, []byte("original 7"), []byte("Original 7"), 1) })
		p.edit(paths["emptied"], func([]byte) []byte { return nil })
		p.edit(paths["broken"], func(b []byte) []byte { copy(b[8192:], bytes.Repeat([]byte{0xAA}, 8192)); return b })
		restored := p.recoverTo(ctx, c.Stops()[0])
		r := compareOne(t, ctx, c, restored)
		if r.Comparison != Exact || r.Result != Fail {
			t.Errorf("%s, %s: %s", r.Comparison, r.Result, r.Why)
		}
		for name, want := range map[string]Result{"changed": Fail, "emptied": Fail, "broken": Unproven, "sound": Pass} {
			if got := r.table(t, name); got.Result != want || want != Pass && got.Why == "" {
				t.Errorf("%s: %+v", name, got)
			}
		}
		if got := r.table(t, "changed"); got.Fingerprint != Differs || got.Actual != got.Expected {
			t.Errorf("one changed byte: %+v", got)
		}
	})
}

// edit changes a file of the copy in place, and keeps its owner.
func (p *primary) edit(path string, change func([]byte) []byte) {
	p.t.Helper()
	path = filepath.Join(p.copied, path)
	content, err := os.ReadFile(path)
	if err != nil {
		p.t.Fatal(err)
	}
	if err := os.WriteFile(path, change(content), 0o600); err != nil {
		p.t.Fatal(err)
	}
}

func compareOne(t *testing.T, ctx context.Context, c *Census, restored *pgtest.Cluster) DatabaseResult {
	t.Helper()
	r, err := Compare(ctx, c.database(t, "postgres"), CompareOptions{Connect: connector(restored), Tolerance: 0.01})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func (r DatabaseResult) table(t *testing.T, name string) TableResult {
	t.Helper()
	for _, table := range r.Tables {
		if table.Name == name {
			return table
		}
	}
	t.Fatalf("no table %q in the result", name)
	return TableResult{}
}

// TestRecoveryToAnotherPlace recovers to before and behind the census.
func TestRecoveryToAnotherPlace(t *testing.T) {
	t.Parallel()
	ctx := deadline(t)
	p := startPrimary(t, pgtest.Newest(t), pgtest.Options{})
	p.Exec(ctx, "CREATE TABLE growing AS SELECT i AS id FROM generate_series(1, 1000) i; CREATE TABLE later_gone (id int)")
	p.copy(ctx)
	early := p.census(ctx, "early")
	p.Exec(ctx, "INSERT INTO growing SELECT generate_series(1001, 1005)")
	middle := p.census(ctx, "middle")
	p.Exec(ctx, "INSERT INTO growing SELECT generate_series(1006, 2000); DROP TABLE later_gone; CREATE TABLE extra (id int)")
	late := p.census(ctx, "late")
	p.flushArchive(ctx)

	restored := p.recoverTo(ctx, early.Stops()[0])
	if r := compareOne(t, ctx, middle, restored); r.Comparison != Exact || r.Result != Fail || r.Why == "" {
		t.Errorf("short of the census by five rows: %+v", r)
	}
	if _, err := Take(ctx, withConnect(p.options(ctx, "standby"), restored)); !errors.Is(err, ErrStandby) {
		t.Errorf("a census of a standby: %v", err)
	}
	restored.Stop()

	restored = p.recoverTo(ctx, middle.Stops()[0])
	if r := compareOne(t, ctx, middle, restored); r.Comparison != Exact || r.Result != Pass {
		t.Errorf("at the census: %+v", r)
	}
	if r := compareOne(t, ctx, early, restored); r.Comparison != Tolerant || r.Result != Pass || r.Why == "" {
		t.Errorf("behind the census by five rows: %+v", r)
	}
	unseen := early.database(t, "postgres")
	unseen.Cut.To = middle.Stops()[0] // a cut that is wrong about one transaction
	if r, err := Compare(ctx, unseen, CompareOptions{Connect: connector(restored)}); err != nil || r.Comparison != Tolerant || r.Result != Fail {
		t.Errorf("a transaction that the census did not see: %+v, %v", r, err)
	}
	restored.Stop()

	restored = p.recoverTo(ctx, late.Stops()[0])
	r := compareOne(t, ctx, middle, restored)
	if r.Comparison != Tolerant || r.Result != Fail || r.table(t, "growing").Result != Fail || r.table(t, "later_gone").Result != Fail {
		t.Errorf("far behind the census: %+v", r)
	}
	if len(r.Extra) != 1 || r.Extra[0] != `"public"."extra"` {
		t.Errorf("extra tables %v", r.Extra)
	}
	missing := middle.database(t, "postgres")
	missing.Name = "nowhere"
	if r, err := Compare(ctx, missing, CompareOptions{Connect: connector(restored)}); err != nil || r.Result != Fail {
		t.Errorf("a database that is missing: %+v, %v", r, err)
	}
}

func withConnect(o Options, c *pgtest.Cluster) Options {
	o.Connect = connector(c)
	return o
}

// TestWithoutWALTheComparisonIsTolerant takes a census from afar.
func TestWithoutWALTheComparisonIsTolerant(t *testing.T) {
	t.Parallel()
	ctx := deadline(t)
	p := startPrimary(t, pgtest.Newest(t), pgtest.Options{})
	p.Exec(ctx, "CREATE TABLE few AS SELECT i AS id FROM generate_series(1, 100) i")
	p.copy(ctx)
	o := p.options(ctx, "afar")
	o.WALDirectory = ""
	c, err := Take(ctx, o)
	if err != nil {
		t.Fatal(err)
	}
	if d := c.database(t, "postgres"); d.Cut != nil || d.Why == "" || d.table(t, "few").Comparable != Tolerant {
		t.Errorf("%+v", d)
	}
	p.flushArchive(ctx)
	restored := p.recoverTo(ctx, c.Stops()[0])
	if r := compareOne(t, ctx, c, restored); r.Comparison != Tolerant || r.Result != Pass || r.table(t, "few").Fingerprint != Matches {
		t.Errorf("%+v", r)
	}
}
