package census

import (
	"fmt"
	"testing"
	"time"

	"lifeboat/internal/pgtest"
)

const (
	takenUnderLoad = 20
	proven         = 4 // how many of them are proven by recovery
)

// TestCensusUnderLoadIsExact takes censuses of a server under full load and recovers a physical copy to their stops:
// every table has the same rows, and the same contents.
func TestCensusUnderLoadIsExact(t *testing.T) {
	t.Parallel()
	pgtest.Each(t, func(t *testing.T, install pgtest.Install) {
		ctx := deadline(t)
		p := startPrimary(t, install, pgtest.Options{
			Fsync: true, Settings: map[string]string{"max_prepared_transactions": "10"},
		})
		stop := startLoad(ctx, t, p.Cluster)
		p.copy(ctx)
		var censuses []*Census
		attempts := 0
		for i := range takenUnderLoad {
			o := p.options(ctx, fmt.Sprintf("load-%d", i))
			o.Limits.LockTimeout = time.Minute // autovacuum and TRUNCATE hold a lock for long where they get no processor
			c, err := Take(ctx, o)
			if err != nil {
				t.Fatal(err)
			}
			censuses = append(censuses, c)
			for _, d := range c.Databases {
				attempts += d.Attempts
			}
		}
		stop()
		p.flushArchive(ctx)
		exact := 0
		for _, c := range censuses {
			for _, d := range c.Databases {
				if d.Cut != nil {
					exact++
				} else {
					t.Logf("%s, %s: %s", c.ID, d.Name, d.Why)
				}
			}
		}
		t.Logf("%d of %d snapshots have a cut, after %d attempts", exact, 2*len(censuses), attempts)
		if exact < len(censuses) {
			t.Errorf("only %d of %d snapshots have a cut", exact, 2*len(censuses))
		}
		for i := 0; i < len(censuses); i += len(censuses) / proven {
			p.proveExact(censuses[i])
		}
	})
}

// proveExact recovers to each of the census's stops and compares.
func (p *primary) proveExact(c *Census) {
	p.t.Helper()
	ctx := deadline(p.t)
	for _, stop := range c.Stops() {
		restored := p.recoverTo(ctx, stop)
		for _, d := range c.At(stop) {
			r, err := Compare(ctx, d, CompareOptions{Connect: connector(restored), Tolerance: 0.01})
			if err != nil {
				p.t.Fatal(err)
			}
			p.wantExact(c, d, r)
		}
		restored.Stop()
	}
}

func (p *primary) wantExact(c *Census, d Database, r DatabaseResult) {
	p.t.Helper()
	if len(r.Tables) != len(d.Tables) || len(d.Tables) == 0 {
		p.t.Errorf("%s, database %s: %d of %d tables compared", c.ID, d.Name, len(r.Tables), len(d.Tables))
	}
	if d.Cut != nil && r.Comparison != Exact {
		p.t.Errorf("%s, database %s: %s: %s", c.ID, d.Name, r.Comparison, r.Why)
	}
	if len(r.Extra) != 0 {
		p.t.Errorf("%s, database %s: extra tables %v", c.ID, d.Name, r.Extra)
	}
	for _, table := range r.Tables {
		known := d.table(p.t, table.Name)
		switch {
		case known.Comparable == None && table.Name == "emptied": // truncated meanwhile
		case known.Comparable == None:
			p.t.Errorf("%s, %s.%s was not counted: %s", c.ID, d.Name, table.Name, known.Why)
		case d.Cut != nil && (table.Result != Pass || table.Fingerprint != Matches):
			p.t.Errorf("%s, %s.%s: %+v", c.ID, d.Name, table.Name, table)
		}
	}
}
